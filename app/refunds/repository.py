"""The SQL of claims: finders, the lock, the one function that changes a claim, and counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Text, and_, cast, func, or_, select, tuple_, update

from app.core.audit import Actor
from app.core.db import Session
from app.core.statements import Statement
from app.core.uow import now_of
from app.files.models import StoredFile
from app.files.states import FileState
from app.orders.models import Order
from app.refunds.models import Claim, ClaimEvent
from app.refunds.rules import Rule
from app.refunds.states import ClaimState, Reason

COUNTING_SECONDS_MAX: Final = 300.0
_ORDERS_ENDED: Final = Statement(
    """
    SELECT provider_id, service_id, count(*) AS orders FROM orders
    WHERE ended_at >= :since GROUP BY provider_id, service_id
    """
)


@dataclass(frozen=True, slots=True)
class Happening:
    """What is told of a change: by which rule, in words, and the figures behind it."""

    type: str
    actor: Actor
    words: str
    rule: str | None = None
    clause: str | None = None
    refund: int | None = None
    figures: dict[str, Any] = field(default_factory=dict)


async def insert(session: Session, claim: Claim, happening: Happening) -> None:
    """A claim with its first event; the unique index speaks here, not at the commit."""
    session.add(claim)
    await session.flush()
    session.add(_event(session, claim.id, claim.version, happening))
    await session.flush()


async def change(
    session: Session, claim: Claim, happening: Happening, values: dict[str, Any]
) -> Claim:
    """Change a claim that is locked, and write the event."""
    await session.execute(
        update(Claim)
        .where(Claim.id == claim.id)
        .values(version=Claim.version + 1, **values)
        .execution_options(synchronize_session=False)
    )
    await session.refresh(claim)
    session.add(_event(session, claim.id, claim.version, happening))
    await session.flush()  # the number of the next event counts on it
    return claim


def _event(session: Session, claim_id: UUID, seq: int, happening: Happening) -> ClaimEvent:
    return ClaimEvent(
        claim_id=claim_id,
        seq=seq,
        type=happening.type,
        actor=str(happening.actor),
        rule=happening.rule,
        clause=happening.clause,
        refund=happening.refund,
        words=happening.words,
        figures=happening.figures,
        at=now_of(session),
    )


async def note_asked(session: Session, claim_id: UUID, since: datetime | None) -> None:
    """Since when a provider was asked in vain how the order stands; that is no event."""
    await session.execute(
        update(Claim)
        .where(Claim.id == claim_id)
        .values(asked_since=since)
        .execution_options(synchronize_session=False)
    )


async def find(session: Session, claim_id: UUID) -> Claim | None:
    return await session.get(Claim, claim_id, populate_existing=True)


async def find_in_book(session: Session, book_id: UUID, claim_id: UUID) -> Claim | None:
    found: Claim | None = await session.scalar(
        select(Claim).where(Claim.id == claim_id, Claim.book_id == book_id)
    )
    return found


async def open_of(session: Session, order_id: int) -> Claim | None:
    found: Claim | None = await session.scalar(
        select(Claim).where(Claim.order_id == order_id, Claim.closed_at.is_(None))
    )
    return found


async def lock(session: Session, claim_id: UUID) -> Claim | None:
    """The caller has locked its work and its order first."""
    found: Claim | None = await session.scalar(
        select(Claim)
        .where(Claim.id == claim_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def credited(session: Session, order_id: int) -> int:
    """What earlier claims gave back for something else than missing delivery."""
    total = await session.scalar(
        select(func.coalesce(func.sum(Claim.refund), 0)).where(
            Claim.order_id == order_id,
            Claim.state == ClaimState.APPROVED,
            Claim.reason == Reason.NOT_AS_DESCRIBED,
        )
    )
    return int(total or 0)


async def given_by_people(session: Session, order_id: int) -> int:
    """What operators gave back by claims on this order; what the facts decided is not theirs."""
    total = await session.scalar(
        select(func.coalesce(func.sum(Claim.refund), 0)).where(
            Claim.order_id == order_id,
            Claim.state == ClaimState.APPROVED,
            Claim.rule == Rule.BY_AN_OPERATOR,
        )
    )
    return int(total or 0)


async def with_evidence(
    session: Session, ref_type: str, *, closed_before: datetime, limit: int
) -> Sequence[UUID]:
    """Claims that were closed before a moment and still have files, the oldest first."""
    rows = await session.scalars(
        select(Claim.id)
        .join(
            StoredFile,
            and_(
                StoredFile.ref_type == ref_type,
                StoredFile.ref_id == cast(Claim.id, Text),
                StoredFile.state == FileState.ATTACHED,
            ),
        )
        .where(Claim.closed_at < closed_before)
        .group_by(Claim.id)
        .order_by(Claim.id)
        .limit(limit)
    )
    return rows.all()


async def page(
    session: Session,
    book_id: UUID,
    *,
    order_id: int | None,
    states: Collection[ClaimState] | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Claim]:
    """Claims of one book, newest first; those on an order are those on its runs too."""
    statement = select(Claim).where(Claim.book_id == book_id).order_by(Claim.id.desc()).limit(limit)
    if order_id is not None:
        runs = select(Order.id).where(Order.parent_id == order_id)
        statement = statement.where(or_(Claim.order_id == order_id, Claim.order_id.in_(runs)))
    if states is not None:
        statement = statement.where(Claim.state.in_(states))
    if after is not None:
        statement = statement.where(Claim.id < after)
    return (await session.scalars(statement)).all()


async def queue(
    session: Session,
    states: Collection[ClaimState],
    *,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> Sequence[Claim]:
    """Claims in these states, the longest due first."""
    place = tuple_(Claim.due_at, Claim.id)
    statement = (
        select(Claim).where(Claim.state.in_(states)).order_by(Claim.due_at, Claim.id).limit(limit)
    )
    if after is not None:
        statement = statement.where(place > after)
    return (await session.scalars(statement)).all()


async def events_of(session: Session, claim_id: UUID, *, limit: int) -> Sequence[ClaimEvent]:
    """From the first on."""
    return (
        await session.scalars(
            select(ClaimEvent)
            .where(ClaimEvent.claim_id == claim_id)
            .order_by(ClaimEvent.seq)
            .limit(limit)
        )
    ).all()


async def sealed_otherwise(session: Session, key_id: bytes, *, limit: int) -> Sequence[Claim]:
    """Claims whose description another master key sealed, locked."""
    return (
        await session.scalars(
            select(Claim)
            .where(func.substring(Claim.description, 1, len(key_id)) != key_id)
            .order_by(Claim.id)
            .limit(limit)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def open_counts(session: Session) -> dict[str, int]:
    """How many claims are in each state that is not an end."""
    rows = await session.execute(
        select(Claim.state, func.count()).where(Claim.closed_at.is_(None)).group_by(Claim.state)
    )
    return {row[0]: row[1] for row in rows}


async def overdue_count(session: Session, states: Collection[ClaimState]) -> int:
    """Open claims in these states past the time at which somebody was to look at them."""
    count = await session.scalar(
        select(func.count()).where(
            Claim.closed_at.is_(None), Claim.state.in_(states), Claim.due_at < now_of(session)
        )
    )
    return int(count or 0)


async def filed_counts(
    session: Session, since: datetime
) -> dict[tuple[UUID | None, int, str], int]:
    """Per provider, service and state: the claims filed since a moment."""
    rows = await session.execute(
        select(Order.provider_id, Order.service_id, Claim.state, func.count())
        .join(Order, Order.id == Claim.order_id)
        .where(Claim.created_at >= since)
        .group_by(Order.provider_id, Order.service_id, Claim.state)
    )
    return {(row[0], row[1], row[2]): row[3] for row in rows}


async def orders_ended(session: Session, since: datetime) -> dict[tuple[UUID | None, int], int]:
    """Per provider and service: the orders that ended since a moment. It reads all of them."""
    rows = await _ORDERS_ENDED.rows_within(session, COUNTING_SECONDS_MAX, since=since)
    return {(row.provider_id, row.service_id): row.orders for row in rows}
