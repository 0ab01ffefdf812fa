"""Handing orders over, as workers do it: lease and take, mark as sending, or pass on and wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from app.catalog import offering
from app.catalog.offering import RouteOffer
from app.core import lineage, work
from app.core.audit import Actor
from app.core.crypto import KeyRing, Undecryptable
from app.core.db import Session
from app.core.ids import new_id
from app.core.logging import get_logger
from app.core.money import charge_rounded_up
from app.core.statements import Row
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import attempt_repository, link_locks, repository
from app.orders.attempt_repository import NewAttempt
from app.orders.inputs import open_form
from app.orders.link_lock_repository import Wanted
from app.orders.link_locks import LINK_BUSY
from app.orders.routing import Skipped, Sold, choose, histories, next_route
from app.orders.service import DISPATCH
from app.orders.states import AttemptState, Move, OrderState
from app.providers.protocol import ProviderAccount, Submission
from app.supply import pausing, protection
from app.supply import service as supply
from app.supply.bounds import Bound
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.protection import Closed, Grant

log = get_logger(__name__)

ACTOR: Final = Actor("system", "dispatch")
BATCH_MAX: Final = 32
PASSED_ON_MAX: Final = 500
"""Orders that one look at a closed lane gives to others, without a call to anyone."""
WAIT_WHILE_CLOSED: Final = timedelta(seconds=30)
NO_ROUTE: Final = "no_route"


@dataclass(frozen=True, slots=True)
class Handover:
    """One order ready to be sent, under one attempt."""

    order_id: int
    attempt_id: UUID
    submission: Submission


@dataclass(frozen=True, slots=True)
class Batch:
    """Orders leased to this worker. No first byte may be written later than `send_within_seconds`
    after the lease was asked for: past that, the lease might end before the answer is recorded.
    """

    lease: Lease
    provider_id: UUID
    provider_name: str
    account: ProviderAccount
    handovers: tuple[Handover, ...]
    send_within_seconds: float
    time_scale: float
    trial: datetime | None
    """The provider's trial on which these orders are sent, as in the grant for them."""
    bound: Bound
    """How many could be on their way at once when these were leased."""


async def lease_batch(
    session: Session,
    keys: KeyRing,
    provider_id: UUID,
    *,
    time_scale: float,
    over: Mapping[str, UUID] = work.NOTHING,
) -> Batch | Closed | None:
    """queued → submitting for what is due at a provider that may be called; None when nothing is.

    `over` are orders, with their lease's token, whose calls have been answered: their places are
    free, though the answers may not be recorded yet.

    A provider that may not be called says why; its orders are given to other routes where they
    have one, and wait where they have none.
    """
    grant = await protection.admit_submits(session, provider_id)
    if isinstance(grant, Grant) and await lineage.is_restored(session):
        grant = Closed.RESTORED
    if grant in {Closed.BUDGET, Closed.QUIET, Closed.RESTORED}:
        # Their turn comes soon, or no other route would help: they stay, and say why they wait.
        due = await work.due_refs(session, DISPATCH, str(provider_id), limit=PASSED_ON_MAX)
        await repository.set_wait_reason(session, [int(ref) for ref in due], grant)
        return grant
    if not isinstance(grant, Grant):
        delay = await protection.look_again_after(session, provider_id, at_most=WAIT_WHILE_CLOSED)
        await _pass_on(session, str(provider_id), reason=grant, delay=delay)
        return grant
    provider = grant.provider
    scale = supply.scale_of(provider, time_scale)
    try:
        account = supply.account_of(provider, keys, time_scale=time_scale)
    except Undecryptable:
        # Nobody can sign in there until a person has seen to it; the orders need not wait for that.
        log.exception("credentials_cannot_be_opened", provider=provider.name)
        await pausing.pause(session, provider_id, PauseReason.CREDENTIALS)
        await _pass_on(session, str(provider_id), reason=Closed.PAUSED)
        return Closed.PAUSED
    lease = await work.lease(
        session,
        DISPATCH,
        str(provider_id),
        limit=min(BATCH_MAX, grant.calls),
        in_flight_max=grant.in_flight_max,
        seconds=supply.lease_seconds(account),
        over=over,
    )
    if not lease.refs:
        return None
    handovers = await _take(session, keys, provider, lease, scale=scale)
    await protection.spend_calls(session, provider, len(handovers))
    return Batch(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        handovers=tuple(handovers),
        send_within_seconds=account.timeouts.total_seconds,
        time_scale=scale,
        trial=grant.trial,
        bound=grant.bound,
    )


