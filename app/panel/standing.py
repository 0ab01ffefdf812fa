"""Where an order or a schedule stands, in the wire's figures: all of them are texts."""

from __future__ import annotations

from app.core.money import Money
from app.orders.models import Order
from app.orders.states import OrderState
from app.panel.words import ORDER_STATUS, SCHEDULE_STATUS
from app.schedules.overviews import Overview
from app.schedules.states import ScheduleState, panel_status, public_status


def of_order(order: Order, currency: str) -> dict[str, str]:
    return _figures(
        charge=Money(order.charge - order.refunded),
        start_count=order.start_count,
        status=ORDER_STATUS[OrderState(order.state)],
        remains=_remains(order),
        currency=currency,
    )


def of_schedule(seen: Overview, currency: str) -> dict[str, str]:
    """A drip-feed by all of its runs, a subscription by the one order that its provider runs."""
    return _figures(
        charge=Money(seen.schedule.charge) - seen.refunded,
        start_count=None if seen.order is None else seen.order.start_count,
        status=_status(seen),
        remains=seen.remains,
        currency=currency,
    )


def _figures(
    *, charge: Money, start_count: int | None, status: str, remains: int | None, currency: str
) -> dict[str, str]:
    """Clients take each figure for a number: one that nobody knows is 0."""
    return {
        "charge": str(charge),
        "start_count": str(start_count or 0),
        "status": status,
        "remains": str(remains or 0),
        "currency": currency,
    }


def _status(seen: Overview) -> str:
    order = seen.order
    if order is not None:
        state = OrderState(order.state)
        return panel_status(state, reason=order.reason, wait_reason=order.wait_reason)
    return SCHEDULE_STATUS[public_status(ScheduleState(seen.schedule.state), seen.tally.states)]


def _remains(order: Order) -> int:
    """Before a provider has told anything all of it; of what does not count its units, one."""
    if order.remains is not None:
        return order.remains
    return 0 if order.state == OrderState.COMPLETED else order.units or order.quantity
