"""The SQL of orders: moves, locks, finders. A move changes one order and writes its event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, literal, select, update
from sqlalchemy.dialects.postgresql import JSONB

from app.core.audit import Actor
from app.core.db import Session
from app.core.statements import Row, Statement
from app.core.uow import now_of
from app.orders.errors import IllegalMoveError
from app.orders.models import Order, OrderEvent, OrderInput
from app.orders.states import Move, OrderState, may_move


async def move(
    session: Session,
    order_id: int,
    move: Move,
    *,
    source: OrderState,
    target: OrderState,
    actor: Actor,
    data: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
    public: bool = True,
) -> None:
    """Change the state of one order, if it is still in `source`, and write the event.

    The one place that changes a single order's state. Raises IllegalMoveError for a move outside
    the table and for an order that has moved meanwhile.
    """
    if not may_move(move, source, target):
        raise IllegalMoveError(f"{move} does not lead from {source} to {target}")
    moved = await _change(
        session,
        order_id,
        type_=move,
        source=source,
        actor=actor,
        data=data,
        public=public,
        values={"state": target, **(values or {})},
    )
    if not moved:
        raise IllegalMoveError(f"order {order_id} was not {source} any more")


async def note(
    session: Session,
    order_id: int,
    type_: str,
    *,
    source: OrderState,
    actor: Actor,
    data: dict[str, Any],
    values: dict[str, Any] | None = None,
    public: bool = False,
) -> bool:
    """Write an event, and perhaps figures, without a move; False if it moved meanwhile."""
    return await _change(
        session,
        order_id,
        type_=type_,
        source=source,
        actor=actor,
        data=data,
        public=public,
        values=values or {},
    )


async def _change(
    session: Session,
    order_id: int,
    *,
    type_: str,
    source: OrderState,
    actor: Actor,
    data: dict[str, Any] | None,
    public: bool,
    values: dict[str, Any],
) -> bool:
    changed = (
        update(Order)
        .where(Order.id == order_id, Order.state == source)
        .values(version=Order.version + 1, **values)
        .returning(Order.id, Order.version)
        .cte("changed")
    )
    event = insert(OrderEvent).from_select(
        ["order_id", "seq", "type", "actor", "public", "data", "at"],
        select(
            changed.c.id,
            changed.c.version,
            literal(str(type_)),
            literal(str(actor)),
            literal(public),
            literal(data or {}, JSONB),
            literal(now_of(session)),
        ),
        include_defaults=False,
    )
    result = await session.scalars(event.returning(OrderEvent.seq))
    return bool(result.all())


async def find(session: Session, order_id: int) -> Order | None:
    return await session.get(Order, order_id, populate_existing=True)


async def find_in_book(session: Session, book_id: UUID, order_id: int) -> Order | None:
    found: Order | None = await session.scalar(
        select(Order).where(Order.id == order_id, Order.book_id == book_id)
    )
    return found


async def find_many_in_book(
    session: Session, book_id: UUID, order_ids: Collection[int]
) -> Sequence[Order]:
    return (
        await session.scalars(
            select(Order).where(Order.id.in_(order_ids), Order.book_id == book_id)
        )
    ).all()


async def lock(session: Session, order_id: int) -> Order | None:
    """The caller has locked the order's work first."""
    found: Order | None = await session.scalar(
        select(Order)
        .where(Order.id == order_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def lock_many(
    session: Session, order_ids: Collection[int], *states: OrderState
) -> Sequence[Order]:
    """Those of the orders that are in these states, in the order in which wallets are locked."""
    return (
        await session.scalars(
            select(Order)
            .where(Order.id.in_(order_ids), Order.state.in_(states))
            .order_by(Order.book_id, Order.id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def ended_before(
    session: Session, order_ids: Collection[int], moment: datetime
) -> Sequence[int]:
    """Those of the orders that had ended by then, which stays so."""
    return (
        await session.scalars(
            select(Order.id).where(Order.id.in_(order_ids), Order.ended_at <= moment)
        )
    ).all()


_LOCK_QUEUED: Final = Statement(
    """
    SELECT id, service_id, quantity, units, price_unit, rate_micros, charge, link_hash, parent_id
    FROM orders
    WHERE id = ANY(:order_ids) AND state = 'queued'
    ORDER BY book_id, id FOR UPDATE
    """
)


async def lock_queued(session: Session, order_ids: Collection[int]) -> Sequence[Row]:
    """What routes are chosen by, of those orders that are queued, locked as by `lock_many`."""
    return await _LOCK_QUEUED.rows(session, order_ids=list(order_ids))


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders a list shows; None everywhere shows all."""

    states: frozenset[OrderState] | None = None
    service_id: int | None = None
    reference: str | None = None
    link_hashes: tuple[bytes, ...] | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


async def page(
    session: Session,
    *,
    book_id: UUID | None,
    wanted: OrderFilter,
    after: int | None,
    limit: int,
) -> Sequence[Order]:
    """Orders of one book (of all, for operators), newest first."""
    statement = select(Order).order_by(Order.id.desc()).limit(limit)
    if book_id is not None:
        statement = statement.where(Order.book_id == book_id)
    if after is not None:
        statement = statement.where(Order.id < after)
    if wanted.states is not None:
        statement = statement.where(Order.state.in_(wanted.states))
    if wanted.service_id is not None:
        statement = statement.where(Order.service_id == wanted.service_id)
    if wanted.reference is not None:
        statement = statement.where(Order.reference == wanted.reference)
    if wanted.link_hashes is not None:
        statement = statement.where(Order.link_hash.in_(wanted.link_hashes))
    if wanted.created_from is not None:
        statement = statement.where(Order.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        statement = statement.where(Order.created_at < wanted.created_to)
    return (await session.scalars(statement)).all()


async def sealed_inputs(session: Session, order_ids: Iterable[int]) -> dict[int, bytes]:
    rows = await session.execute(
        select(OrderInput.order_id, OrderInput.sealed).where(
            OrderInput.order_id.in_(list(order_ids))
        )
    )
    return {row.order_id: row.sealed for row in rows}


async def events_of(
    session: Session, order_id: int, *, public_only: bool, after: int, limit: int
) -> Sequence[OrderEvent]:
    """From the first on."""
    statement = (
        select(OrderEvent)
        .where(OrderEvent.order_id == order_id, OrderEvent.seq > after)
        .order_by(OrderEvent.seq)
        .limit(limit)
    )
    if public_only:
        statement = statement.where(OrderEvent.public)
    return (await session.scalars(statement)).all()


async def set_wait_reason(session: Session, order_ids: Collection[int], reason: str | None) -> None:
    """Why queued orders wait; it is told, and is no event. One that is locked is passed over, so
    that a caller who does not hold the orders' work never waits here.
    """
    waiting = (
        select(Order.id)
        .where(
            Order.id.in_(order_ids),
            Order.state == OrderState.QUEUED,
            Order.wait_reason.is_distinct_from(reason),
        )
        .with_for_update(skip_locked=True)
    )
    await session.execute(
        update(Order)
        .where(Order.id.in_(waiting))
        .values(wait_reason=reason)
        .execution_options(synchronize_session=False)
    )


async def provider_order_ids(session: Session, order_ids: Collection[int]) -> dict[int, str]:
    """What the provider calls these orders."""
    rows = await session.execute(
        select(Order.id, Order.provider_order_id).where(
            Order.id.in_(order_ids), Order.provider_order_id.is_not(None)
        )
    )
    return {row.id: row.provider_order_id for row in rows if row.provider_order_id is not None}


async def last_event(session: Session, order_id: int) -> OrderEvent | None:
    found: OrderEvent | None = await session.scalar(
        select(OrderEvent)
        .where(OrderEvent.order_id == order_id)
        .order_by(OrderEvent.seq.desc())
        .limit(1)
    )
    return found