async def _take(
    session: Session, keys: KeyRing, provider: Provider, lease: Lease, *, scale: float
) -> list[Handover]:
    """Take the leased orders whose links are free; those for which this provider is not the next
    route are passed on.
    """
    ids = [int(ref) for ref in lease.refs]
    orders = await repository.lock_queued(session, ids)
    gone = set(ids) - {order.id for order in orders}
    if gone:
        # Not queued any more: whoever moved it has seen to what is left to do.
        await work.finish(session, DISPATCH, map(str, gone))
    offers = await offering.offers(session, sorted({order.service_id for order in orders}))
    history = await histories(session, ids)
    chosen: dict[int, NewAttempt] = {}
    elsewhere: dict[int, RouteOffer | None] = {}
    for order in orders:
        if history[order.id].was_taken:
            await review_taken(session, order.id, OrderState.QUEUED)
            continue
        choice = choose(offers.get(order.service_id), Sold.of(order), history[order.id])
        if choice.route is not None and choice.route.provider_id == provider.id:
            number = history[order.id].made + 1
            chosen[order.id] = _attempt(order, choice.route, choice.skipped, number, lease)
        else:
            elsewhere[order.id] = choice.route
    await _wait_or_move(session, elsewhere, reason=NO_ROUTE)
    links = {order.id: order.link_hash for order in orders}
    attempts = await _with_free_links(session, provider, lease, chosen, links, scale=scale)
    if not attempts:
        return []
    rows = await attempt_repository.take(session, list(attempts.values()), actor=str(ACTOR))
    handovers = []
    for row in rows:
        offer, attempt = offers[row.service_id], attempts[row.id]
        try:
            form = open_form(keys, row.id, row.sealed)
        except Undecryptable as error:
            await _review_unprepared(session, attempt, str(error))
            continue
        submission = Submission(
            provider_service=attempt.provider_service,
            service_type=offer.type,
            form=form,
            reference=str(attempt.id),
        )
        handovers.append(Handover(row.id, attempt.id, submission))
    return handovers


async def _with_free_links(
    session: Session,
    provider: Provider,
    lease: Lease,
    chosen: Mapping[int, NewAttempt],
    links: Mapping[int, bytes],
    *,
    scale: float,
) -> dict[int, NewAttempt]:
    """Those whose link is theirs now, where the provider asks for that; the others wait for it."""
    wanted = [
        Wanted(order_id, attempt.provider_service, links[order_id])
        for order_id, attempt in chosen.items()
        if attempt.link_exclusive
    ]
    free = await link_locks.take(session, provider.id, wanted)
    busy: dict[timedelta, list[int]] = {}
    for one in wanted:
        if one.order_id not in free:
            delay = link_locks.look_again_after(lease.tries[str(one.order_id)])
            busy.setdefault(delay, []).append(one.order_id)
    for delay, order_ids in busy.items():
        await wait(session, order_ids, reason=LINK_BUSY, delay=delay / scale)
    waiting = {order_id for order_ids in busy.values() for order_id in order_ids}
    return {order_id: one for order_id, one in chosen.items() if order_id not in waiting}


def _told(number: int, skipped: Sequence[Skipped]) -> str:
    """What operators see of the choice: the routes passed over, and why."""
    if not skipped:
        return "{}"
    routes = [
        {
            "provider_id": supply.public_provider_id(one.route.provider_id),
            "provider_service": one.route.provider_service,
            "why": one.why,
        }
        for one in skipped
    ]
    return orjson.dumps({"attempt": number, "skipped": routes}).decode()


