"""The SQL of a restore: doubting what waits, and what a provider's list tells of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    LargeBinary,
    Text,
    and_,
    any_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.types import TypeEngine

from app.core.db import Session
from app.core.uow import now_of
from app.orders.models import Attempt, Order
from app.orders.refill_models import Refill
from app.orders.refill_states import RefillState
from app.orders.restore_models import RestoreDoubt
from app.orders.states import POSSIBLY_LIVE, OrderState

_WAITING: Final = [
    OrderState.QUEUED,
    OrderState.ON_HOLD,
    OrderState.SUBMITTING,
    OrderState.UNKNOWN,
]
UNASKED: Final = (RefillState.REQUESTED, RefillState.SENDING)
"""Not asked for yet, or being asked for right now, as far as is known."""

# The move `review` of many orders at once; one that is under review already stays as it is.
_REVIEW: Final = text(
    """
    WITH waiting AS (
        SELECT id, service_id, state FROM orders
        WHERE id = ANY(CAST(:ids AS bigint[])) AND ended_at IS NULL AND state <> 'in_progress'
        ORDER BY book_id, id FOR UPDATE
    ), reviewed AS (
        UPDATE orders SET state = 'needs_review', version = version + 1, wait_reason = NULL
        FROM waiting WHERE orders.id = waiting.id AND waiting.state <> 'needs_review'
        RETURNING orders.id, orders.version, waiting.state AS was
    ), event AS (
        INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
        SELECT id, version, 'review', :actor, false,
               jsonb_build_object('why', CAST(:why AS text), 'was', was), :now
        FROM reviewed
    ), attempt AS (
        UPDATE attempts SET state = 'unknown', outcome = :why, ended_at = :now
        FROM reviewed WHERE attempts.order_id = reviewed.id
             AND attempts.state IN ('leased', 'sending')
    )
    SELECT id, service_id FROM waiting
    """
)


def _any(values: Collection[Any], of_type: type[TypeEngine[Any]]) -> ColumnElement[Any]:
    """Any of so many values that each as a parameter would be too many."""
    return any_(literal(list(values), ARRAY(of_type)))


async def waiting(session: Session) -> Sequence[int]:
    """Orders that no provider is known to have. Lost ones are among them: that one was proven
    absent and sent again after the backup is forgotten too.
    """
    return (
        await session.scalars(
            select(Order.id).where(
                Order.ended_at.is_(None),
                or_(
                    Order.state.in_(_WAITING),
                    and_(Order.state == OrderState.NEEDS_REVIEW, Order.provider_order_id.is_(None)),
                ),
            )
        )
    ).all()


async def review(
    session: Session, order_ids: Collection[int], *, actor: str, why: str
) -> list[tuple[int, int]]:
    """These waiting orders → needs_review where they are not yet, and their attempts that were on
    the way → unknown; each order with its service.
    """
    values = {"ids": list(order_ids), "actor": actor, "why": why, "now": now_of(session)}
    rows = await session.execute(_REVIEW, values)
    return [(row.id, row.service_id) for row in rows]


async def attempts_of(session: Session, order_ids: Collection[int]) -> set[tuple[int, UUID]]:
    """The providers that these orders were tried with, or are believed to be."""
    rows = await session.execute(
        select(Attempt.order_id, Attempt.provider_id).where(
            Attempt.order_id == _any(order_ids, BigInteger)
        )
    )
    return {(row.order_id, row.provider_id) for row in rows}


async def doubt(session: Session, pairs: Collection[tuple[int, UUID]]) -> None:
    """Any of these providers may have that order."""
    if pairs:
        rows = [{"order_id": order_id, "provider_id": provider} for order_id, provider in pairs]
        await session.execute(insert(RestoreDoubt).on_conflict_do_nothing(), rows)


async def unasked_refills(session: Session, *, limit: int) -> Sequence[int]:
    """The first of the refills in these states."""
    return (
        await session.scalars(
            select(Refill.id).where(Refill.state.in_(UNASKED)).order_by(Refill.id).limit(limit)
        )
    ).all()


_LAST_AT_HOME: Final = text(
    """
    SELECT greatest(
        (SELECT started_at FROM attempts ORDER BY id DESC LIMIT 1),
        (SELECT max(at) FROM database_lineage))
    """
)


async def last_at_home(session: Session) -> datetime | None:
    """When this database last did what it does at home only: send an order, or be vouched for."""
    moment: datetime | None = await session.scalar(_LAST_AT_HOME)
    return moment


async def known_ids(session: Session, provider_id: UUID, ids: Collection[str]) -> set[str]:
    """Those of a provider's order ids that an order of ours has."""
    return set(
        await session.scalars(
            select(Order.provider_order_id).where(
                Order.provider_id == provider_id, Order.provider_order_id == _any(ids, Text)
            )
        )
    )


