"""Roles of the staff, and the permissions that each brings. A route names the one it needs."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    SUPPORT = "support"
    FINANCE = "finance"
    CATALOGUE = "catalogue"
    TRUST = "trust"
    ADMIN = "admin"


class Permission(StrEnum):
    RESELLERS_READ = "resellers:read"
    RESELLERS_WRITE = "resellers:write"
    STANDING_WRITE = "standing:write"
    CREDITS_WRITE = "credits:write"
    SUPPLY_READ = "supply:read"
    SUPPLY_WRITE = "supply:write"
    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_WRITE = "catalogue:write"
    ATTESTATIONS_WRITE = "attestations:write"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    ORDERS_RESOLVE = "orders:resolve"
    CLAIMS_READ = "claims:read"
    CLAIMS_WRITE = "claims:write"
    CLAIMS_DECIDE = "claims:decide"
    OPERATORS_WRITE = "operators:write"
    AUDIT_READ = "audit:read"


_P = Permission
_READS: Final = frozenset(
    {_P.RESELLERS_READ, _P.SUPPLY_READ, _P.CATALOGUE_READ, _P.ORDERS_READ, _P.CLAIMS_READ}
)

PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.SUPPORT: _READS | {_P.ORDERS_WRITE, _P.CLAIMS_WRITE},
    Role.FINANCE: _READS
    | {
        _P.CREDITS_WRITE,
        _P.ORDERS_RESOLVE,
        _P.CLAIMS_WRITE,
        _P.CLAIMS_DECIDE,
        _P.AUDIT_READ,
    },
    Role.CATALOGUE: _READS | {_P.SUPPLY_WRITE, _P.CATALOGUE_WRITE},
    Role.TRUST: _READS | {_P.STANDING_WRITE, _P.ATTESTATIONS_WRITE, _P.ORDERS_WRITE, _P.AUDIT_READ},
    Role.ADMIN: frozenset(Permission),
}


def granted(roles: Iterable[str]) -> frozenset[Permission]:
    """All that these roles allow together."""
    return frozenset().union(*(PERMISSIONS[Role(role)] for role in roles))