def _attempt(
    order: Row, route: RouteOffer, skipped: Sequence[Skipped], number: int, lease: Lease
) -> NewAttempt:
    cost = charge_rounded_up(rate=route.cost, price_unit=order.price_unit, quantity=order.quantity)
    return NewAttempt(
        id=new_id(),
        order_id=order.id,
        number=number,
        route_id=route.route_id,
        provider_id=route.provider_id,
        provider_service=route.provider_service,
        lease_token=lease.token,
        cost_micros=cost.micros,
        cost_currency=route.currency,
        rate_to_ours_micros=route.rate_to_ours_micros,
        link_exclusive=route.link_exclusive,
        told=_told(number, skipped),
    )


async def review_taken(session: Session, order_id: int, source: OrderState) -> None:
    """Somebody called it absent, and an answer that came late says that it was taken: it is neither
    sent again nor paid back.
    """
    why = "a late answer says that it was taken"
    await attempt_repository.doubt_absence(session, order_id, outcome=why)
    await repository.move(
        session,
        order_id,
        Move.REVIEW,
        source=source,
        target=OrderState.NEEDS_REVIEW,
        actor=ACTOR,
        data={"why": why},
        public=False,
    )
    await work.finish(session, DISPATCH, [str(order_id)])


async def _review_unprepared(session: Session, attempt: NewAttempt, why: str) -> None:
    """An order whose form cannot be opened is never sent; it must not keep the others waiting."""
    await attempt_repository.end(session, attempt.id, AttemptState.ABSENT, outcome=why)
    await repository.move(
        session,
        attempt.order_id,
        Move.REVIEW,
        source=OrderState.SUBMITTING,
        target=OrderState.NEEDS_REVIEW,
        actor=ACTOR,
        data={"why": why},
        public=False,
    )
    await link_locks.release(session, [attempt.order_id])
    await work.finish(session, DISPATCH, [str(attempt.order_id)])


async def _pass_on(
    session: Session, lane: str, *, reason: str, delay: timedelta = WAIT_WHILE_CLOSED
) -> None:
    """What is due in a lane that is closed goes to other routes, or waits and says why."""
    lease = await work.lease(
        session, DISPATCH, lane, limit=PASSED_ON_MAX, in_flight_max=PASSED_ON_MAX, seconds=60
    )
    ids = [int(ref) for ref in lease.refs]
    if not ids:
        return
    orders = await repository.lock_queued(session, ids)
    offers = await offering.offers(session, sorted({order.service_id for order in orders}))
    history = await histories(session, ids)
    routes: dict[int, RouteOffer | None] = {}
    for order in orders:
        route = next_route(offers.get(order.service_id), Sold.of(order), history[order.id])
        routes[order.id] = route if route is not None and route.open_now else None
    await _wait_or_move(session, routes, reason=reason, delay=delay)
    await work.finish(session, DISPATCH, map(str, set(ids) - set(routes)))


async def reroute(session: Session) -> None:
    """Look again at orders that had no route when they were queued."""
    await _pass_on(session, work.MAIN_LANE, reason=NO_ROUTE)


async def _wait_or_move(
    session: Session,
    routes: Mapping[int, RouteOffer | None],
    *,
    reason: str,
    delay: timedelta = WAIT_WHILE_CLOSED,
) -> None:
    """Give queued orders to the lanes of their routes; those without one wait, and say why."""
    waiting = [order_id for order_id, route in routes.items() if route is None]
    if waiting:
        await wait(session, waiting, reason=reason, delay=delay)
    moved = [(str(order_id), str(r.provider_id)) for order_id, r in routes.items() if r is not None]
    await work.put_many(session, DISPATCH, moved)


async def wait(
    session: Session, order_ids: Collection[int], *, reason: str | None, delay: timedelta
) -> None:
    """Leave orders queued for a while, in the lane they are in."""
    await work.put_back(session, DISPATCH, map(str, order_ids), due_at=now_of(session) + delay)
    await repository.set_wait_reason(session, order_ids, reason)


async def mark_sending(session: Session, batch: Batch) -> tuple[Handover, ...]:
    """leased → sending, the last commit before a byte is written; those that may be sent.

    May be run again, as nothing is sent before it has answered.
    """
    attempt_ids = [handover.attempt_id for handover in batch.handovers]
    marked = await attempt_repository.mark_sending(session, attempt_ids)
    return tuple(h for h in batch.handovers if h.attempt_id in marked)