class UnresolvedOrder(NamedTuple):
    """What an entry of a provider's list may be."""

    id: int
    service_id: int
    quantity: int
    units: int | None
    link_hash: bytes
    created_at: datetime


async def unresolved_on(
    session: Session, provider_id: UUID, link_hashes: Collection[bytes]
) -> list[UnresolvedOrder]:
    """Unresolved orders on these links that this provider may have."""
    doubted = exists().where(
        RestoreDoubt.order_id == Order.id, RestoreDoubt.provider_id == provider_id
    )
    tried = exists().where(
        Attempt.order_id == Order.id,
        Attempt.provider_id == provider_id,
        Attempt.state.in_(POSSIBLY_LIVE),
    )
    rows = await session.execute(
        select(
            Order.id,
            Order.service_id,
            Order.quantity,
            Order.units,
            Order.link_hash,
            Order.created_at,
        )
        .where(
            Order.ended_at.is_(None),
            Order.state.in_([OrderState.UNKNOWN, OrderState.NEEDS_REVIEW]),
            Order.provider_order_id.is_(None),
            Order.link_hash == _any(link_hashes, LargeBinary),
            or_(doubted, tried),
        )
        .order_by(Order.id)
    )
    return [UnresolvedOrder(*row) for row in rows]


class DoubtedOrder(NamedTuple):
    """What a provider's list is compared with."""

    id: int
    quantity: int
    units: int | None
    link_hash: bytes
    created_at: datetime


async def doubted_at(session: Session, provider_id: UUID) -> list[DoubtedOrder]:
    """The orders that this provider may have, as far as its list was not read yet."""
    rows = await session.execute(
        select(Order.id, Order.quantity, Order.units, Order.link_hash, Order.created_at)
        .join(RestoreDoubt, RestoreDoubt.order_id == Order.id)
        .where(RestoreDoubt.provider_id == provider_id)
        .order_by(Order.id)
    )
    return [DoubtedOrder(*row) for row in rows]


async def doubted_of(session: Session, order_id: int) -> set[UUID]:
    """The providers that may have this order, as far as their lists were not read yet."""
    return set(
        await session.scalars(
            select(RestoreDoubt.provider_id).where(RestoreDoubt.order_id == order_id)
        )
    )


async def forget_doubts(
    session: Session, order_id: int, *, provider_id: UUID | None = None
) -> None:
    """One provider's, or all of an order's."""
    statement = delete(RestoreDoubt).where(RestoreDoubt.order_id == order_id)
    if provider_id is not None:
        statement = statement.where(RestoreDoubt.provider_id == provider_id)
    await session.execute(statement)


async def open_counts(session: Session) -> dict[UUID, int]:
    """Per provider, how many orders it may have that are unresolved still."""
    unresolved = and_(
        Order.id == RestoreDoubt.order_id,
        Order.state.in_([OrderState.UNKNOWN, OrderState.NEEDS_REVIEW]),
    )
    rows = await session.execute(
        select(RestoreDoubt.provider_id, func.count().label("orders"))
        .join(Order, unresolved)
        .group_by(RestoreDoubt.provider_id)
    )
    return {row.provider_id: row.orders for row in rows}


async def insert_attempt(session: Session, attempt: Attempt) -> None:
    session.add(attempt)
    await session.flush()  # it is ended by a statement


async def last_attempt_number(session: Session, order_id: int) -> int:
    number: int | None = await session.scalar(
        select(Attempt.number)
        .where(Attempt.order_id == order_id)
        .order_by(Attempt.number.desc())
        .limit(1)
    )
    return number or 0
