"""What orders refuse."""

from __future__ import annotations

from app.core.errors import AppError


class OrderNotCancelable(AppError):
    status = 409
    code = "order-not-cancelable"
    title = "Only an order that has not been handed on can be canceled"


class OrderStateConflict(AppError):
    status = 409
    code = "order-state-conflict"
    title = "The order is not in a state in which this can be done"


class TooEarlyToProve(AppError):
    status = 409
    code = "too-early-to-prove"
    title = "Absence can be proven only 15 minutes after the order was sent"


class ProviderOrderTaken(AppError):
    status = 409
    code = "provider-order-taken"
    title = "That provider order id belongs to another order"


class TestOrdersUnavailable(AppError):
    status = 403
    code = "test-orders-unavailable"
    title = "Orders cannot be placed with a test key yet"
    __test__ = False  # its name begins with Test; it is none of pytest's


class IllegalMoveError(RuntimeError):
    """A move outside the table: a bug, never a refusal."""
