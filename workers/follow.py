"""Following orders: ask a provider about a hundred in one call, and record each answer."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.orders import follow
from app.orders.follow import Poll
from app.providers.protocol import ProviderUnreachable, StatusAnswer
from app.providers.registry import get_adapter
from workers.calls import counted
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)


async def drain_follow(context: WorkerContext, lane: str) -> None:
    """Ask about the orders of one provider whose next poll is due, until none is."""
    provider_id = UUID(lane)
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set() or not await _poll_once(context, provider_id):
            return


async def _poll_once(context: WorkerContext, provider_id: UUID) -> bool:
    """Whether there was something to ask and the provider answered."""
    runtime = context.runtime

    async def lease(session: Session) -> Poll | None:
        leased = await follow.lease_poll(
            session, runtime.keys, provider_id, time_scale=context.settings.time_scale
        )
        return leased if isinstance(leased, Poll) else None

    poll = await runtime.uow.run(lease)
    if poll is None:
        return False
    try:
        answers = await _ask(context, poll)
    except ProviderUnreachable as trouble:
        await _record_failure(context, poll, trouble)
        return False
    failure: Exception | None = None
    for part in poll.parts():
        try:
            await _record(context, part, answers)
        except Exception as error:
            # One part that cannot be recorded keeps no other from it.
            log.exception("answers_not_recorded", provider=poll.provider_name)
            failure = error
    if failure is not None:
        raise failure
    return True


async def _record(context: WorkerContext, poll: Poll, answers: Mapping[str, StatusAnswer]) -> None:
    async def transaction(session: Session) -> None:
        await follow.record_answers(session, poll, answers)

    await context.persist(transaction)


async def _ask(context: WorkerContext, poll: Poll) -> Mapping[str, StatusAnswer]:
    adapter = get_adapter(poll.account.adapter, context.wire)
    with counted(poll.provider_name, "status"):
        return await adapter.status(poll.account, list(poll.orders))


async def _record_failure(context: WorkerContext, poll: Poll, trouble: ProviderUnreachable) -> None:
    log.info("poll_failed", provider=poll.provider_name, why=str(trouble), orders=len(poll.orders))

    async def transaction(session: Session) -> None:
        await follow.record_failure(
            session,
            poll,
            retry_after_seconds=trouble.retry_after_seconds,
            answered=trouble.answered,
        )

    await context.persist(transaction)
