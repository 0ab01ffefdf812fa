"""Handing orders over, as workers do it: lease and take, mark as sending, record what was said."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.service import Offer, RouteOffer
from app.core import work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.ids import new_id
from app.core.money import charge_rounded_up
from app.core.uow import now_of
from app.core.work import Lease
from app.orders import attempt_repository, repository
from app.orders.inputs import open_form
from app.orders.service import DISPATCH
from app.providers.protocol import ProviderAccount, RefusalKind, Submission
from app.supply import protection
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import Closed, Grant

ACTOR: Final = Actor("system", "dispatch")
BATCH_MAX: Final = 32
WAIT_WHILE_CLOSED: Final = timedelta(seconds=30)
LEASE_MARGIN_SECONDS: Final = 15.0
NO_ROUTE: Final = "no_route"
FOR_GOOD: Final = frozenset({RefusalKind.PERMANENT, RefusalKind.SERVICE_GONE})
"""Refusals after which this route is not tried again for the same order."""


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


async def lease_batch(
    session: Session, keys: KeyRing, provider_id: UUID, *, time_scale: float
) -> Batch | Closed | None:
    """queued → submitting for what is due at a provider that may be called; None when nothing is.

    A provider that may not be called says why; its orders are given to other routes where they
    have one, and wait where they have none.
    """
    grant = await protection.admit_submits(session, provider_id)
    if not isinstance(grant, Grant):
        await _pass_on_or_wait(session, str(provider_id), reason=grant)
        return grant
    provider = grant.provider
    scale = supply.scale_of(provider, time_scale)
    account = supply.account_of(provider, keys, time_scale=time_scale)
    seconds = 2 * account.timeouts.total_seconds + LEASE_MARGIN_SECONDS
    lease = await work.lease(
        session,
        DISPATCH,
        str(provider_id),
        limit=min(BATCH_MAX, grant.calls),
        in_flight_max=provider.in_flight_max,
        seconds=seconds,
    )
    if not lease.refs:
        return None
    handovers = await _take(session, keys, provider, lease)
    await protection.spend_calls(session, provider, len(handovers))
    return Batch(
        lease=lease,
        provider_id=provider_id,
        provider_name=provider.name,
        account=account,
        handovers=tuple(handovers),
        send_within_seconds=account.timeouts.total_seconds,
        time_scale=scale,
    )


async def _take(
    session: Session, keys: KeyRing, provider: Provider, lease: Lease
) -> list[Handover]:
    """Take the leased orders; those for which this provider is not the next route are passed on."""
    ids = [int(ref) for ref in lease.refs]
    orders = await repository.lock_queued(session, ids)
    offers = await catalog.offers(session, sorted({order.service_id for order in orders}))
    history = await earlier_attempts(session, ids)
    here: dict[int, RouteOffer] = {}
    for order in orders:
        route = next_route(offers.get(order.service_id), history[order.id])
        if route is not None and route.provider_id == provider.id:
            here[order.id] = route
        else:
            await _wait_or_move(session, order.id, route)
    gone = set(ids) - {order.id for order in orders}
    if gone:
        # Not queued any more: whoever moved it has seen to what is left to do.
        await work.finish(session, DISPATCH, map(str, gone))
    if not here:
        return []
    rows = await attempt_repository.take(session, here, actor=str(ACTOR))
    handovers = []
    attempts: list[dict[str, Any]] = []
    for row in rows:
        route, offer = here[row.id], offers[row.service_id]
        form = open_form(keys, row.id, row.sealed)
        attempt_id = new_id()
        submission = Submission(
            provider_service=route.provider_service,
            service_type=offer.type,
            link=form.link,
            quantity=row.quantity,
            comments=form.comments,
        )
        handovers.append(Handover(row.id, attempt_id, submission))
        attempts.append(_attempt_row(row, route, attempt_id, history[row.id].made + 1, lease))
    await attempt_repository.insert_attempts(session, attempts)
    return handovers


def _attempt_row(
    order: Any, route: RouteOffer, attempt_id: UUID, number: int, lease: Lease
) -> dict[str, Any]:
    cost = charge_rounded_up(rate=route.cost, price_unit=order.price_unit, quantity=order.quantity)
    return {
        "id": attempt_id,
        "order_id": order.id,
        "number": number,
        "route_id": route.route_id,
        "provider_id": route.provider_id,
        "provider_service": route.provider_service,
        "lease_token": lease.token,
        "cost_micros": cost.micros,
        "cost_currency": route.currency,
        "rate_to_ours_micros": route.rate_to_ours_micros,
    }


@dataclass(frozen=True, slots=True)
class History:
    """What was tried for an order: how often, and which routes refused it for good."""

    made: int
    refused_routes: frozenset[UUID]


async def earlier_attempts(session: Session, order_ids: Sequence[int]) -> dict[int, History]:
    made = dict.fromkeys(order_ids, 0)
    refused: dict[int, set[UUID]] = {order_id: set() for order_id in order_ids}
    for row in await attempt_repository.earlier(session, order_ids):
        made[row.order_id] = max(made[row.order_id], row.number)
        if row.outcome in FOR_GOOD:
            refused[row.order_id].add(row.route_id)
    return {
        order_id: History(made[order_id], frozenset(refused[order_id])) for order_id in order_ids
    }


def next_route(offer: Offer | None, history: History) -> RouteOffer | None:
    """The best open route that has not refused this order for good, one that is open now first."""
    if offer is None:
        return None
    left = [route for route in offer.routes if route.route_id not in history.refused_routes]
    return next((route for route in left if route.open_now), left[0] if left else None)


async def _pass_on_or_wait(session: Session, lane: str, *, reason: Closed | None) -> None:
    """What is due in the lane of a provider that may not be called."""
    if reason is Closed.BUDGET:
        return
    lease = await work.lease(
        session, DISPATCH, lane, limit=BATCH_MAX, in_flight_max=BATCH_MAX, seconds=60
    )
    ids = [int(ref) for ref in lease.refs]
    if not ids:
        return
    orders = await repository.lock_queued(session, ids)
    offers = await catalog.offers(session, sorted({order.service_id for order in orders}))
    history = await earlier_attempts(session, ids)
    for order in orders:
        route = next_route(offers.get(order.service_id), history[order.id])
        if route is not None and not route.open_now:
            route = None
        await _wait_or_move(session, order.id, route, reason=reason or NO_ROUTE)
    gone = set(ids) - {order.id for order in orders}
    await work.finish(session, DISPATCH, map(str, gone))


async def reroute(session: Session) -> None:
    """Look again at orders that had no route when they were queued."""
    await _pass_on_or_wait(session, work.MAIN_LANE, reason=None)


async def _wait_or_move(
    session: Session, order_id: int, route: RouteOffer | None, *, reason: str = NO_ROUTE
) -> None:
    """Give a queued order to another provider's lane, or let it wait and say why."""
    if route is None:
        await wait(session, [order_id], reason=reason, delay=WAIT_WHILE_CLOSED)
    else:
        await work.put(session, DISPATCH, str(order_id), lane=str(route.provider_id))


async def wait(
    session: Session, order_ids: Collection[int], *, reason: str | None, delay: timedelta
) -> None:
    """Leave orders queued for a while, in the lane they are in."""
    await work.put_back(session, DISPATCH, map(str, order_ids), due_at=now_of(session) + delay)
    await repository.set_wait_reason(session, order_ids, reason)


async def mark_sending(session: Session, batch: Batch) -> tuple[Handover, ...]:
    """leased → sending, the last commit before a byte is written; those that may be sent."""
    marked = await attempt_repository.mark_sending(
        session, [handover.attempt_id for handover in batch.handovers]
    )
    return tuple(h for h in batch.handovers if h.attempt_id in marked)


async def append_evidence(session: Session, said: Mapping[UUID, tuple[str | None, str]]) -> None:
    """Keep what a provider said to each attempt: its order id where it gave one, and the answer.

    Without a fence: a lost lease does not make an answer untrue.
    """
    await attempt_repository.append_evidence(session, said)
