"""Asking providers for their balance: the one call that may try a closed door."""

from __future__ import annotations

from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.core.work import Lease
from app.providers.protocol import ProviderBalance, ProviderUnreachable, TroubleKind
from app.providers.registry import get_adapter
from app.supply import probing
from app.supply import service as supply
from app.supply.probing import Probe
from workers.calls import counted
from workers.context import WorkerContext
from workers.draining import drain_each

log = get_logger(__name__)


async def drain_probe(context: WorkerContext, lane: str) -> None:
    """Ask the providers that are due for their balance: the one call that may try a closed door.

    All of a batch at once: one that hangs keeps no other shut.
    """

    async def one(leased: Lease, ref: str) -> None:
        await _probe(context, leased, UUID(ref))

    await drain_each(context, supply.PROBE, lane, one, together=True)


async def _probe(context: WorkerContext, leased: Lease, provider_id: UUID) -> None:
    """Learn a provider's balance; any answer closes its breaker, silence opens it again."""
    runtime, scale = context.runtime, context.settings.time_scale

    async def begin(session: Session) -> Probe | None:
        return await probing.begin_probe(
            session, runtime.keys, leased, provider_id, time_scale=scale
        )

    probe = await runtime.uow.run(begin)
    if probe is None:
        return
    if probe.call is None:

        async def unasked(session: Session) -> None:
            await probing.record_unasked(session, leased, provider_id, time_scale=scale)

        await context.persist(unasked)
        return
    adapter = get_adapter(probe.account.adapter, context.wire)
    balance: ProviderBalance | None = None
    answered, wait = True, None
    try:
        with counted(probe.provider_name, "balance"):
            balance = await adapter.balance(probe.account)
    except ProviderUnreachable as trouble:
        # A page may be from whoever stands before the provider: an order tried on it would be lost.
        answered = trouble.answered and trouble.kind is not TroubleKind.UNREADABLE
        wait = trouble.retry_after_seconds
        log.info("probe_failed", provider=probe.provider_name, why=str(trouble))

    async def transaction(session: Session) -> None:
        await probing.record_probe(
            session,
            leased,
            provider_id,
            balance,
            time_scale=scale,
            call=probe.call,
            answered=answered,
            retry_after_seconds=wait,
            asking=probe.asking,
        )

    await context.persist(transaction)
