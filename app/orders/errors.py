"""What orders refuse."""

from __future__ import annotations

from app.core.errors import AppError, FieldProblem, InvalidInput


class QuantityOutOfBounds(InvalidInput):
    """Less or more than the service takes; what is counted may be lines of a field."""

    def __init__(self, field: str, quantity: int, *, least: int, most: int) -> None:
        self.is_less = quantity < least
        self.bound = least if self.is_less else most
        rule = f"must be {least} to {most} for this service"
        super().__init__(errors=(FieldProblem(f"/{field}", rule),))


class LinkUnfit(InvalidInput):
    """The link certainly leads to something that this service does not act on."""

    def __init__(self, rule: str) -> None:
        super().__init__(errors=(FieldProblem("/link", rule),))


class OrderNotCancelable(AppError):
    status = 409
    code = "order-not-cancelable"
    title = "The order cannot be canceled now"


class OrderIsPolled(AppError):
    status = 409
    code = "order-is-polled"
    title = "Its provider tells by itself how this order stands"


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


class LinkBusy(AppError):
    status = 409
    code = "link-busy"
    title = "This link is being worked on; try again when that has ended"


class RefillNotOffered(AppError):
    status = 409
    code = "refill-not-offered"
    title = "This service has no refill"


class RefillNotYet(AppError):
    status = 409
    code = "refill-not-yet"
    title = "Only an order that was delivered, in full or in part, can be refilled"


class RefillWindowClosed(AppError):
    status = 409
    code = "refill-window-closed"
    title = "The time in which this order could be refilled is over"


class RefillOpen(AppError):
    status = 409
    code = "refill-open"
    title = "A refill of this order is under way"


class RefillTooSoon(AppError):
    status = 409
    code = "refill-too-soon"
    title = "A refill can be asked for once in 24 hours"


class RefillUnavailable(AppError):
    status = 409
    code = "refill-unavailable"
    title = "A refill of this order cannot be asked for"


class RefillStateConflict(AppError):
    status = 409
    code = "refill-state-conflict"
    title = "Only a refill of which nothing certain is known can be resolved"


class ProviderRefillTaken(AppError):
    status = 409
    code = "provider-refill-taken"
    title = "That id belongs to another refill of this provider"


class IllegalMoveError(RuntimeError):
    """A move outside the table: a bug, never a refusal."""
