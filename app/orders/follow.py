"""Following orders at their provider: lease a batch, ask once, record each answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import (
    FENCED,
    PROVIDER_CHARGE_DRIFT,
    PROVIDER_CHARGE_EXPECTED,
    PROVIDER_STATUS_UNKNOWN,
)
from app.core.money import MICROS_PER_UNIT, Money
from app.core.uow import count_after_commit, now_of
from app.core.work import Lease
from app.orders import attempt_repository, repository
from app.orders.doubts import ACTOR, ID_UNKNOWN, doubt, doubt_id, review, unusable
from app.orders.endings import (
    AskAgain,
    Bought,
    End,
    Review,
    charge_in,
    is_beyond_cap,
    is_final,
    settle,
)
from app.orders.late_words import hear_late, stop_listening
from app.orders.models import Attempt, Order
from app.orders.observing import guard_cap, note_progress, observe_beyond_cap
from app.orders.routing import price_of_post
from app.orders.service import FOLLOW
from app.orders.settlement import end_order
from app.orders.states import OrderState
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    Capability,
    IdUnknown,
    Progress,
    ProviderAccount,
    ProviderState,
    StatusAnswer,
    Unreadable,
)
from app.supply import bounds, protection
from app.supply import service as supply
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

POLL_MIN: Final = timedelta(seconds=30)
POLL_MAX: Final = timedelta(minutes=15)
POLL_AGE_SHARE: Final = 10
"""An order is polled after a tenth of its age again, within the two bounds."""
RECORDED_TOGETHER_MAX: Final = 10
PUT_OFF_MAX: Final = 1000
PUT_OFF_SECONDS: Final = 15.0
_FOLLOWED: Final = (OrderState.IN_PROGRESS, OrderState.PARTIAL, OrderState.CANCELED)
"""One that has ended is still followed where we have ended it; the work of others is gone."""

UNPOLLED_EVERY: Final = timedelta(days=1)
"""How far off the poll of an order is put that cannot be polled."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Orders to ask one provider about in one call: provider order id → order id.

    `probe` names the call where it is the one that tries a provider which did not answer.
    """

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    orders: dict[str, int]
    time_scale: float
    probe: datetime | None = None

    def parts(self) -> list[Poll]:
        """The same in portions, each recorded in a transaction of its own: endings hold a wallet
        until their commit, and a hundred of them would keep its owner's new orders waiting.
        """
        refs, given = self.lease.refs, {order_id: i for i, order_id in self.orders.items()}
        portions = [
            refs[start : start + RECORDED_TOGETHER_MAX]
            for start in range(0, len(refs), RECORDED_TOGETHER_MAX)
        ]
        return [
            replace(
                self,
                lease=replace(self.lease, refs=portion),
                orders={given[int(ref)]: int(ref) for ref in portion if int(ref) in given},
            )
            for portion in portions
        ]


async def lease_poll(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> Poll | Closed | None:
    """Up to 100 orders whose poll is due, as many as the budget has calls for; None when none is;
    Closed when it may not be asked.
    """
    grant = await protection.admit_reads(session, provider_id, may_probe=True)
    if not isinstance(grant, Grant):
        return grant
    provider = grant.provider
    if not supply.can(provider, Capability.POLLS):
        scale = supply.scale_of(provider, time_scale)
        await _put_off(session, provider_id, time_scale=scale)
        return None
    ids_per_call = supply.ids_per_status_call(provider)
    account = supply.account_of(provider, keys, time_scale=time_scale)
    seconds = supply.lease_seconds(account)
    lease = await work.lease_batch(
        session,
        FOLLOW,
        str(provider_id),
        limit=min(STATUS_BATCH_MAX, grant.calls * ids_per_call),
        batches_max=bounds.STATUS_CALLS_MAX,
        seconds=seconds,
    )
    if not lease.refs:
        return None
    probe = None
    if grant.is_for_probe:
        probe = await bounds.begin_probe(session, provider, seconds=seconds)
    await protection.spend_reads(session, provider, math.ceil(len(lease.refs) / ids_per_call))
    orders = await repository.provider_order_ids(session, [int(ref) for ref in lease.refs])
    return Poll(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        orders={given: order_id for order_id, given in orders.items()},
        time_scale=supply.scale_of(provider, time_scale),
        probe=probe,
    )


async def _put_off(session: Session, provider_id: UUID, *, time_scale: float) -> None:
    """Nobody can be asked how these orders stand; people tell, and then their work moves on."""
    lease = await work.lease(
        session,
        FOLLOW,
        str(provider_id),
        limit=PUT_OFF_MAX,
        in_flight_max=PUT_OFF_MAX,
        seconds=PUT_OFF_SECONDS,
    )
    due_at = now_of(session) + UNPOLLED_EVERY
    await work.put_back(session, FOLLOW, lease.refs, due_at=due_at)
    await stop_listening(session, lease.refs, time_scale=time_scale)
    ids = [int(ref) for ref in lease.refs]
    for order in await repository.lock_many(session, ids, OrderState.IN_PROGRESS):
        if price_of_post(order) is not None:
            # People tell progress in units, which a subscription has none of.
            await review(session, order, "subscription_cannot_be_followed", {})


async def record_failure(
    session: Session, poll: Poll, *, retry_after_seconds: float | None, answered: bool
) -> None:
    """The call gave nothing: no order has changed, and each is asked about again later, unless we
    ended it long ago.

    May be run again: it counts against the provider only while the lease is held.
    """
    held = await work.lock_held(session, poll.lease, poll.lease.refs)
    if not held:
        # Recorded already, or taken over: a failure counts once.
        return
    wait = timedelta(seconds=retry_after_seconds or 0) or POLL_MIN / poll.time_scale
    await work.put_back(session, FOLLOW, held, due_at=now_of(session) + wait)
    await stop_listening(session, held, time_scale=poll.time_scale)
    await protection.record_asked_to_wait(session, poll.provider_id, retry_after_seconds)
    if answered:
        await protection.record_read_answers(session, poll.provider_id, probe=poll.probe)
    else:
        await protection.record_read_failures(
            session, poll.provider_id, 1, time_scale=poll.time_scale, probe=poll.probe
        )


async def record_answers(session: Session, poll: Poll, answers: Mapping[str, StatusAnswer]) -> None:
    """Move each order by what was said of it; one bad answer never spoils the rest.

    May be run again: what the lease no longer holds is passed over.
    """
    # An order that ends takes a request to cancel with it, which may just be recorded.
    await work.lock_refs(session, poll.lease.refs)
    held = await work.lock_held(session, poll.lease, poll.lease.refs)
    fenced = len(poll.lease.refs) - len(held)
    if fenced:
        FENCED.labels(FOLLOW).inc(fenced)
        log.warning("answers_fenced", provider=poll.provider_name, orders=fenced)
    ids = [int(ref) for ref in held]
    orders = await repository.lock_many(session, ids, *_FOLLOWED)
    live = await attempt_repository.live_of_many(session, [order.id for order in orders])
    by_order = {order_id: answers[given] for given, order_id in poll.orders.items()}
    due: dict[datetime, list[str]] = {}
    for order in orders:
        answer = by_order.get(order.id)
        if answer is None:
            raise LookupError(f"order {order.id} is followed without a provider order id")
        goes_on = await hear(session, poll, order, live.get(order.id), answer)
        if goes_on:
            due.setdefault(next_poll(order, now_of(session), poll.time_scale), []).append(
                str(order.id)
            )
    for due_at, refs in due.items():
        await work.put_back(session, FOLLOW, refs, due_at=due_at)
    await work.finish(session, FOLLOW, held.difference(*due.values()))
    if held:
        await protection.record_read_answers(session, poll.provider_id, probe=poll.probe)


def next_poll(order: Order, now: datetime, time_scale: float) -> datetime:
    """Young orders are asked about often, old ones seldom: 30 s to 15 min, by simulators' scale."""
    age = (now - order.created_at) * time_scale
    interval = min(max(age / POLL_AGE_SHARE, POLL_MIN), POLL_MAX)
    return now + interval / time_scale


