"""Looking for lost orders, as workers do it: lease and ask what, then record what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.models import OnUnknown
from app.core import lineage, work
from app.core.crypto import KeyRing, Undecryptable
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import FENCED
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import attempt_repository, evidence_repository, inquiries, resolving
from app.orders.inquiry_models import Inquiry
from app.orders.inquiry_states import ResolvedBy
from app.orders.judging import (
    LOOK_EVERY,
    Find,
    HandOver,
    LookAgain,
    ProveAbsent,
    Rules,
    WriteOff,
    decide,
    written_off_after,
)
from app.orders.models import Attempt, Order
from app.orders.resolving import RECONCILER, UNRESOLVED
from app.orders.service import RECONCILE, lock
from app.orders.states import OrderState
from app.providers.protocol import (
    LOOKUP_BATCH_MAX,
    Capability,
    Found,
    LookupAnswer,
    ProviderAccount,
    StatusAnswer,
)
from app.supply import protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import Grant

log = get_logger(__name__)

LEASE_SECONDS: Final = 300.0
"""Above what two calls may take, each with twice its total time-out."""
LANES_GIVEN_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask the provider about one lost order: by our reference, about ids, or nothing."""

    order_id: int
    attempt_id: UUID | None
    reference: str | None = None
    ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """Lost orders of one provider, leased to this worker, with what to ask about each.

    Without an account nothing may be asked now; what is known already is judged all the same.
    """

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount | None
    questions: tuple[Question, ...]
    asked_at: datetime
    time_scale: float

    @property
    def references(self) -> list[str]:
        return [one.reference for one in self.questions if one.reference is not None]


@dataclass(frozen=True, slots=True)
class Learned:
    """What the provider said to one look; nothing where a call gave nothing."""

    lookups: Mapping[str, LookupAnswer] = field(default_factory=dict)
    statuses: Mapping[str, StatusAnswer] = field(default_factory=dict)


async def give_lanes(session: Session) -> int:
    """Lost orders without a provider's lane, from an older version of us, get theirs; how many."""
    lease = await work.lease(
        session,
        RECONCILE,
        work.MAIN_LANE,
        limit=LANES_GIVEN_MAX,
        in_flight_max=LANES_GIVEN_MAX,
        seconds=LEASE_SECONDS,
    )
    lanes: list[tuple[str, str]] = []
    for ref in lease.refs:
        attempt = await attempt_repository.live_of(session, int(ref))
        if attempt is None:
            await _give_up(session, await lock(session, int(ref)))
        else:
            lanes.append((ref, str(attempt.provider_id)))
    await work.put_many(session, RECONCILE, lanes)
    return len(lease.refs)


