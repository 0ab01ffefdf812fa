"""The clock of claims: what is due is decided, after the provider was asked a last time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import lineage, work
from app.core.backoff import backed_off
from app.core.crypto import KeyRing, Undecryptable
from app.core.db import Session
from app.core.metrics import FENCED
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import follow
from app.orders import service as orders
from app.orders.endings import is_final
from app.orders.follow import Poll
from app.orders.models import Order
from app.orders.states import OrderState
from app.providers.protocol import Capability, Progress, ProviderState, StatusAnswer
from app.refunds import repository, service
from app.refunds.deciding import CLAIM
from app.refunds.facts import scale_of
from app.refunds.models import Claim
from app.refunds.rules import LOOK_AGAIN
from app.refunds.states import OPEN, ClaimState
from app.supply import protection
from app.supply import service as supply
from app.supply.protection import Closed, Grant

DECIDED_AT_ONCE_MAX: Final = 8
LEASE_SECONDS: Final = 180.0
"""Above twice the longest call."""

SILENT_AFTER: Final = timedelta(hours=24)
"""A provider that said nothing usable for so long leaves the claim to a person."""

WAIT_MIN: Final = timedelta(minutes=1)
WAIT_MAX: Final = timedelta(hours=1)


async def lease_due(session: Session, lane: str) -> Lease:
    """A few claims whose time has come."""
    return await work.lease(
        session,
        CLAIM,
        lane,
        limit=DECIDED_AT_ONCE_MAX,
        in_flight_max=DECIDED_AT_ONCE_MAX,
        seconds=LEASE_SECONDS,
    )


async def last_question(
    session: Session, keys: KeyRing, lease: Lease, claim_id: UUID, *, time_scale: float
) -> Poll | Closed | None:
    """What to ask whom before a claim is decided: None where its order tells by itself how it
    stands, Closed where its provider may not be asked now.
    """
    claim = await repository.find(session, claim_id)
    if claim is None or claim.state not in OPEN:
        return None
    order = await orders.get(session, claim.order_id)
    if order.provider_id is None or not await _is_to_be_asked(session, order):
        return None
    grant = await protection.admit_reads(session, order.provider_id)
    if not isinstance(grant, Grant):
        return grant
    try:
        account = supply.account_of(grant.provider, keys, time_scale=time_scale)
    except Undecryptable:
        # Dispatch pauses such a provider and tells; here it is one that cannot be heard.
        return Closed.PAUSED
    await protection.spend_reads(session, grant.provider, 1)
    return Poll(
        lease=lease,
        provider_id=grant.provider.id,
        provider_name=grant.provider.name,
        account=account,
        orders={order.provider_order_id or "": order.id},
        time_scale=supply.scale_of(grant.provider, time_scale),
    )


async def _is_to_be_asked(session: Session, order: Order) -> bool:
    """Whether only its provider can tell how it stands; not where that was told since the deadline,
    whoever asked.
    """
    if order.state != OrderState.IN_PROGRESS or order.provider_id is None:
        return False
    if order.cutoff_remains is not None:
        return False
    provider = await supply.get(session, order.provider_id)
    return supply.can(provider, Capability.POLLS)


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of the last question; no answer where none came, or none that was about it.

    `answered` is whether the provider said anything at all.
    """

    poll: Poll
    answer: StatusAnswer | None
    answered: bool


async def decide_due(
    session: Session, lease: Lease, claim_id: UUID, heard: Heard | None, *, time_scale: float
) -> None:
    """Decide one claim by its order as it stands now. May be run again: whoever lost the lease
    decides nothing, and what is decided stays so.

    `heard` is None where nobody was asked. A running order whose provider could not be heard is
    left for later; after a day the rules are told that it is silent. In a restored database nothing
    is decided: what it takes for waiting may have been handed over since its backup. A second
    approver is waited for until the deadline, and then until the facts decide.
    """
    if not await work.lock_held(session, lease, [str(claim_id)]):
        FENCED.labels(CLAIM).inc()
        return
    claim, order = await service.lock_with_order(session, claim_id)
    if claim.state not in OPEN:
        await work.finish(session, CLAIM, [str(claim_id)])
        return
    scale = await scale_of(session, order, time_scale)
    if await lineage.is_restored(session):
        await _later(session, claim, LOOK_AGAIN / scale)
        return
    if claim.state == ClaimState.AWAITING_SECOND and now_of(session) < claim.deadline:
        await _later(session, claim, claim.deadline - now_of(session))
        return
    silent = False
    if await _is_to_be_asked(session, order) and not await _hear(session, order, heard):
        silent = await _has_long_been_silent(session, claim, SILENT_AFTER / scale)
        if not silent:
            tries = lease.tries.get(str(claim_id), 1)
            wait = backed_off(WAIT_MIN, tries - 1, at_most=WAIT_MAX)
            await _later(session, claim, wait / scale)
            await _judge_provider(session, heard)
            return
    elif claim.asked_since is not None:
        await repository.note_asked(session, claim.id, None)
    await service.decide(session, claim, order, time_scale=scale, silent=silent)
    await _judge_provider(session, heard)


async def _has_long_been_silent(session: Session, claim: Claim, after: timedelta) -> bool:
    since = claim.asked_since or now_of(session)
    await repository.note_asked(session, claim.id, since)
    return now_of(session) - since >= after


async def _later(session: Session, claim: Claim, wait: timedelta) -> None:
    await work.put_back(session, CLAIM, [str(claim.id)], due_at=now_of(session) + wait)


async def _hear(session: Session, order: Order, heard: Heard | None) -> bool:
    """Move the order by what was said, as any poll does. Whether that tells how it stands."""
    if heard is None or not isinstance(heard.answer, Progress):
        return False
    is_of_this_order = heard.poll.orders.get(order.provider_order_id or "") == order.id
    if not is_of_this_order or heard.poll.provider_id != order.provider_id:
        # It was handed over anew between the question and its answer.
        return False
    if heard.answer.state is ProviderState.UNKNOWN:
        return False
    attempt = await orders.live_attempt(session, order.id)
    await follow.hear(session, heard.poll, order, attempt, heard.answer)
    moved = await orders.get(session, order.id)
    return moved.state != OrderState.IN_PROGRESS or not is_final(moved, heard.answer.state)


async def _judge_provider(session: Session, heard: Heard | None) -> None:
    """The provider's row is locked last."""
    if heard is None:
        return
    if heard.answered:
        await protection.record_read_answers(session, heard.poll.provider_id)
    else:
        await protection.record_read_failures(
            session, heard.poll.provider_id, 1, time_scale=heard.poll.time_scale
        )
