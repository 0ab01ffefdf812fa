"""The SQL of attempts, in batches: one statement for all orders of a drain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select, text, update

from app.core.db import Session
from app.core.statements import Row, Statement
from app.core.uow import now_of
from app.orders.models import Attempt, ProviderEvidence
from app.orders.states import POSSIBLY_LIVE, AttemptState

# The moves `take` and `accept` of many orders at once; `states.py` is their table, the trigger
# their guard, and a test holds the three equal.
_TAKE: Final = Statement(
    """
    WITH item AS (
        SELECT * FROM unnest(
            CAST(:id AS uuid[]), CAST(:order_id AS bigint[]), CAST(:number AS int[]),
            CAST(:route_id AS uuid[]), CAST(:provider_id AS uuid[]),
            CAST(:provider_service AS text[]), CAST(:lease_token AS uuid[]),
            CAST(:cost_micros AS bigint[]), CAST(:cost_currency AS text[]),
            CAST(:rate_to_ours_micros AS bigint[]), CAST(:link_exclusive AS boolean[]),
            CAST(:told AS text[])
        ) AS item (id, order_id, number, route_id, provider_id, provider_service, lease_token,
                   cost_micros, cost_currency, rate_to_ours_micros, link_exclusive, told)
    ), taken AS (
        UPDATE orders SET state = 'submitting', version = version + 1, wait_reason = NULL
        FROM item WHERE orders.id = item.order_id AND orders.state = 'queued'
        RETURNING orders.id, orders.version, orders.service_id, orders.quantity, item.told
    ), event AS (
        INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
        SELECT id, version, 'take', :actor, false, CAST(told AS jsonb), :now FROM taken
    ), attempt AS (
        INSERT INTO attempts (
            id, order_id, number, route_id, provider_id, provider_service, state, lease_token,
            cost_micros, cost_currency, rate_to_ours_micros, link_exclusive, started_at)
        SELECT item.id, item.order_id, item.number, item.route_id, item.provider_id,
               item.provider_service, 'leased', item.lease_token, item.cost_micros,
               item.cost_currency, item.rate_to_ours_micros, item.link_exclusive, :now
        FROM item JOIN taken ON taken.id = item.order_id
    )
    SELECT taken.id, taken.service_id, taken.quantity, i.sealed
    FROM taken JOIN order_inputs i ON i.order_id = taken.id
    """
)
_ACCEPT: Final = Statement(
    """
    WITH item AS (
        SELECT * FROM unnest(CAST(:order_ids AS bigint[]), CAST(:attempt_ids AS uuid[]),
                             CAST(:provider_order_ids AS text[]))
            AS item (order_id, attempt_id, provider_order_id)
    ), attempt AS (
        UPDATE attempts SET state = 'accepted', ended_at = :now,
               provider_order_id = item.provider_order_id
        FROM item WHERE attempts.id = item.attempt_id AND attempts.state = 'sending'
        RETURNING attempts.order_id
    ), accepted AS (
        UPDATE orders SET state = 'in_progress', version = version + 1,
               provider_id = :provider_id, provider_order_id = item.provider_order_id
        FROM item JOIN attempt ON attempt.order_id = item.order_id
        WHERE orders.id = item.order_id AND orders.state = 'submitting'
        RETURNING orders.id, orders.version, item.provider_order_id
    )
    INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
    SELECT id, version, 'accept', :actor, true,
           jsonb_build_object('provider_order_id', provider_order_id), :now
    FROM accepted RETURNING order_id
    """
)


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """A try to hand an order over, with what it costs in the provider's currency.

    `told` is what the timeline keeps of the choice of its route, as JSON.
    """

    id: UUID
    order_id: int
    number: int
    route_id: UUID
    provider_id: UUID
    provider_service: str
    lease_token: UUID
    cost_micros: int
    cost_currency: str
    rate_to_ours_micros: int
    link_exclusive: bool
    told: str


_ATTEMPT_COLUMNS: Final = tuple(column.name for column in fields(NewAttempt))


async def take(session: Session, attempts: Sequence[NewAttempt], *, actor: str) -> Sequence[Row]:
    """queued → submitting, each under its attempt; those still queued, with their sealed input."""
    columns = {name: [getattr(one, name) for one in attempts] for name in _ATTEMPT_COLUMNS}
    return await _TAKE.rows(session, actor=actor, now=now_of(session), **columns)


async def accept(
    session: Session,
    provider_id: UUID,
    accepted: Sequence[tuple[int, UUID, str]],
    *,
    actor: str,
) -> set[int]:
    """submitting → in_progress for (order, attempt, provider order id); the orders it moved."""
    rows = await _ACCEPT.rows(
        session,
        provider_id=provider_id,
        order_ids=[order_id for order_id, _, _ in accepted],
        attempt_ids=[attempt_id for _, attempt_id, _ in accepted],
        provider_order_ids=[provider_order_id for _, _, provider_order_id in accepted],
        actor=actor,
        now=now_of(session),
    )
    return {row.order_id for row in rows}


_EARLIER: Final = Statement(
    """
    SELECT order_id, number, route_id, outcome, EXISTS (
        SELECT 1 FROM provider_evidence e
        WHERE e.attempt_id = attempts.id AND e.provider_order_id IS NOT NULL) AS has_id
    FROM attempts WHERE order_id = ANY(:order_ids)
    """
)
# The first of its transaction: through SQLAlchemy, it brings the BEGIN along.
# Marked before is marked: only who made these attempts knows their ids, and has sent none yet.
_MARK_SENDING: Final = text(
    """
    UPDATE attempts SET state = 'sending', sending_at = :now
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('leased', 'sending')
    RETURNING id
    """
)


async def earlier(session: Session, order_ids: Collection[int]) -> Sequence[Row]:
    """Order, number, route and outcome of every attempt made so far, and whether an answer to it
    carried an id.
    """
    return await _EARLIER.rows(session, order_ids=list(order_ids))


async def mark_sending(session: Session, attempt_ids: Collection[UUID]) -> set[UUID]:
    """leased → sending; an attempt that the sweeper took away meanwhile is not among them."""
    values = {"ids": list(attempt_ids), "now": now_of(session)}
    return set(await session.scalars(_MARK_SENDING, values))


async def end(
    session: Session, attempt_id: UUID, state: AttemptState, *, outcome: str, **values: Any
) -> None:
    await session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(state=state, outcome=outcome, ended_at=now_of(session), **values)
        .execution_options(synchronize_session=False)
    )


async def live_of(session: Session, order_id: int) -> Attempt | None:
    """The one attempt after which a provider may have the order."""
    found: Attempt | None = await session.scalar(
        select(Attempt)
        .where(Attempt.order_id == order_id, Attempt.state.in_(POSSIBLY_LIVE))
        .execution_options(populate_existing=True)
    )
    return found


async def live_of_many(session: Session, order_ids: Collection[int]) -> dict[int, Attempt]:
    rows = await session.scalars(
        select(Attempt)
        .where(Attempt.order_id.in_(order_ids), Attempt.state.in_(POSSIBLY_LIVE))
        # Locked: between this look and what is made of it, nobody marks one as sending.
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {attempt.order_id: attempt for attempt in rows}


async def of_order(session: Session, order_id: int, *, limit: int) -> Sequence[Attempt]:
    """The route trail: every try, from the first on."""
    return (
        await session.scalars(
            select(Attempt)
            .where(Attempt.order_id == order_id)
            .order_by(Attempt.number)
            .limit(limit)
        )
    ).all()


async def doubt_absence(session: Session, order_id: int, *, outcome: str) -> None:
    """absent → unknown for the attempt whose answer carried an id after all."""
    carried = exists().where(
        ProviderEvidence.attempt_id == Attempt.id, ProviderEvidence.provider_order_id.is_not(None)
    )
    last = select(Attempt.id).where(
        Attempt.order_id == order_id, Attempt.state == AttemptState.ABSENT, carried
    )
    await session.execute(
        update(Attempt)
        .where(Attempt.id.in_(last.order_by(Attempt.number.desc()).limit(1)))
        .values(state=AttemptState.UNKNOWN, outcome=outcome)
        .execution_options(synchronize_session=False)
    )


async def put_back(session: Session, order_ids: Collection[int], *, actor: str) -> None:
    """submitting → queued for orders that no provider has; their links are free again."""
    await session.execute(
        _PUT_BACK, {"ids": list(order_ids), "actor": actor, "now": now_of(session)}
    )


_PUT_BACK: Final = text(
    """
    WITH back AS (
        UPDATE orders SET state = 'queued', version = version + 1
        WHERE id = ANY(:ids) AND state = 'submitting'
        RETURNING id, version
    ), freed AS (
        DELETE FROM link_locks WHERE order_id IN (SELECT id FROM back)
    )
    INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
    SELECT id, version, 'put_back', :actor, false, '{}', :now FROM back
    """
)


async def route_of(session: Session, attempt_id: UUID) -> UUID:
    return (await session.scalars(select(Attempt.route_id).where(Attempt.id == attempt_id))).one()


async def keep_charge(session: Session, attempt_id: UUID, charge_micros: int | None) -> None:
    """What the provider says that it took for this attempt, in its own currency."""
    await session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(provider_charge_micros=charge_micros)
        .execution_options(synchronize_session=False)
    )
