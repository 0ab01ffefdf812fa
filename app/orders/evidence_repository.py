"""The SQL of evidence: what providers said to attempts, and whose their order ids are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import exists, select

from app.core.db import Session
from app.core.statements import Statement
from app.core.uow import now_of
from app.orders.models import Order, ProviderEvidence

_APPEND_EVIDENCE: Final = Statement(
    """
    INSERT INTO provider_evidence (attempt_id, provider_order_id, answer, at)
    SELECT attempt_id, provider_order_id, answer, :now
    FROM unnest(CAST(:attempt_ids AS uuid[]), CAST(:provider_order_ids AS text[]),
                CAST(:answers AS text[])) AS said (attempt_id, provider_order_id, answer)
    WHERE NOT EXISTS (
        SELECT 1 FROM provider_evidence e
        WHERE e.attempt_id = said.attempt_id AND e.answer = said.answer
              AND e.provider_order_id IS NOT DISTINCT FROM said.provider_order_id)
    """
)
_LOCK_ACCEPTANCE: Final = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_IDS_KNOWN: Final = Statement(
    """
    SELECT provider_order_id FROM orders
    WHERE provider_id = :provider_id AND provider_order_id = ANY(:ids) AND id <> ALL(:order_ids)
    UNION
    SELECT e.provider_order_id
    FROM provider_evidence e JOIN attempts a ON a.id = e.attempt_id
    WHERE e.provider_order_id = ANY(:ids) AND a.provider_id = :provider_id
          AND a.id <> ALL(:attempt_ids)
    """
)


async def append_evidence(session: Session, said: Mapping[UUID, tuple[str | None, str]]) -> None:
    """What was said to each attempt: a provider's order id, if any, and the answer.

    The same words to the same attempt are kept once, so that this may be run again.
    """
    if said:
        await _APPEND_EVIDENCE.rows(
            session,
            attempt_ids=list(said),
            provider_order_ids=[provider_order_id for provider_order_id, _ in said.values()],
            answers=[answer for _, answer in said.values()],
            now=now_of(session),
        )


async def lock_acceptance(session: Session, provider_id: UUID) -> None:
    """Until the commit nobody else records what this provider accepted."""
    await _LOCK_ACCEPTANCE.rows(session, name=f"accept:{provider_id}")


async def ids_known_besides(
    session: Session,
    provider_id: UUID,
    provider_order_ids: Collection[str],
    *,
    ours: Mapping[int, UUID],
) -> set[str]:
    """Those of a provider's order ids that another order has, or that its answer to another
    attempt carried; `ours` are the orders and attempts that the ids are now to be given to.
    """
    rows = await _IDS_KNOWN.rows(
        session,
        provider_id=provider_id,
        ids=list(provider_order_ids),
        order_ids=list(ours),
        attempt_ids=list(ours.values()),
    )
    return {row.provider_order_id for row in rows}


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


async def ids_told(session: Session, attempt_ids: Collection[UUID]) -> dict[UUID, str]:
    """The provider order ids that answers to these attempts carried."""
    rows = await session.execute(
        select(ProviderEvidence.attempt_id, ProviderEvidence.provider_order_id).where(
            ProviderEvidence.attempt_id.in_(attempt_ids),
            ProviderEvidence.provider_order_id.is_not(None),
        )
    )
    return {row.attempt_id: row.provider_order_id for row in rows if row.provider_order_id}


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
