"""Refills on the wire: ask for each by itself, once; then ask how a hundred stand in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from app.core.clock import elapsed_seconds
from app.core.db import Session
from app.core.logging import get_logger
from app.orders import refill_asking, refill_following
from app.orders.refill_asking import RefillBatch, RefillOutcome
from app.orders.refill_following import RefillPoll
from app.providers.protocol import (
    ProviderUnreachable,
    RefillStatusAnswer,
    TroubleKind,
    Unconfirmed,
)
from app.providers.registry import get_adapter
from workers.calls import counted
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)

_TOO_LATE: Final = "The deadline for sending has passed."


async def drain_refill(context: WorkerContext, lane: str) -> None:
    """Ask one provider for the refills that it was not asked for yet, until there are none."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set() or not await _ask_some(context, UUID(lane)):
            return


async def _ask_some(context: WorkerContext, provider_id: UUID) -> bool:
    """Whether there was something to ask for."""
    runtime, asked_at = context.runtime, elapsed_seconds()

    async def lease(session: Session) -> RefillBatch | None:
        leased = await refill_asking.lease_refills(
            session, runtime.keys, provider_id, time_scale=context.settings.time_scale
        )
        return leased if isinstance(leased, RefillBatch) else None

    batch = await runtime.uow.run(lease)
    if batch is None:
        return False
    deadline = asked_at + batch.send_within_seconds
    # Each by itself: one answer for several would leave unknown which of them were taken.
    outcomes = await asyncio.gather(
        *(
            _ask(context, batch, provider_order, deadline)
            for provider_order in batch.orders.values()
        )
    )
    said = dict(zip(batch.orders, outcomes, strict=True))

    async def record(session: Session) -> None:
        await refill_asking.record_refills(session, batch, said)

    try:
        await context.persist(record)
    except Exception:
        # The sweeper will call these unknown: whoever resolves them finds here what was said.
        log.exception("refills_not_recorded", said={i: repr(one) for i, one in said.items()})
        raise
    return True


async def _ask(
    context: WorkerContext, batch: RefillBatch, provider_order: str, deadline: float
) -> RefillOutcome:
    """One call. A worker that was stopped past the deadline does not ask when it wakes."""
    if elapsed_seconds() >= deadline:
        return ProviderUnreachable(TroubleKind.TRANSPORT, _TOO_LATE)
    adapter = get_adapter(batch.account.adapter, context.wire)
    try:
        with counted(batch.provider_name, "refill"):
            answers = await adapter.refill(batch.account, [provider_order])
    except ProviderUnreachable as trouble:
        return trouble
    except Exception as error:
        # An adapter never raises anything else; if one does, nothing is known of the refill.
        log.exception("refill_raised", provider=batch.provider_name)
        return Unconfirmed(reason=f"adapter failed: {type(error).__name__}")
    return answers[provider_order]


async def drain_refill_follow(context: WorkerContext, lane: str) -> None:
    """Ask about the refills of one provider whose next poll is due, until none is."""
    for _ in range(ROUNDS_MAX):
        if context.stopping.is_set() or not await _poll_once(context, UUID(lane)):
            return


async def _poll_once(context: WorkerContext, provider_id: UUID) -> bool:
    """Whether there was something to ask and the provider answered."""
    runtime = context.runtime

    async def lease(session: Session) -> RefillPoll | None:
        leased = await refill_following.lease_refill_poll(
            session, runtime.keys, provider_id, time_scale=context.settings.time_scale
        )
        return leased if isinstance(leased, RefillPoll) else None

    poll = await runtime.uow.run(lease)
    if poll is None:
        return False
    try:
        answers = await _ask_about(context, poll)
    except ProviderUnreachable as trouble:
        await _record_failure(context, poll, trouble)
        return False

    async def record(session: Session) -> None:
        await refill_following.record_refill_answers(session, poll, answers)

    await context.persist(record)
    return True


async def _ask_about(context: WorkerContext, poll: RefillPoll) -> Mapping[str, RefillStatusAnswer]:
    adapter = get_adapter(poll.account.adapter, context.wire)
    with counted(poll.provider_name, "refill_status"):
        return await adapter.refill_status(poll.account, list(poll.refills))


async def _record_failure(
    context: WorkerContext, poll: RefillPoll, trouble: ProviderUnreachable
) -> None:
    log.info("refill_poll_failed", provider=poll.provider_name, why=str(trouble))

    async def transaction(session: Session) -> None:
        await refill_following.record_refill_failure(
            session,
            poll,
            retry_after_seconds=trouble.retry_after_seconds,
            answered=trouble.answered,
        )

    await context.persist(transaction)
