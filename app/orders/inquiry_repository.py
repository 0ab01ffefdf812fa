"""The SQL of inquiries: what is kept of each search, and the attempts around a lost one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Row as SqlRow
from sqlalchemy import and_, exists, func, or_, select, update

from app.core.db import Session
from app.core.statements import Row, Statement
from app.core.uow import now_of
from app.orders.inquiry_models import Inquiry
from app.orders.inquiry_states import ResolvedBy
from app.orders.models import Attempt, Order, ProviderEvidence
from app.orders.states import LISTENED_FOR_MAX, POSSIBLY_LIVE, AttemptState, OrderState

ON_THE_WIRE_MAX: Final = timedelta(hours=1)
"""An attempt that was begun longer ago than this before it was sent is found by no search."""
REPAID_WITHIN_MAX: Final = timedelta(days=1)
"""So long after an order's end its provider may take to pay back what it did not deliver."""

_ON_OUR_WORD: Final = ("refund_claim", "written_off", "settled_by_hand")
"""The reasons of orders that ended without their provider's word."""

_OPEN: Final = Statement(
    """
    INSERT INTO inquiries (attempt_id, order_id, provider_id, sent_at, opened_at)
    SELECT id, order_id, provider_id, coalesce(sending_at, started_at), :now
    FROM attempts WHERE id = :attempt_id
    ON CONFLICT (attempt_id) DO NOTHING
    """
)


async def open_for(session: Session, attempt_id: UUID) -> None:
    """Begin the search for an attempt; once."""
    await _OPEN.rows(session, attempt_id=attempt_id, now=now_of(session))


async def find(session: Session, attempt_id: UUID) -> Inquiry | None:
    return await session.get(Inquiry, attempt_id, populate_existing=True)


async def change(session: Session, attempt_id: UUID, values: dict[str, Any]) -> None:
    await session.execute(
        update(Inquiry)
        .where(Inquiry.attempt_id == attempt_id)
        .values(values)
        .execution_options(synchronize_session=False)
    )


async def resolve(session: Session, order_id: int, by: ResolvedBy) -> None:
    """The search for this order is over."""
    await session.execute(
        update(Inquiry)
        .where(Inquiry.order_id == order_id, Inquiry.resolved_at.is_(None))
        .values(resolved_by=by, resolved_at=now_of(session))
        .execution_options(synchronize_session=False)
    )


async def told_after_giving_up(
    session: Session, reasons: Collection[str], *, since: datetime, limit: int
) -> Sequence[int]:
    """Orders whose search ended since a moment without an id, for one of these reasons, though an
    answer to the attempt carries one by now.
    """
    carried = exists().where(
        ProviderEvidence.attempt_id == Inquiry.attempt_id,
        ProviderEvidence.provider_order_id.is_not(None),
    )
    return (
        await session.scalars(
            select(Inquiry.order_id)
            .join(Order, Order.id == Inquiry.order_id)
            .where(
                Inquiry.resolved_at >= since,
                Order.reason.in_(reasons),
                Order.provider_order_id.is_(None),
                carried,
            )
            .order_by(Inquiry.order_id)
            .limit(limit)
        )
    ).all()


_CHARGES: Final = Statement(
    """
    SELECT a.state, a.sending_at, a.ended_at, a.cost_micros, a.cost_currency,
           a.provider_charge_micros, o.parent_id IS NOT NULL AND o.units IS NULL AS by_posts
    FROM attempts a JOIN orders o ON o.id = a.order_id
    WHERE a.provider_id = :provider_id AND a.sending_at IS NOT NULL
          AND a.started_at BETWEEN CAST(:since AS timestamptz) AND CAST(:until AS timestamptz)
          AND a.state IN ('sending', 'accepted', 'unknown')
    LIMIT CAST(:limit AS int)
    """
)


async def charges(
    session: Session, provider_id: UUID, since: datetime, until: datetime, *, limit: int
) -> Sequence[Row]:
    """The attempts of a time that a provider took, or may have taken; `by_posts` where the order is
    a subscription, as `routing.price_of_post` tells.
    """
    return await _CHARGES.rows(
        session,
        provider_id=provider_id,
        since=since - ON_THE_WIRE_MAX,
        until=until,
        limit=limit,
    )


async def others_open(
    session: Session, provider_id: UUID, *, since: datetime, until: datetime
) -> bool:
    """Whether the provider may still pay back for an order that it took before `until`, or for one
    that was lost before `since` and may have been taken.
    """
    taken = exists().where(
        Attempt.order_id == Order.id,
        Attempt.provider_id == provider_id,
        or_(
            and_(Attempt.state == AttemptState.ACCEPTED, Attempt.sending_at <= until),
            and_(
                Attempt.state.in_([AttemptState.SENDING, AttemptState.UNKNOWN]),
                Attempt.sending_at <= since,
            ),
        ),
    )
    running = [OrderState.IN_PROGRESS, OrderState.UNKNOWN, OrderState.NEEDS_REVIEW]
    return bool(
        await session.scalar(
            select(exists().where(Order.ended_at.is_(None), Order.state.in_(running), taken))
        )
    )


