"""The one function that ends an order: its last move and its money, together."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.money import ZERO, Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.orders import hold_repository, link_locks, repository
from app.orders.endings import End
from app.orders.models import Order
from app.orders.routing import price_of_post
from app.orders.states import OrderState


def _late_at(order: Order, now: datetime) -> datetime | None:
    """When an order that ends now was first late; a subscription is not while it runs."""
    runs_on = order.state == OrderState.IN_PROGRESS and price_of_post(order) is not None
    return order.late_at or (now if now > order.deliver_by and not runs_on else None)


async def end_order(
    session: Session,
    order: Order,
    end: End,
    actor: Actor,
    *,
    reason: str | None = None,
    forfeited: Money = ZERO,
    start_count: int | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Make the last move and post its money, in this transaction; nothing is left to do after it.

    `start_count` is kept where none was told before the end. `order` is locked or led by a lease.
    Raises IllegalMoveError when it has moved meanwhile.
    """
    earned = Money(order.charge) - end.refunded - forfeited
    reason = reason or end.reason
    first_told = start_count if order.start_count is None else None
    counted = {} if first_told is None else {"start_count": first_told}
    await repository.move(
        session,
        order.id,
        end.move,
        source=OrderState(order.state),
        target=end.target,
        actor=actor,
        data={
            "refunded": str(end.refunded),
            "remains": end.remains,
            **({"reason": reason} if reason else {}),
            **counted,
            **(data or {}),
        },
        values={
            "held": 0,
            "earned": earned.micros,
            "refunded": end.refunded.micros,
            "forfeited": forfeited.micros,
            "remains": end.remains,
            "ended_at": now_of(session),
            "late_at": _late_at(order, now_of(session)),
            "reason": reason,
            "wait_reason": None,
            **counted,
        },
    )
    await ledger.end_order(
        session,
        order.book_id,
        order.id,
        refunded=end.refunded,
        earned=earned,
        forfeited=forfeited,
    )
    await hold_repository.release_all_holds(session, order.id)
    await link_locks.release(session, [order.id])
    await work.finish_all(session, [str(order.id)])
