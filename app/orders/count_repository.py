"""The SQL that looks at orders as a crowd: how many are where, and which have waited too long."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select

from app.core.db import Session
from app.core.statements import Statement
from app.core.uow import now_of
from app.orders.models import Order
from app.orders.states import OrderState

_PROMISED: Final = or_(
    Order.parent_id.is_(None), Order.units.is_not(None), Order.state != OrderState.IN_PROGRESS
)
"""A subscription lasts for as long as posts come: that it begins was promised, not when it ends."""

_DELIVERY_SECONDS: Final = Statement(
    """
    SELECT service_id,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) AS p50,
           percentile_disc(0.9) WITHIN GROUP (ORDER BY seconds) AS p90
    FROM (SELECT service_id, CAST(extract(epoch FROM ended_at - created_at) AS bigint) AS seconds
          FROM orders WHERE ended_at >= :since AND state = 'completed') AS completed
    GROUP BY service_id HAVING count(*) >= :at_least
    """
)
LEARNING_SECONDS_MAX: Final = 300.0
"""A fortnight of orders is read at once, which no ordinary time-out fits."""


async def delivery_seconds(
    session: Session, since: datetime, *, at_least: int
) -> list[tuple[int, int, int]]:
    """Service, median and 90th percentile of how long what ended since a moment took, where so
    many were completed.
    """
    rows = await _DELIVERY_SECONDS.rows_within(
        session, LEARNING_SECONDS_MAX, since=since, at_least=at_least
    )
    return [(row.service_id, row.p50, row.p90) for row in rows]


async def queued_since_before(session: Session, moment: datetime, *, limit: int) -> Sequence[int]:
    """Orders not handed on since before a moment, in the order in which wallets are locked."""
    return (
        await session.scalars(
            select(Order.id)
            .where(
                Order.ended_at.is_(None),
                Order.state == OrderState.QUEUED,
                Order.created_at < moment,
            )
            .order_by(Order.book_id, Order.id)
            .limit(limit)
        )
    ).all()


async def running_at(
    session: Session, provider_ids: Collection[UUID], *, after: int | None, limit: int
) -> Sequence[Order]:
    """The orders that these providers have in progress, oldest first; no subscriptions, of which
    nobody can tell how far they are.
    """
    statement = (
        select(Order)
        .where(
            Order.ended_at.is_(None),
            Order.state == OrderState.IN_PROGRESS,
            Order.provider_id.in_(provider_ids),
            or_(Order.parent_id.is_(None), Order.units.is_not(None)),
        )
        .order_by(Order.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(Order.id > after)
    return (await session.scalars(statement)).all()


async def state_counts(session: Session) -> dict[str, int]:
    """How many orders are in each state that is not an end."""
    rows = await session.execute(
        select(Order.state, func.count()).where(Order.ended_at.is_(None)).group_by(Order.state)
    )
    return {row[0]: row[1] for row in rows}


async def ended_counts(session: Session, since: datetime) -> dict[str, int]:
    """How many orders ended in each way since a moment."""
    rows = await session.execute(
        select(Order.state, func.count()).where(Order.ended_at >= since).group_by(Order.state)
    )
    return {row[0]: row[1] for row in rows}


async def newly_late(session: Session, *, limit: int) -> Sequence[Order]:
    """Running orders past their time that were not seen to be, locked; what somebody else has
    locked is passed over, so that nobody waits.
    """
    return (
        await session.scalars(
            select(Order)
            .where(
                Order.ended_at.is_(None),
                Order.deliver_by < now_of(session),
                Order.late_at.is_(None),
                _PROMISED,
            )
            .order_by(Order.book_id, Order.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
    ).all()


async def late_by_service(session: Session) -> dict[tuple[UUID | None, int], int]:
    """Per provider (none for an order that no provider has) and service: what runs late now."""
    rows = await session.execute(
        select(Order.provider_id, Order.service_id, func.count())
        .where(Order.ended_at.is_(None), Order.deliver_by < now_of(session), _PROMISED)
        .group_by(Order.provider_id, Order.service_id)
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def seen_late_by_service(
    session: Session, since: datetime
) -> dict[tuple[UUID | None, int], int]:
    """The same of all that were seen to be late since a moment, ended or not."""
    rows = await session.execute(
        select(Order.provider_id, Order.service_id, func.count())
        .where(Order.late_at >= since)
        .group_by(Order.provider_id, Order.service_id)
    )
    return {(row[0], row[1]): row[2] for row in rows}


async def late_counts(session: Session) -> dict[str, int]:
    """Per state, the orders not ended past the time by which they were to be delivered."""
    rows = await session.execute(
        select(Order.state, func.count())
        .where(Order.ended_at.is_(None), Order.deliver_by < now_of(session), _PROMISED)
        .group_by(Order.state)
    )
    return {row[0]: row[1] for row in rows}
