"""Looking for lost orders: ask their provider what it can be asked, and record each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.core.work import MAIN_LANE
from app.orders import reconciling
from app.orders.reconciling import Learned, Look, Question
from app.providers.protocol import LookupAnswer, ProviderUnreachable, StatusAnswer
from app.providers.registry import get_adapter
from app.supply import protection
from workers.calls import counted
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)


async def drain_reconcile(context: WorkerContext, lane: str) -> None:
    """Look once more for the lost orders of one provider that are due, until none is."""
    if lane == MAIN_LANE:
        await _give_lanes(context)
        return
    provider_id = UUID(lane)
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set() or not await _look_once(context, provider_id):
            return


async def _give_lanes(context: WorkerContext) -> None:
    async def transaction(session: Session) -> None:
        await reconciling.give_lanes(session)

    await context.runtime.uow.run(transaction)


async def _look_once(context: WorkerContext, provider_id: UUID) -> bool:
    """Whether there was something to look for. Raises the last failure to record."""
    runtime = context.runtime

    async def lease(session: Session) -> Look | None:
        return await reconciling.lease_look(
            session, runtime.keys, provider_id, time_scale=context.settings.time_scale
        )

    look = await runtime.uow.run(lease)
    if look is None:
        return False
    lookups = await _look_up(context, look)
    failure: Exception | None = None
    for question in look.questions:
        statuses = await _search(context, look, question)
        try:
            await _record(context, look, question, Learned(lookups, statuses))
        except Exception as error:
            # One order that cannot be recorded keeps no other from it.
            log.exception("look_not_recorded", provider=look.provider_name, order=question.order_id)
            failure = error
    if failure is not None:
        raise failure
    return True


async def _look_up(context: WorkerContext, look: Look) -> Mapping[str, LookupAnswer]:
    """What the provider has under our references; nothing when it did not say."""
    references = look.references
    if look.account is None or not references:
        return {}
    adapter = get_adapter(look.account.adapter, context.wire)
    try:
        with counted(look.provider_name, "find"):
            return await adapter.find(look.account, references)
    except ProviderUnreachable as trouble:
        await _count_failure(context, look, trouble)
        return {}


async def _search(
    context: WorkerContext, look: Look, question: Question
) -> Mapping[str, StatusAnswer]:
    """How the ids stand that this order may have; nothing when the provider did not say."""
    if look.account is None or not question.ids:
        return {}
    adapter = get_adapter(look.account.adapter, context.wire)
    try:
        with counted(look.provider_name, "status"):
            return await adapter.status(look.account, [str(one) for one in question.ids])
    except ProviderUnreachable as trouble:
        await _count_failure(context, look, trouble)
        return {}


async def _count_failure(context: WorkerContext, look: Look, trouble: ProviderUnreachable) -> None:
    log.info("look_failed", provider=look.provider_name, why=str(trouble))
    if trouble.answered:
        return

    async def transaction(session: Session) -> None:
        await protection.record_read_failures(
            session, look.provider_id, 1, time_scale=look.time_scale
        )

    await context.runtime.uow.run(transaction)


async def _record(context: WorkerContext, look: Look, question: Question, learned: Learned) -> None:
    async def transaction(session: Session) -> None:
        await reconciling.record_look(
            session,
            look,
            question,
            learned,
            unknown_hours_max=context.settings.unknown_hours_max,
        )

    await context.runtime.uow.run(transaction, repeatable=True)
