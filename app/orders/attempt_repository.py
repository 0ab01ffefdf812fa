"""The SQL of attempts and evidence, in batches: one statement for all orders of a drain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, exists, func, insert, select, text, update

from app.core.db import Session
from app.core.uow import now_of
from app.orders.models import Attempt, Order, ProviderEvidence
from app.orders.states import POSSIBLY_LIVE, AttemptState

# The moves `take` and `accept` of many orders at once; `states.py` is their table, the trigger
# their guard, and a test holds the three equal.
_TAKE: Final = text(
    """
    WITH taken AS (
        UPDATE orders SET state = 'submitting', version = version + 1, wait_reason = NULL
        WHERE id = ANY(:ids) AND state = 'queued'
        RETURNING id, version, service_id, book_id, quantity, price_unit
    ), event AS (
        INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
        SELECT id, version, 'take', :actor, false, '{}', :now FROM taken
    )
    SELECT taken.id, taken.service_id, taken.quantity, taken.price_unit, i.sealed
    FROM taken JOIN order_inputs i ON i.order_id = taken.id
    """
)
_ACCEPT: Final = text(
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


async def take(session: Session, order_ids: Collection[int], *, actor: str) -> Sequence[Row[Any]]:
    """queued → submitting for those still queued, with what is needed to hand them over."""
    rows = await session.execute(
        _TAKE, {"ids": list(order_ids), "actor": actor, "now": now_of(session)}
    )
    return rows.all()


async def accept(
    session: Session,
    provider_id: UUID,
    accepted: Sequence[tuple[int, UUID, str]],
    *,
    actor: str,
) -> set[int]:
    """submitting → in_progress for (order, attempt, provider order id); the orders it moved."""
    rows = await session.execute(
        _ACCEPT,
        {
            "provider_id": provider_id,
            "order_ids": [order_id for order_id, _, _ in accepted],
            "attempt_ids": [attempt_id for _, attempt_id, _ in accepted],
            "provider_order_ids": [provider_order_id for _, _, provider_order_id in accepted],
            "actor": actor,
            "now": now_of(session),
        },
    )
    return {row.order_id for row in rows}


async def earlier(
    session: Session, order_ids: Collection[int]
) -> Sequence[Row[int, int, UUID, str | None]]:
    """Order, number, route and outcome of every attempt made so far."""
    rows = await session.execute(
        select(Attempt.order_id, Attempt.number, Attempt.route_id, Attempt.outcome).where(
            Attempt.order_id.in_(order_ids)
        )
    )
    return rows.all()


async def insert_attempts(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(Attempt), rows)


async def mark_sending(session: Session, attempt_ids: Collection[UUID]) -> set[UUID]:
    """leased → sending; an attempt that the sweeper took away meanwhile is not among them."""
    rows = await session.scalars(
        update(Attempt)
        .where(Attempt.id.in_(attempt_ids), Attempt.state == AttemptState.LEASED)
        .values(state=AttemptState.SENDING, sending_at=now_of(session))
        .returning(Attempt.id)
        .execution_options(synchronize_session=False)
    )
    return set(rows)


async def end(
    session: Session, attempt_id: UUID, state: AttemptState, *, outcome: str, **values: Any
) -> None:
    await session.execute(
        update(Attempt)
        .where(Attempt.id == attempt_id)
        .values(state=state, outcome=outcome, ended_at=now_of(session), **values)
        .execution_options(synchronize_session=False)
    )


async def append_evidence(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        await session.execute(insert(ProviderEvidence), rows)


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


async def lock_acceptance(session: Session, provider_id: UUID) -> None:
    """Until the commit nobody else records what this provider accepted."""
    name = f"accept:{provider_id}"
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name}
    )


async def ids_in_use(
    session: Session, provider_id: UUID, provider_order_ids: Collection[str]
) -> set[str]:
    """Those of a provider's order ids that some order of ours already has."""
    rows = await session.scalars(
        select(Order.provider_order_id).where(
            Order.provider_id == provider_id, Order.provider_order_id.in_(provider_order_ids)
        )
    )
    return {provider_order_id for provider_order_id in rows if provider_order_id is not None}


async def evidence_of(session: Session, attempt_id: UUID) -> str | None:
    """The provider order id that an answer to this attempt carried, if any did."""
    found: str | None = await session.scalar(
        select(ProviderEvidence.provider_order_id)
        .where(
            ProviderEvidence.attempt_id == attempt_id,
            ProviderEvidence.provider_order_id.is_not(None),
        )
        .order_by(ProviderEvidence.id)
        .limit(1)
    )
    return found


async def evidence_list(
    session: Session, attempt_ids: Iterable[UUID], *, limit: int
) -> Sequence[ProviderEvidence]:
    """What was said to these attempts, oldest first."""
    return (
        await session.scalars(
            select(ProviderEvidence)
            .where(ProviderEvidence.attempt_id.in_(list(attempt_ids)))
            .order_by(ProviderEvidence.id)
            .limit(limit)
        )
    ).all()


async def provider_id_taken(
    session: Session, provider_id: UUID, provider_order_id: str, *, besides: int
) -> bool:
    return bool(
        await session.scalar(
            select(
                exists().where(
                    Order.provider_id == provider_id,
                    Order.provider_order_id == provider_order_id,
                    Order.id != besides,
                )
            )
        )
    )


async def put_back(session: Session, order_ids: Collection[int], *, actor: str) -> None:
    """submitting → queued for orders whose attempt never reached the wire."""
    await session.execute(
        _PUT_BACK, {"ids": list(order_ids), "actor": actor, "now": now_of(session)}
    )


_PUT_BACK: Final = text(
    """
    WITH back AS (
        UPDATE orders SET state = 'queued', version = version + 1
        WHERE id = ANY(:ids) AND state = 'submitting'
        RETURNING id, version
    )
    INSERT INTO order_events (order_id, seq, type, actor, public, data, at)
    SELECT id, version, 'put_back', :actor, false, '{}', :now FROM back
    """
)


async def count_since(session: Session, since: Any) -> dict[str, int]:
    """Attempts by state since a moment."""
    rows = await session.execute(
        select(Attempt.state, func.count())
        .where(Attempt.started_at >= since)
        .group_by(Attempt.state)
    )
    return {row[0]: row[1] for row in rows}


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
