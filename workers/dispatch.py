"""Handing orders to providers: lease, mark as sending, call, record; never in one transaction."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from app.core.clock import elapsed_seconds
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import PROVIDER_CALLS, PROVIDER_SECONDS
from app.core.work import MAIN_LANE
from app.orders import dispatch
from app.orders.dispatch import Batch, Handover
from app.orders.outcomes import keep_evidence, record_outcomes
from app.orders.service import DISPATCH
from app.providers.protocol import Accepted, NotSent, Refused, SubmitOutcome, Unconfirmed
from app.providers.registry import get_adapter
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)

EVIDENCE_TRIES_MAX: Final = 200
EVIDENCE_PAUSE_SECONDS: Final = 0.5
EVIDENCE_PAUSE_SECONDS_MAX: Final = 5.0
LINGER_SHARE: Final = 1.0
LINGER_SECONDS_MAX: Final = 0.02
"""After the first answer of a round others are waited for, to record them together: for a share of
the time that this one took, and so for long only where answers are slow anyway."""


@dataclass(frozen=True, slots=True)
class Call:
    """An order on its way to a provider."""

    batch: Batch
    handover: Handover
    started: float


@dataclass(frozen=True, slots=True)
class Over:
    """Calls that were answered and are being recorded: their places are free already."""

    tokens: Mapping[str, UUID] = field(default_factory=dict)
    recording: asyncio.Task[None] | None = None

    async def recorded(self) -> None:
        """Raises what recording them raised."""
        if self.recording is not None:
            await self.recording


Calls = dict[asyncio.Task[SubmitOutcome], Call]
Said = dict[Handover, SubmitOutcome]


async def drain_dispatch(context: WorkerContext, lane: str) -> None:
    """Hand over what is due in one provider's lane, until nothing is or the worker stops.

    Keeps the lane's bound busy: as answers come in they are recorded together, and the freed
    places are leased again, so that one slow call holds up no other.
    """
    if lane == MAIN_LANE:
        await _drain_routeless(context)
        return
    provider_id = UUID(lane)
    calls: Calls = {}
    over = Over()
    rung = context.rung(DISPATCH, lane)
    try:
        for _ in range(ROUNDS_MAX):
            rung.clear()
            begun = not context.stopping.is_set() and await _begin(
                context, provider_id, calls, over.tokens
            )
            await over.recorded()
            if calls:
                done = await _answered(calls, rung)
                over = await _begin_to_record(context, {t: calls.pop(t) for t in done})
            elif not begun:
                return
    finally:
        # Also when the database was away for a moment: these calls will be answered.
        await _finish(context, calls, over)


async def _begin(
    context: WorkerContext,
    provider_id: UUID,
    calls: Calls,
    over: Mapping[str, UUID],
) -> bool:
    """Lease and start what fits the lane's bound; whether there was anything to lease."""
    asked_at = elapsed_seconds()
    runtime = context.runtime

    async def lease(session: Session) -> Batch | None:
        leased = await dispatch.lease_batch(
            session,
            runtime.keys,
            provider_id,
            time_scale=context.settings.time_scale,
            over=over,
        )
        return leased if isinstance(leased, Batch) else None

    batch = await runtime.uow.run(lease)
    if batch is None:
        return False

    async def mark(session: Session) -> Sequence[Handover]:
        return await dispatch.mark_sending(session, batch)

    handovers = await context.persist(mark)
    deadline = asked_at + batch.send_within_seconds
    for handover in handovers:
        task = asyncio.create_task(_submit(context, batch, handover, deadline))
        calls[task] = Call(batch, handover, time.monotonic())
    return True