async def others_ended_short(session: Session, provider_id: UUID, since: datetime) -> bool:
    """Whether through an ended order money may have come back since then: where the provider had
    not delivered all of it, or where we ended it on our own word and the provider may yet.
    """
    tried = exists().where(
        Attempt.order_id == Order.id,
        Attempt.provider_id == provider_id,
        Attempt.state.in_(POSSIBLY_LIVE),
    )
    ended_short = and_(
        Order.ended_at >= since - REPAID_WITHIN_MAX,
        # One that is completed with a repayment is a subscription that expired.
        or_(Order.state != OrderState.COMPLETED, Order.refunded > 0),
    )
    ended_by_us = and_(
        Order.ended_at >= since - LISTENED_FOR_MAX - REPAID_WITHIN_MAX,
        Order.reason.in_(_ON_OUR_WORD),
    )
    return bool(await session.scalar(select(exists().where(or_(ended_short, ended_by_us), tried))))


def _numbered(provider_id: UUID, since: datetime, until: datetime) -> Any:
    """Attempts of a time that a provider took under a number."""
    return select(Attempt.provider_order_id, Attempt.sending_at, Attempt.ended_at).where(
        Attempt.provider_id == provider_id,
        Attempt.started_at.between(since - ON_THE_WIRE_MAX, until),
        Attempt.state == AttemptState.ACCEPTED,
        Attempt.provider_order_id.regexp_match("^[1-9][0-9]{0,17}$"),
    )


async def taken_before(
    session: Session, provider_id: UUID, moment: datetime, *, within: timedelta
) -> SqlRow[Any] | None:
    """The last numbered order that was taken, its answer included, before a moment."""
    statement = _numbered(provider_id, moment - within, moment)
    found: SqlRow[Any] | None = (
        await session.execute(
            statement.where(Attempt.ended_at < moment).order_by(Attempt.ended_at.desc()).limit(1)
        )
    ).one_or_none()
    return found


async def taken_after(
    session: Session, provider_id: UUID, moment: datetime, *, within: timedelta
) -> SqlRow[Any] | None:
    """The first numbered order that was sent after a moment."""
    statement = _numbered(provider_id, moment, moment + within)
    found: SqlRow[Any] | None = (
        await session.execute(
            statement.where(Attempt.sending_at > moment).order_by(Attempt.sending_at).limit(1)
        )
    ).one_or_none()
    return found


async def lost_between(
    session: Session, provider_id: UUID, since: datetime, until: datetime, *, besides: UUID
) -> int:
    """How many other attempts, sent in a time, may have been taken without our knowing it."""
    count = await session.scalar(
        select(func.count()).where(
            Attempt.provider_id == provider_id,
            Attempt.started_at.between(since - ON_THE_WIRE_MAX, until),
            Attempt.state.in_([AttemptState.SENDING, AttemptState.UNKNOWN]),
            Attempt.sending_at.between(since, until),
            Attempt.id != besides,
        )
    )
    return count or 0


class Hanging(NamedTuple):
    """An order that hangs, with the attempt after which its provider may have it."""

    order: Order
    attempt: Attempt | None
    inquiry: Inquiry | None


async def unresolved_page(session: Session, *, after: int | None, limit: int) -> list[Hanging]:
    """Orders that hang, with their attempt and its search, the newest first."""
    statement = (
        select(Order, Attempt, Inquiry)
        .outerjoin(
            Attempt,
            (Attempt.order_id == Order.id)
            & Attempt.state.in_([AttemptState.UNKNOWN, AttemptState.ACCEPTED]),
        )
        .outerjoin(Inquiry, Inquiry.attempt_id == Attempt.id)
        .where(
            Order.ended_at.is_(None),
            Order.state.in_([OrderState.UNKNOWN, OrderState.NEEDS_REVIEW]),
        )
        .order_by(Order.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(Order.id < after)
    return [Hanging(*row) for row in await session.execute(statement)]


_STILL_OPEN: Final = Statement(
    """
    SELECT i.provider_id, count(*) AS open,
           percentile_disc(0.99) WITHIN GROUP (
               ORDER BY extract(epoch FROM CAST(:now AS timestamptz) - i.sent_at)) AS age_p99
    FROM inquiries i JOIN orders o ON o.id = i.order_id
    WHERE i.resolved_at IS NULL AND o.state IN ('unknown', 'needs_review')
    GROUP BY GROUPING SETS ((i.provider_id), ())
    """
)


async def open_counts(session: Session) -> Sequence[Row]:
    """How many searches are open and how old the oldest percent is, by provider and in all."""
    return await _STILL_OPEN.rows(session, now=now_of(session))


async def opened_counts(session: Session, since: datetime) -> dict[UUID, int]:
    """How many orders were lost since a moment, by provider."""
    rows = await session.execute(
        select(Inquiry.provider_id, func.count())
        .where(Inquiry.opened_at >= since)
        .group_by(Inquiry.provider_id)
    )
    return {row[0]: row[1] for row in rows}


async def resolved_counts(session: Session, since: datetime) -> dict[str, int]:
    """By what orders that hung were resolved since a moment, and how many."""
    rows = await session.execute(
        select(Inquiry.resolved_by, func.count())
        .where(Inquiry.resolved_at >= since)
        .group_by(Inquiry.resolved_by)
    )
    return {row[0]: row[1] for row in rows if row[0] is not None}
