"""The SQL of refills: finders, locks in the order of their orders, and the change of one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update

from app.core.db import Session
from app.orders.models import Order
from app.orders.refill_models import Refill
from app.orders.refill_states import RefillState


async def insert(session: Session, refill: Refill) -> None:
    """Write it at once: its number comes from the database."""
    session.add(refill)
    await session.flush()


async def find(session: Session, refill_id: int) -> Refill | None:
    return await session.get(Refill, refill_id, populate_existing=True)


async def find_in_book(session: Session, book_id: UUID, refill_id: int) -> Refill | None:
    found: Refill | None = await session.scalar(
        select(Refill).where(Refill.id == refill_id, Refill.book_id == book_id)
    )
    return found


async def of_group(session: Session, book_id: UUID, group_id: int) -> Sequence[Refill]:
    """In the order in which they were asked for."""
    return (
        await session.scalars(
            select(Refill)
            .where(Refill.group_id == group_id, Refill.book_id == book_id)
            .order_by(Refill.id)
            .execution_options(populate_existing=True)
        )
    ).all()


async def last_of(session: Session, order_id: int) -> Refill | None:
    """The refill of an order that was asked for last."""
    found: Refill | None = await session.scalar(
        select(Refill)
        .where(Refill.order_id == order_id)
        .order_by(Refill.id.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found


async def page(
    session: Session,
    *,
    book_id: UUID | None,
    order_id: int | None,
    states: Collection[RefillState] | None,
    after: int | None,
    limit: int,
) -> Sequence[Refill]:
    """Refills of one book (of all, for operators), newest first; of a schedule its runs'."""
    statement = select(Refill).order_by(Refill.id.desc()).limit(limit)
    if book_id is not None:
        statement = statement.where(Refill.book_id == book_id)
    if order_id is not None:
        run = select(Order.id).where(Order.parent_id == order_id)
        statement = statement.where(or_(Refill.order_id == order_id, Refill.order_id.in_(run)))
    if states is not None:
        statement = statement.where(Refill.state.in_(states))
    if after is not None:
        statement = statement.where(Refill.id < after)
    return (await session.scalars(statement)).all()


async def lock_many(
    session: Session, refill_ids: Collection[int], states: Iterable[RefillState]
) -> Sequence[Refill]:
    """Those that are in these states; their work is locked first, their orders change after them.

    In the order in which wallets are locked, as orders are.
    """
    return (
        await session.scalars(
            select(Refill)
            .where(Refill.id.in_(refill_ids), Refill.state.in_(list(states)))
            .order_by(Refill.book_id, Refill.order_id, Refill.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def change(session: Session, refill_id: int, values: dict[str, Any]) -> None:
    """The caller has locked it."""
    await session.execute(update(Refill).where(Refill.id == refill_id).values(values))


async def provider_order_ids(session: Session, refills: Sequence[Refill]) -> dict[int, str]:
    """By refill: what the provider calls the order that it is for."""
    rows = await session.execute(
        select(Refill.id, Order.provider_order_id)
        .join(Order, Order.id == Refill.order_id)
        .where(Refill.id.in_([one.id for one in refills]), Order.provider_order_id.is_not(None))
    )
    return {row.id: row.provider_order_id for row in rows if row.provider_order_id is not None}


async def ids_taken(session: Session, provider_id: UUID, given: Collection[str]) -> set[str]:
    """Which of these ids of a provider belong to refills already."""
    rows = await session.scalars(
        select(Refill.provider_refill_id).where(
            Refill.provider_id == provider_id, Refill.provider_refill_id.in_(given)
        )
    )
    return {one for one in rows if one is not None}


async def open_counts(session: Session) -> dict[str, int]:
    """How many refills are in each state that is not an end."""
    rows = await session.execute(
        select(Refill.state, func.count()).where(Refill.ended_at.is_(None)).group_by(Refill.state)
    )
    return {row[0]: row[1] for row in rows}
