"""The SQL of orders that are runs of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select

from app.core.audit import Actor
from app.core.db import Session
from app.core.uow import now_of
from app.orders import number_repository
from app.orders.models import Order, OrderEvent, OrderInput
from app.orders.states import ENDED, OrderState


@dataclass(frozen=True, slots=True)
class Tally:
    """The runs of one schedule that have started, taken together.

    `states` counts them; `remains` is what is left to deliver of those whose delivery is counted;
    `ended_at` is when the last of those that have ended did.
    """

    states: dict[OrderState, int]
    refunded_micros: int
    remains: int
    ended_at: datetime | None


NONE_STARTED = Tally({}, 0, 0, None)


async def next_order_id(session: Session) -> int:
    [order_id] = await number_repository.next_numbers(session, 1)
    return order_id


async def insert(session: Session, order: Order, *, sealed: bytes, actor: Actor) -> None:
    """A run with its sealed input and its first event."""
    session.add(order)
    await session.flush()  # what follows refers to it
    session.add(OrderInput(order_id=order.id, sealed=sealed))
    session.add(
        OrderEvent(
            order_id=order.id,
            seq=1,
            type="place",
            actor=str(actor),
            public=True,
            data={},
            at=now_of(session),
        )
    )
    await session.flush()  # later statements count on it


async def tallies(session: Session, schedule_ids: Sequence[int]) -> dict[int, Tally]:
    rows = await session.execute(
        select(
            Order.parent_id,
            Order.state,
            func.count().label("number"),
            cast(func.sum(Order.refunded), BigInteger).label("refunded"),
            cast(func.sum(func.coalesce(Order.remains, Order.units, 0)), BigInteger).label(
                "remains"
            ),
            func.max(Order.ended_at).label("ended_at"),
        )
        .where(Order.parent_id.in_(schedule_ids))
        .group_by(Order.parent_id, Order.state)
    )
    found = dict.fromkeys(schedule_ids, NONE_STARTED)
    for row in rows:
        before = found[row.parent_id]
        moments = [one for one in (before.ended_at, row.ended_at) if one is not None]
        found[row.parent_id] = Tally(
            {**before.states, OrderState(row.state): row.number},
            before.refunded_micros + row.refunded,
            before.remains + row.remains,
            max(moments, default=None),
        )
    return found


async def firsts(session: Session, schedule_ids: Sequence[int]) -> dict[int, Order]:
    rows = await session.scalars(
        select(Order)
        .where(Order.parent_id.in_(schedule_ids), Order.run_number == 1)
        .execution_options(populate_existing=True)
    )
    return {order.parent_id: order for order in rows if order.parent_id is not None}


async def page(session: Session, schedule_id: int, *, after: int, limit: int) -> Sequence[Order]:
    return (
        await session.scalars(
            select(Order)
            .where(Order.parent_id == schedule_id, Order.run_number > after)
            .order_by(Order.run_number)
            .limit(limit)
        )
    ).all()


async def running(session: Session, schedule_id: int) -> list[int]:
    """The runs that have not ended, in the order in which they are locked."""
    found = await session.scalars(
        select(Order.id)
        .where(Order.parent_id == schedule_id, Order.state.not_in(ENDED))
        .order_by(Order.id)
    )
    return list(found)


async def delivered(session: Session, schedule_id: int) -> list[int]:
    """The runs that something was delivered of, in the order in which they are locked."""
    found = await session.scalars(
        select(Order.id)
        .where(
            Order.parent_id == schedule_id,
            Order.state.in_([OrderState.COMPLETED, OrderState.PARTIAL]),
        )
        .order_by(Order.id)
    )
    return list(found)


async def parent_of(session: Session, order_id: int) -> int | None:
    parent_id: int | None = await session.scalar(
        select(Order.parent_id).where(Order.id == order_id)
    )
    return parent_id


async def lock(session: Session, order_ids: Sequence[int]) -> Sequence[Order]:
    """The caller has locked their work first."""
    return (
        await session.scalars(
            select(Order)
            .where(Order.id.in_(order_ids))
            .order_by(Order.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()
