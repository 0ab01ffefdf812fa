"""Deciding claims at their deadlines: lease, ask the provider a last time, record."""

from __future__ import annotations

from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.core.work import Lease
from app.orders.follow import Poll
from app.providers.protocol import ProviderUnreachable
from app.providers.registry import get_adapter
from app.refunds import clock
from app.refunds.clock import Heard
from app.supply.protection import Closed
from workers.calls import counted
from workers.context import WorkerContext
from workers.draining import drain_leased

log = get_logger(__name__)


async def drain_claim(context: WorkerContext, lane: str) -> None:
    """Decide what is due, a few at a time; one that fails keeps no other from its turn."""

    async def lease(session: Session) -> Lease:
        return await clock.lease_due(session, lane)

    async def one(leased: Lease, ref: str) -> None:
        await _decide(context, leased, UUID(ref))

    await drain_leased(context, lease, one, together=True)


async def _decide(context: WorkerContext, leased: Lease, claim_id: UUID) -> None:
    runtime, scale = context.runtime, context.settings.time_scale

    async def question(session: Session) -> Poll | Closed | None:
        return await clock.last_question(session, runtime.keys, leased, claim_id, time_scale=scale)

    poll = await runtime.uow.run(question)
    heard = await _ask(context, poll) if isinstance(poll, Poll) else None

    async def record(session: Session) -> None:
        await clock.decide_due(session, leased, claim_id, heard, time_scale=scale)

    await runtime.uow.run(record, repeatable=True)


async def _ask(context: WorkerContext, poll: Poll) -> Heard:
    adapter = get_adapter(poll.account.adapter, context.wire)
    [given] = poll.orders
    try:
        with counted(poll.provider_name, "status"):
            answers = await adapter.status(poll.account, [given])
    except ProviderUnreachable as trouble:
        log.info("last_poll_failed", provider=poll.provider_name, why=str(trouble))
        return Heard(poll, None, answered=trouble.answered)
    return Heard(poll, answers[given], answered=True)