async def _answered(calls: Calls, rung: asyncio.Event) -> list[asyncio.Task[SubmitOutcome]]:
    """The calls that are over: those that were first, and those that came soon after them.

    None when a ring comes before: what is new must not wait for a call that hangs.
    """
    ring = asyncio.ensure_future(rung.wait())
    try:
        await asyncio.wait([*calls, ring], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ring.cancel()
    first = [task for task in calls if task.done()]
    if not first:
        return []
    took = time.monotonic() - min(calls[task].started for task in first)
    linger = min(LINGER_SECONDS_MAX, LINGER_SHARE * took)
    await asyncio.wait(calls, timeout=linger)
    return [task for task in calls if task.done()]


async def _submit(
    context: WorkerContext, batch: Batch, handover: Handover, deadline: float
) -> SubmitOutcome:
    """One call. A worker that was stopped past the deadline does not send when it wakes."""
    adapter = get_adapter(batch.account.adapter, context.wire)
    started = time.monotonic()
    try:
        outcome = await adapter.submit(
            batch.account, handover.submission, may_send=lambda: elapsed_seconds() < deadline
        )
    except Exception:
        log.exception("submit_raised", provider=batch.provider_name)
        raise
    PROVIDER_SECONDS.labels(batch.provider_name, "submit").observe(time.monotonic() - started)
    PROVIDER_CALLS.labels(batch.provider_name, "submit", _outcome_label(outcome)).inc()
    return outcome


def _outcome_label(outcome: SubmitOutcome) -> str:
    match outcome:
        case Accepted():
            return "accepted"
        case Refused(kind=kind):
            return f"refused_{kind}"
        case NotSent():
            return "not_sent"
        case Unconfirmed():
            return "unconfirmed"


async def _begin_to_record(context: WorkerContext, done: Calls) -> Over:
    """Record beside the leasing of what takes the free places, where all went well.

    Any other answer may close the provider: it is recorded before another order is sent there.
    """
    if not all(isinstance(_outcome_of(task), Accepted) for task in done):
        await _record(context, done)
        return Over()
    tokens = {str(call.handover.order_id): call.batch.lease.token for call in done.values()}
    return Over(tokens, asyncio.create_task(_record(context, done)))


async def _record(
    context: WorkerContext,
    done: Calls,
) -> None:
    """Store what was said, and move the orders of each batch by it.

    A batch that cannot be recorded keeps no other from it.
    """
    by_batch: dict[int, tuple[Batch, Said]] = {}
    for task, call in done.items():
        outcomes = by_batch.setdefault(id(call.batch), (call.batch, {}))[1]
        outcomes[call.handover] = _outcome_of(task)
    failed: list[tuple[Batch, Said]] = []
    for batch, outcomes in by_batch.values():
        try:
            await _move(context, batch, outcomes)
        except Exception:
            log.exception("outcomes_not_recorded", provider=batch.provider_name)
            failed.append((batch, outcomes))
    # What was said must not be lost with the move: it is stored by itself before all else.
    failures = [await _tried(_store_evidence(context, outcomes)) for _, outcomes in failed]
    # Once more; where this fails too, the sweeper takes the lease and our evidence speaks.
    failures += [await _tried(_move(context, batch, outcomes)) for batch, outcomes in failed]
    for failure in filter(None, failures):
        raise failure


async def _tried(doing: Coroutine[None, None, None]) -> Exception | None:
    """What it raised: one that fails keeps no other from its turn."""
    try:
        await doing
    except Exception as error:
        log.exception("recording_failed")
        return error
    return None


def _outcome_of(task: asyncio.Task[SubmitOutcome]) -> SubmitOutcome:
    """An adapter never raises for wire trouble; if one does, nothing is known of the order."""
    error = task.exception()
    if error is None:
        return task.result()
    return Unconfirmed(reason=f"adapter failed: {type(error).__name__}")


async def _move(context: WorkerContext, batch: Batch, outcomes: Said) -> None:
    async def transaction(session: Session) -> None:
        await record_outcomes(session, batch, outcomes)

    await context.runtime.uow.run(transaction, repeatable=True)


async def _store_evidence(context: WorkerContext, outcomes: Said) -> None:
    """Keep what the provider said, again and again until it is stored."""

    async def transaction(session: Session) -> None:
        await keep_evidence(session, outcomes)

    for tried in range(1, EVIDENCE_TRIES_MAX + 1):
        try:
            await context.runtime.uow.run(transaction, repeatable=True)
        except Exception as error:
            log.warning(
                "evidence_not_stored", attempts=len(outcomes), tried=tried, error=repr(error)
            )
            if tried == EVIDENCE_TRIES_MAX:
                raise
            await asyncio.sleep(min(EVIDENCE_PAUSE_SECONDS * tried, EVIDENCE_PAUSE_SECONDS_MAX))
        else:
            return


async def _finish(context: WorkerContext, calls: Calls, over: Over) -> None:
    """Wait for the calls under way and record them; each has a time-out of its own."""
    try:
        await over.recorded()
    finally:
        if calls:
            await asyncio.wait(calls)
            await _record(context, calls)


async def _drain_routeless(context: WorkerContext) -> None:
    """Orders that had no route when they were queued: look whether they have one now."""

    async def transaction(session: Session) -> None:
        await dispatch.reroute(session)

    await context.runtime.uow.run(transaction)
