"""What a key may do, and the groups of routes by which its pace is limited."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """A key carries a set of these; it can make keys only with a subset of its own."""

    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    CLAIMS = "claims"
    TICKETS = "tickets"
    WEBHOOKS = "webhooks"
    PAYMENTS = "payments"
    BRAND = "brand"
    KEYS = "keys"
    ACCOUNT = "account"
