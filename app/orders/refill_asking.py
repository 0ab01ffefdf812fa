"""Asking providers for refills: lease and mark as sending, then record what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import lineage, work
from app.core.audit import Actor
from app.core.backoff import backed_off
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.logging import get_logger
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import evidence_repository, refill_moves, refill_repository
from app.orders.refill_models import Refill
from app.orders.refill_moves import REFILL
from app.orders.refill_states import RefillState
from app.orders.told_reasons import told_reason
from app.providers.aftercare import RefillRefused, RefillTaken
from app.providers.protocol import (
    ProviderAccount,
    ProviderUnreachable,
    RefillAnswer,
    TroubleKind,
    Unconfirmed,
)
from app.supply import protection
from app.supply import service as supply
from app.supply.bounds import REFILLS_ASKED_MAX
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

ACTOR: Final = Actor("system", "refills")
ASKED_FOR_MAX: Final = timedelta(days=3)
"""So long is a provider tried that cannot be reached; then the refill has failed."""
WAIT_MIN: Final = timedelta(minutes=1)
WAIT_MAX: Final = timedelta(hours=1)

RefillOutcome = RefillAnswer | ProviderUnreachable
"""What became of asking; a provider that was not reached has certainly taken nothing."""


@dataclass(frozen=True, slots=True)
class RefillBatch:
    """Refills leased to this worker and marked as sending: refill → the provider's order id.

    No call may begin later than `send_within_seconds` after the lease was asked for.
    """

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    orders: dict[int, str]
    send_within_seconds: float
    time_scale: float


async def lease_refills(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> RefillBatch | Closed | None:
    """requested → sending for what is due; its commit is the last before the first byte.

    A pause stops no refill, for it costs nothing; an open breaker does: what may be taken without
    an answer is never the thing to try with.
    """
    if await lineage.is_restored(session):
        return Closed.RESTORED
    grant = await protection.admit_reads(session, provider_id)
    if not isinstance(grant, Grant):
        return grant
    provider = grant.provider
    account = supply.account_of(provider, keys, time_scale=time_scale)
    lease = await work.lease(
        session,
        REFILL,
        str(provider_id),
        limit=min(REFILLS_ASKED_MAX, grant.calls),
        in_flight_max=min(REFILLS_ASKED_MAX, provider.in_flight_max),
        seconds=supply.lease_seconds(account),
    )
    if not lease.refs:
        return None
    ids = [int(ref) for ref in lease.refs]
    refills = await refill_repository.lock_many(session, ids, [RefillState.REQUESTED])
    orders = await refill_repository.provider_order_ids(session, refills)
    sending = {
        "state": RefillState.SENDING,
        "sending_at": now_of(session),
        "lease_token": lease.token,
    }
    for refill_id in orders:
        await refill_repository.change(session, refill_id, sending)
    await work.finish(session, REFILL, {str(i) for i in ids} - {str(i) for i in orders})
    await protection.spend_reads(session, provider, len(orders))
    return RefillBatch(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        orders=orders,
        send_within_seconds=account.timeouts.total_seconds,
        time_scale=supply.scale_of(provider, time_scale),
    )


async def record_refills(
    session: Session, batch: RefillBatch, outcomes: Mapping[int, RefillOutcome]
) -> None:
    """Move each refill by what was said of it.

    What the sweeper has called unknown meanwhile is still moved: the token on the refill says that
    this is the answer to its question. May be run again: what has moved on is passed over, and the
    provider is judged only by what the lease still holds, and so once.
    """
    held = await work.lock_held(session, batch.lease, batch.lease.refs)
    given = {
        i: said.provider_refill_id for i, said in outcomes.items() if isinstance(said, RefillTaken)
    }
    in_use = await _in_use(session, batch, given)
    open_still = [RefillState.SENDING, RefillState.UNKNOWN]
    refills = [
        refill
        for refill in await refill_repository.lock_many(session, list(outcomes), open_still)
        if refill.lease_token == batch.lease.token
    ]
    for refill in refills:
        await _record(session, batch, refill, outcomes[refill.id], in_use=in_use)
    judged = [outcomes[refill.id] for refill in refills if str(refill.id) in held]
    await _judge_provider(session, batch, judged)


async def _in_use(session: Session, batch: RefillBatch, given: Mapping[int, str]) -> set[str]:
    """The ids that another refill has, or that two of this batch were given."""
    if not given:
        return set()
    # One recorder at a time: two refills given the same id must see each other.
    await evidence_repository.lock_acceptance(session, batch.provider_id)
    taken = await refill_repository.ids_taken(session, batch.provider_id, list(given.values()))
    return taken | {one for one, times in Counter(given.values()).items() if times > 1}


async def _record(
    session: Session,
    batch: RefillBatch,
    refill: Refill,
    outcome: RefillOutcome,
    *,
    in_use: set[str],
) -> None:
    match outcome:
        case RefillTaken(provider_refill_id=given) if given in in_use:
            why = f"refill id {given} is in use already"
            await _lose(session, refill, why)
        case RefillTaken(provider_refill_id=given):
            await refill_moves.take(
                session, refill, given, actor=ACTOR, time_scale=batch.time_scale
            )
        case RefillRefused(reason=reason):
            told = told_reason(reason, provider_name=batch.provider_name)
            await refill_moves.end(
                session,
                refill,
                RefillState.REJECTED,
                actor=ACTOR,
                reason=told,
                data={"said": reason},
            )
        case Unconfirmed(reason=reason, answer=answer):
            await _lose(session, refill, reason, answer)
        case ProviderUnreachable():
            await _not_reached(session, batch, refill, outcome)


async def _lose(session: Session, refill: Refill, why: str, answer: str = "") -> None:
    if refill.state != RefillState.UNKNOWN:
        await refill_moves.lose(session, refill, why, actor=ACTOR, answer=answer)


async def _not_reached(
    session: Session, batch: RefillBatch, refill: Refill, trouble: ProviderUnreachable
) -> None:
    """Certainly nothing was taken: later again, for three days."""
    now, scale = now_of(session), batch.time_scale
    if trouble.kind is TroubleKind.NOT_OFFERED or now - refill.created_at >= ASKED_FOR_MAX / scale:
        await refill_moves.end(
            session,
            refill,
            RefillState.FAILED,
            actor=ACTOR,
            reason="It could not be asked for in time.",
            data={"why": str(trouble)},
        )
        return
    tries = batch.lease.tries.get(str(refill.id), 1)
    wait = backed_off(WAIT_MIN, tries - 1, at_most=WAIT_MAX) / scale
    if trouble.retry_after_seconds:
        wait = max(wait, timedelta(seconds=trouble.retry_after_seconds))
    await refill_moves.put_back(session, refill, trouble.reason, due_at=now + wait, actor=ACTOR)


async def _judge_provider(
    session: Session, batch: RefillBatch, outcomes: list[RefillOutcome]
) -> None:
    silent = sum(
        isinstance(said, Unconfirmed)
        or (isinstance(said, ProviderUnreachable) and not said.answered)
        for said in outcomes
    )
    waits = [
        said.retry_after_seconds or 0.0
        for said in outcomes
        if isinstance(said, ProviderUnreachable)
    ]
    await protection.record_asked_to_wait(session, batch.provider_id, max(waits, default=None))
    if len(outcomes) > silent:
        await protection.record_read_answers(session, batch.provider_id)
    elif silent:
        await protection.record_read_failures(
            session, batch.provider_id, silent, time_scale=batch.time_scale
        )


async def sweep_refills(session: Session, *, limit: int) -> int:
    """Judge the refills of workers that lost their lease: what was being sent may be taken."""
    refs = await work.lock_expired(session, REFILL, limit=limit)
    lost = await refill_repository.lock_many(
        session, [int(ref) for ref in refs], [RefillState.SENDING]
    )
    await work.put_back(session, REFILL, refs, due_at=now_of(session))
    for refill in lost:
        await refill_moves.lose(session, refill, "worker lost", actor=ACTOR)
    if lost:
        log.warning("refills_lost", refills=[refill.id for refill in lost])
    return len(refs)
