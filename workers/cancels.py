"""Asking providers to end running orders: lease, call, record; what comes of it, polls tell."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.orders import canceling
from app.orders.canceling import CancelBatch
from app.providers.protocol import CancelAnswer, ProviderUnreachable
from app.providers.registry import get_adapter
from workers.calls import counted
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)


async def drain_cancel(context: WorkerContext, lane: str) -> None:
    """Ask one provider to cancel what it was not asked for yet, until there is nothing."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set() or not await _ask_once(context, UUID(lane)):
            return


async def _ask_once(context: WorkerContext, provider_id: UUID) -> bool:
    """Whether there was something to ask and the provider answered."""
    runtime = context.runtime

    async def lease(session: Session) -> CancelBatch | None:
        leased = await canceling.lease_cancels(
            session, runtime.keys, provider_id, time_scale=context.settings.time_scale
        )
        return leased if isinstance(leased, CancelBatch) else None

    batch = await runtime.uow.run(lease)
    if batch is None:
        return False
    try:
        answers = await _call(context, batch)
    except ProviderUnreachable as trouble:
        await _record_failure(context, batch, trouble)
        return False

    async def record(session: Session) -> None:
        await canceling.record_cancel_answers(session, batch, answers)

    await context.persist(record)
    return True


async def _call(context: WorkerContext, batch: CancelBatch) -> Mapping[str, CancelAnswer]:
    adapter = get_adapter(batch.account.adapter, context.wire)
    with counted(batch.provider_name, "cancel"):
        return await adapter.cancel(batch.account, list(batch.orders))


async def _record_failure(
    context: WorkerContext, batch: CancelBatch, trouble: ProviderUnreachable
) -> None:
    log.info("cancel_failed", provider=batch.provider_name, why=str(trouble))

    async def transaction(session: Session) -> None:
        await canceling.record_cancel_failure(
            session,
            batch,
            retry_after_seconds=trouble.retry_after_seconds,
            answered=trouble.answered,
        )

    await context.persist(transaction)