async def lease_look(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> Look | None:
    """The lost orders of a provider that are due, with what it may be asked; None when none is."""
    grant = await protection.admit_reads(session, provider_id)
    provider = await supply.get(session, provider_id)
    account = _account(provider, keys, time_scale) if isinstance(grant, Grant) else None
    calls = grant.calls if isinstance(grant, Grant) and account is not None else 0
    lease = await work.lease(
        session,
        RECONCILE,
        str(provider_id),
        limit=LOOKUP_BATCH_MAX,
        in_flight_max=LOOKUP_BATCH_MAX,
        seconds=LEASE_SECONDS,
    )
    if not lease.refs:
        return None
    questions = await _questions(session, provider, lease.refs, calls=calls)
    asked = sum((one.reference is not None) + bool(one.ids) for one in questions)
    if asked:
        await protection.spend_reads(session, provider, asked)
    return Look(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        questions=tuple(questions),
        asked_at=now_of(session),
        time_scale=supply.scale_of(provider, time_scale),
    )


def _account(provider: Provider, keys: KeyRing, time_scale: float) -> ProviderAccount | None:
    try:
        return supply.account_of(provider, keys, time_scale=time_scale)
    except Undecryptable:
        # Dispatch pauses such a provider and tells; here it only means that nobody can be asked.
        return None


async def _questions(
    session: Session, provider: Provider, refs: Sequence[str], *, calls: int
) -> list[Question]:
    """One question per order; for want of calls, and past the one search for ids, an empty one."""
    questions = []
    searching = False
    for ref in refs:
        attempt = await attempt_repository.live_of(session, int(ref))
        reference: str | None = None
        ids: tuple[int, ...] = ()
        if attempt is not None and calls > 0:
            if supply.can(provider, Capability.LOOKUP):
                reference, calls = str(attempt.id), calls - 1
            if not searching and calls > 0:
                ids = await inquiries.ids_to_ask(session, provider, attempt)
                searching = bool(ids)
                calls -= searching
        questions.append(Question(int(ref), attempt.id if attempt else None, reference, ids))
    return questions


async def record_look(
    session: Session, look: Look, question: Question, learned: Learned, *, unknown_hours_max: int
) -> None:
    """Keep what was learned of one order, judge it by all that is known, and do what follows.

    May be run again: past the first time the lease is not held any more. What the provider said
    of the order itself is kept even then, as evidence. In a restored database for which nobody has
    vouched yet, evidence is all that is kept.
    """
    order = await lock(session, question.order_id)
    held = await work.lock_held(session, look.lease, [str(order.id)])
    answer = learned.lookups.get(question.reference or "")
    if question.attempt_id is not None and isinstance(answer, Found):
        said = (answer.provider_order_id, "Found under our reference.")
        await evidence_repository.append_evidence(session, {question.attempt_id: said})
    if not held:
        FENCED.labels(RECONCILE).inc()
        return
    attempt = await attempt_repository.live_of(session, order.id)
    if order.state not in UNRESOLVED or attempt is None:
        await _give_up(session, order)
        return
    provider = await supply.get(session, attempt.provider_id)
    inquiry = await inquiries.of(session, attempt)
    if attempt.id == question.attempt_id:
        inquiry = await inquiries.keep(
            session,
            inquiry,
            attempt,
            lookup=answer,
            asked_at=look.asked_at,
            statuses=learned.statuses if question.ids else {},
        )
    if await lineage.is_restored(session):
        # What followed the backup is forgotten, perhaps another attempt: nothing is concluded here.
        again = now_of(session) + LOOK_EVERY / look.time_scale
        await _look_again(session, order.id, again)
        return
    inquiry = await inquiries.judge_ids(session, provider, attempt, inquiry)
    inquiry = await inquiries.judge_balance(session, provider, attempt, inquiry)
    await _act(session, order, attempt, inquiry, look, unknown_hours_max=unknown_hours_max)


async def _give_up(session: Session, order: Order) -> None:
    """There is nothing to look for: it was resolved, or has no attempt that was ever taken."""
    if order.state == OrderState.UNKNOWN:
        await resolving.hand_over(session, order.id, "no attempt that could have been taken")
    await work.finish(session, RECONCILE, [str(order.id)])


async def rules_for(session: Session, service_id: int, *, unknown_hours_max: int) -> Rules:
    """When time decides about a lost order of this service."""
    service = await catalog.get(session, service_id)
    write_off = service.on_unknown == OnUnknown.WRITE_OFF
    return Rules(
        timedelta(hours=unknown_hours_max),
        timedelta(hours=service.write_off_hours) if write_off else None,
    )


async def _act(
    session: Session,
    order: Order,
    attempt: Attempt,
    inquiry: Inquiry,
    look: Look,
    *,
    unknown_hours_max: int,
) -> None:
    evidence = await inquiries.evidence_of(session, attempt, inquiry)
    rules = await rules_for(session, order.service_id, unknown_hours_max=unknown_hours_max)
    decision = decide(
        evidence,
        OrderState(order.state),
        sent_at=inquiry.sent_at,
        now=now_of(session),
        rules=rules,
        time_scale=look.time_scale,
    )
    log.info("lost_order_judged", order=order.id, decision=type(decision).__name__)
    match decision:
        case Find(provider_order_id=given, by=by):
            await resolving.find(
                session, order.id, provider_order_id=given, actor=RECONCILER, reason=by, by=by
            )
        case ProveAbsent(by=by):
            await resolving.prove_absent(session, order.id, actor=RECONCILER, reason=by, by=by)
        case WriteOff(after=after):
            hours = after // timedelta(hours=1)
            await resolving.write_off(
                session,
                order.id,
                actor=RECONCILER,
                reason=f"on_unknown: write_off after {hours} hours",
                by=ResolvedBy.POLICY,
            )
        case HandOver():
            await resolving.hand_over(session, order.id, "unknown for too long")
            policy = written_off_after(evidence, rules)
            again = None if policy is None else inquiry.sent_at + policy
            await _look_again(session, order.id, again)
        case LookAgain(at=at):
            await _look_again(session, order.id, at)


async def _look_again(session: Session, order_id: int, at: datetime | None) -> None:
    ref = str(order_id)
    if at is None:
        await work.finish(session, RECONCILE, [ref])
    else:
        await work.put_back(session, RECONCILE, [ref], due_at=at)
