"""Following refills at their provider: lease a batch, ask once, record each answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import FENCED, PROVIDER_STATUS_UNKNOWN
from app.core.uow import count_after_commit, now_of
from app.core.work import Lease
from app.orders import refill_moves, refill_repository
from app.orders.refill_asking import ACTOR
from app.orders.refill_models import Refill
from app.orders.refill_moves import POLL_MIN, REFILL_FOLLOW, next_poll
from app.orders.refill_states import TO_FOLLOW, RefillState
from app.providers import aftercare
from app.providers.aftercare import RefillProgress
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    IdUnknown,
    ProviderAccount,
    RefillStatusAnswer,
    Unreadable,
)
from app.supply import protection
from app.supply import service as supply
from app.supply.bounds import REFILL_STATUS_CALLS_MAX
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

ID_UNKNOWN_MAX: Final = 3
FOLLOWED_FOR_MAX: Final = timedelta(days=30)
"""A refill of which no end was heard for so long is looked at by a person."""


@dataclass(frozen=True, slots=True)
class RefillPoll:
    """Refills to ask one provider about in one call: provider refill id → refill."""

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    refills: dict[str, int]
    time_scale: float


async def lease_refill_poll(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> RefillPoll | Closed | None:
    """Up to 100 refills whose poll is due; None when none is; Closed when it may not be asked."""
    grant = await protection.admit_reads(session, provider_id)
    if not isinstance(grant, Grant):
        return grant
    provider = grant.provider
    account = supply.account_of(provider, keys, time_scale=time_scale)
    lease = await work.lease_batch(
        session,
        REFILL_FOLLOW,
        str(provider_id),
        limit=STATUS_BATCH_MAX,
        batches_max=REFILL_STATUS_CALLS_MAX,
        seconds=supply.lease_seconds(account),
    )
    if not lease.refs:
        return None
    await protection.spend_reads(session, provider, 1)
    ids = [int(ref) for ref in lease.refs]
    refills = await refill_repository.lock_many(session, ids, TO_FOLLOW)
    return RefillPoll(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        refills={one.provider_refill_id: one.id for one in refills if one.provider_refill_id},
        time_scale=supply.scale_of(provider, time_scale),
    )


async def record_refill_failure(
    session: Session, poll: RefillPoll, *, retry_after_seconds: float | None, answered: bool
) -> None:
    """The call gave nothing: every refill is asked about again later, and none has changed."""
    held = await work.lock_held(session, poll.lease, poll.lease.refs)
    if not held:
        return
    wait = max(POLL_MIN / poll.time_scale, timedelta(seconds=retry_after_seconds or 0))
    await work.put_back(session, REFILL_FOLLOW, held, due_at=now_of(session) + wait)
    await protection.record_asked_to_wait(session, poll.provider_id, retry_after_seconds)
    if answered:
        await protection.record_read_answers(session, poll.provider_id)
    else:
        await protection.record_read_failures(
            session, poll.provider_id, 1, time_scale=poll.time_scale
        )


async def record_refill_answers(
    session: Session, poll: RefillPoll, answers: Mapping[str, RefillStatusAnswer]
) -> None:
    """Move each refill by what was said of it. May be run again: what the lease no longer holds
    is passed over.
    """
    held = await work.lock_held(session, poll.lease, poll.lease.refs)
    fenced = len(poll.lease.refs) - len(held)
    if fenced:
        FENCED.labels(REFILL_FOLLOW).inc(fenced)
        log.warning("refill_answers_fenced", provider=poll.provider_name, refills=fenced)
    refills = await refill_repository.lock_many(session, [int(ref) for ref in held], TO_FOLLOW)
    due: dict[datetime, list[str]] = {}
    for refill in refills:
        answer = answers[refill.provider_refill_id or ""]
        if await _record(session, poll, refill, answer):
            due_at = next_poll(refill, now_of(session), poll.time_scale)
            due.setdefault(due_at, []).append(str(refill.id))
    for due_at, refs in due.items():
        await work.put_back(session, REFILL_FOLLOW, refs, due_at=due_at)
    await work.finish(session, REFILL_FOLLOW, held - {str(refill.id) for refill in refills})
    if held:
        await protection.record_read_answers(session, poll.provider_id)


async def _record(
    session: Session, poll: RefillPoll, refill: Refill, answer: RefillStatusAnswer
) -> bool:
    """Whether the refill is to be asked about again."""
    match answer:
        case RefillProgress(state=aftercare.RefillState.UNKNOWN):
            count_after_commit(session, PROVIDER_STATUS_UNKNOWN.labels(poll.provider_name).inc)
            log.warning("refill_word_unknown", refill_id=refill.id, word=answer.raw_status)
        case RefillProgress():
            if not await _progress(session, refill, answer):
                return False
        case IdUnknown():
            doubts = refill.doubts + 1
            if doubts >= ID_UNKNOWN_MAX:
                await refill_moves.lose(session, refill, "id unknown to provider", actor=ACTOR)
                return False
            await refill_repository.change(session, refill.id, {"doubts": doubts})
        case Unreadable(reason=reason):
            log.info("refill_status_unreadable", refill_id=refill.id, why=reason)
    return not await _followed_for_too_long(session, poll, refill)


async def _progress(session: Session, refill: Refill, said: RefillProgress) -> bool:
    """Whether it goes on."""
    told = {"said": said.raw_status}
    match said.state:
        case aftercare.RefillState.COMPLETED:
            await refill_moves.end(session, refill, RefillState.COMPLETED, actor=ACTOR, data=told)
            return False
        case aftercare.RefillState.REJECTED:
            await refill_moves.end(session, refill, RefillState.REJECTED, actor=ACTOR, data=told)
            return False
        case aftercare.RefillState.ERROR:
            reason = "The refill was given up while it ran."
            await refill_moves.end(
                session, refill, RefillState.FAILED, actor=ACTOR, reason=reason, data=told
            )
            return False
        case aftercare.RefillState.IN_PROGRESS if refill.state == RefillState.PENDING:
            await refill_moves.begin(session, refill, actor=ACTOR)
        case _ if refill.doubts:
            await refill_repository.change(session, refill.id, {"doubts": 0})
        case _:
            pass
    return True


async def _followed_for_too_long(session: Session, poll: RefillPoll, refill: Refill) -> bool:
    since = refill.taken_at or refill.created_at
    if now_of(session) - since < FOLLOWED_FOR_MAX / poll.time_scale:
        return False
    await refill_moves.lose(session, refill, "no end for too long", actor=ACTOR)
    return True