async def hear(
    session: Session, poll: Poll, order: Order, attempt: Attempt | None, answer: StatusAnswer
) -> bool:
    """Move an order, which is locked, by what was said of it. Whether it is to be polled again."""
    if order.ended_at is not None:
        return await hear_late(
            session,
            order,
            attempt,
            answer,
            provider_name=poll.provider_name,
            time_scale=poll.time_scale,
        )
    match answer:
        case Unreadable(reason=reason):
            log.info("status_unreadable", order_id=order.id, why=reason)
            return await unusable(session, order, "status_unreadable", poll.time_scale)
        case IdUnknown():
            return await doubt_id(session, order, poll.time_scale)
        case Progress(state=ProviderState.UNKNOWN):
            count_after_commit(session, PROVIDER_STATUS_UNKNOWN.labels(poll.provider_name).inc)
            log.warning("status_word_unknown", order_id=order.id, word=answer.raw_status)
            return await unusable(session, order, "status_word_unknown", poll.time_scale)
        case Progress() if is_final(order, answer.state):
            return await _final(session, poll, order, attempt, answer)
        case Progress():
            await note_progress(session, order, answer, actor=ACTOR)
            await guard_cap(session, order, _bought(order, attempt), answer)
            return True


async def _final(
    session: Session, poll: Poll, order: Order, attempt: Attempt | None, progress: Progress
) -> bool:
    bought = _bought(order, attempt)
    said = {"status": progress.raw_status, "charge_micros": progress.charge_micros}
    if is_beyond_cap(bought, progress):
        await observe_beyond_cap(session, order, progress)
    match settle(bought, progress):
        case End() as end:
            await end_order(
                session,
                order,
                end,
                ACTOR,
                start_count=progress.start_count,
                data={"provider": said},
            )
            if attempt is not None:
                charged = charge_in(attempt.cost_currency, progress)
                await attempt_repository.keep_charge(session, attempt.id, charged)
                _measure_charge(session, poll.provider_name, attempt, progress)
            return False
        case Review(reason=reason):
            await review(session, order, reason, said | {"remains": progress.remains})
            return False
        case AskAgain(reason=reason):
            return await doubt(session, order, reason, poll.time_scale)


def _bought(order: Order, attempt: Attempt | None) -> Bought:
    return Bought(
        charge=Money(order.charge),
        units=order.units,
        cost_micros=attempt.cost_micros if attempt else 0,
        # An id that was unknown says nothing of the figures: those have a count of their own.
        doubts=0 if order.doubt_reason == ID_UNKNOWN else order.doubts,
        cost_currency=attempt.cost_currency if attempt else None,
        post=price_of_post(order),
    )


def _measure_charge(
    session: Session, provider_name: str, attempt: Attempt, progress: Progress
) -> None:
    """Whether costs are what we take them for shows in what was delivered, and charged, in full."""
    charged = charge_in(attempt.cost_currency, progress)
    if progress.state is ProviderState.COMPLETED and charged is not None:
        drift = abs(charged - attempt.cost_micros)
        expected = attempt.cost_micros

        def count() -> None:
            PROVIDER_CHARGE_EXPECTED.labels(provider_name).inc(expected / MICROS_PER_UNIT)
            PROVIDER_CHARGE_DRIFT.labels(provider_name).inc(drift / MICROS_PER_UNIT)

        count_after_commit(session, count)
