"""Following orders at their provider: lease a batch, ask once, record each answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from app.core import work
from app.core.audit import Actor
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
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import attempt_repository, repository
from app.orders.doubts import ACTOR, ID_UNKNOWN, NO_DOUBT, doubt, doubt_id, review, unusable
from app.orders.late_words import hear_late
from app.orders.models import Attempt, Order
from app.orders.routing import price_of_post
from app.orders.service import FOLLOW
from app.orders.settlement import (
    PAUSED_BY_PROVIDER,
    AskAgain,
    Bought,
    End,
    Review,
    end_order,
    is_final,
    settle,
    usable_remains,
)
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
from app.supply import protection
from app.supply import service as supply
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

POLL_MIN: Final = timedelta(seconds=30)
POLL_MAX: Final = timedelta(minutes=15)
POLL_AGE_SHARE: Final = 10
"""An order is polled after a tenth of its age again, within the two bounds."""
CALLS_IN_FLIGHT_MAX: Final = 2
RECORDED_TOGETHER_MAX: Final = 10
LEASE_MARGIN_SECONDS: Final = 15.0
PUT_OFF_MAX: Final = 1000
_FOLLOWED: Final = (OrderState.IN_PROGRESS, OrderState.PARTIAL, OrderState.CANCELED)
"""One that has ended is still followed where a claim ended it; the work of others is gone."""

UNPOLLED_EVERY: Final = timedelta(days=1)
"""How far off the poll of an order is put that cannot be polled."""


@dataclass(frozen=True, slots=True)
class Poll:
    """Orders to ask one provider about in one call: provider order id → order id."""

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    orders: dict[str, int]
    time_scale: float

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
    grant = await protection.admit_reads(session, provider_id)
    if not isinstance(grant, Grant):
        return grant
    provider = grant.provider
    if not supply.can(provider, Capability.POLLS):
        await _put_off(session, provider_id)
        return None
    ids_per_call = supply.ids_per_status_call(provider)
    account = supply.account_of(provider, keys, time_scale=time_scale)
    lease = await work.lease(
        session,
        FOLLOW,
        str(provider_id),
        limit=min(STATUS_BATCH_MAX, grant.calls * ids_per_call),
        in_flight_max=CALLS_IN_FLIGHT_MAX * STATUS_BATCH_MAX,
        seconds=2 * account.timeouts.total_seconds + LEASE_MARGIN_SECONDS,
    )
    if not lease.refs:
        return None
    await protection.spend_reads(session, provider, math.ceil(len(lease.refs) / ids_per_call))
    orders = await repository.provider_order_ids(session, [int(ref) for ref in lease.refs])
    return Poll(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        orders={given: order_id for order_id, given in orders.items()},
        time_scale=supply.scale_of(provider, time_scale),
    )


async def _put_off(session: Session, provider_id: UUID) -> None:
    """Nobody can be asked how these orders stand; people tell, and then their work moves on."""
    lease = await work.lease(
        session,
        FOLLOW,
        str(provider_id),
        limit=PUT_OFF_MAX,
        in_flight_max=PUT_OFF_MAX,
        seconds=LEASE_MARGIN_SECONDS,
    )
    due_at = now_of(session) + UNPOLLED_EVERY
    await work.put_back(session, FOLLOW, lease.refs, due_at=due_at)


async def record_failure(
    session: Session, poll: Poll, *, retry_after_seconds: float | None, answered: bool
) -> None:
    """The call gave nothing: every order is asked about again later, and none has changed.

    May be run again: it counts against the provider only while the lease is held.
    """
    held = await work.lock_held(session, poll.lease, poll.lease.refs)
    if not held:
        # Recorded already, or taken over: a failure counts once.
        return
    wait = timedelta(seconds=retry_after_seconds or 0) or POLL_MIN / poll.time_scale
    await work.put_back(session, FOLLOW, held, due_at=now_of(session) + wait)
    if answered:
        await protection.record_read_answers(session, poll.provider_id)
    else:
        await protection.record_read_failures(
            session, poll.provider_id, 1, time_scale=poll.time_scale
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
    await work.finish(session, FOLLOW, held - {str(order.id) for order in orders})
    if held:
        await protection.record_read_answers(session, poll.provider_id)


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
            PROVIDER_STATUS_UNKNOWN.labels(poll.provider_name).inc()
            log.warning("status_word_unknown", order_id=order.id, word=answer.raw_status)
            return await unusable(session, order, "status_word_unknown", poll.time_scale)
        case Progress() if is_final(order, answer.state):
            return await _final(session, poll, order, attempt, answer)
        case Progress():
            await note_progress(session, order, answer, actor=ACTOR)
            return True


async def _final(
    session: Session, poll: Poll, order: Order, attempt: Attempt | None, progress: Progress
) -> bool:
    bought = Bought(
        charge=Money(order.charge),
        units=order.units,
        cost_micros=attempt.cost_micros if attempt else 0,
        # An id that was unknown says nothing of the figures: those have a count of their own.
        doubts=0 if order.doubt_reason == ID_UNKNOWN else order.doubts,
        cost_currency=attempt.cost_currency if attempt else None,
        post=price_of_post(order),
    )
    said = {"status": progress.raw_status, "charge_micros": progress.charge_micros}
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
                await attempt_repository.keep_charge(session, attempt.id, progress.charge_micros)
                _measure_charge(poll.provider_name, attempt, progress)
            return False
        case Review(reason=reason):
            await review(session, order, reason, said | {"remains": progress.remains})
            return False
        case AskAgain(reason=reason):
            return await doubt(session, order, reason, poll.time_scale)


def _measure_charge(provider_name: str, attempt: Attempt, progress: Progress) -> None:
    """Whether costs are what we take them for shows in what was delivered, and charged, in full."""
    charged = progress.charge_micros
    in_its_currency = progress.currency in {None, attempt.cost_currency}
    if progress.state is ProviderState.COMPLETED and charged is not None and in_its_currency:
        drift = abs(charged - attempt.cost_micros)
        PROVIDER_CHARGE_EXPECTED.labels(provider_name).inc(attempt.cost_micros / MICROS_PER_UNIT)
        PROVIDER_CHARGE_DRIFT.labels(provider_name).inc(drift / MICROS_PER_UNIT)


async def note_progress(
    session: Session, order: Order, progress: Progress, *, actor: Actor
) -> None:
    """Remains only fall; a rise, or a value outside what was ordered, is kept as an observation."""
    values: dict[str, Any] = {}
    if order.start_count is None and progress.start_count is not None:
        values["start_count"] = progress.start_count
    if order.units is not None and progress.remains is not None:
        known = order.units if order.remains is None else order.remains
        usable = usable_remains(order.units, progress.remains)
        if usable is None or usable > known:
            await _observe(session, order, {"remains": progress.remains})
        elif usable != order.remains:
            values["remains"] = usable
    waits_for = PAUSED_BY_PROVIDER if progress.state is ProviderState.PAUSED else None
    if price_of_post(order) is not None and order.wait_reason != waits_for:
        values["wait_reason"] = waits_for
    if order.unusable_since is not None:
        values |= NO_DOUBT
    if values:
        told: dict[str, Any] = {
            name: value for name, value in values.items() if name in {"start_count", "remains"}
        }
        await repository.note(
            session,
            order.id,
            "progress",
            source=OrderState.IN_PROGRESS,
            actor=actor,
            data=told,
            values=values,
            public=bool(told),
        )


async def _observe(session: Session, order: Order, data: dict[str, Any]) -> None:
    """Keep what a provider said and we do not believe; the same twice in a row is kept once."""
    last = await repository.last_event(session, order.id)
    if last is not None and last.type == "observation" and last.data == data:
        return
    await repository.note(
        session,
        order.id,
        "observation",
        source=OrderState.IN_PROGRESS,
        actor=ACTOR,
        data=data,
    )
