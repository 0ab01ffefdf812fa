"""After a restore: what waits is doubted, and each provider's own list tells what it has.

A restored database has forgotten what was done after its backup. An order that it believes to be
waiting may have been sent since; so none of them is sent again, and none is paid back, until every
provider that could have got it was looked at. What was placed after the backup is lost here: where
a provider took it, its list shows it, and a person sees to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.catalog import service_routes
from app.catalog.models import Route
from app.core import lineage, work
from app.core.audit import Actor
from app.core.db import Session
from app.core.ids import new_id
from app.core.money import Money, charge_rounded_up
from app.core.uow import now_of
from app.ledger import service as ledger
from app.orders import (
    attempt_repository,
    evidence_repository,
    number_repository,
    refill_moves,
    refill_repository,
    resolving,
    restore_repository,
    service,
)
from app.orders.errors import OrderStateConflict, TooEarlyToProve
from app.orders.judging import ABSENCE_AFTER
from app.orders.models import Attempt, Order
from app.orders.provider_lists import Listed
from app.orders.restore_repository import UNASKED
from app.orders.states import AttemptState
from app.supply import service as supply
from app.supply.models import Provider

WHY: Final = "the database was restored from an older copy: this may have been sent since"
REFILLS_AT_ONCE_MAX: Final = 10_000
REFS_AT_ONCE_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Doubted:
    """How much of what waited may have been done already."""

    since: datetime
    orders: int
    refills: int


async def doubt_waiting(
    session: Session, *, since: datetime | None, actor: Actor, whole: bool = False
) -> Doubted:
    """Vouch for a restored database, in the transaction that doubts all that waits in it.

    `since` is when its backup was made, by default when the last order was sent that it knows of:
    what was placed may have come after the restore. With `whole` an operator says that nothing was
    forgotten, and nothing is doubted.
    """
    moment = since or await restore_repository.last_at_home(session) or now_of(session)
    if whole:
        await lineage.vouch(session, actor, since=None)
        return Doubted(moment, 0, 0)
    refills = await _lose_refills(session, actor)
    order_ids = await restore_repository.waiting(session)
    await _lock_work(session, order_ids)
    orders = await restore_repository.review(session, order_ids, actor=str(actor), why=WHY)
    for start in range(0, len(orders), REFS_AT_ONCE_MAX):
        part = orders[start : start + REFS_AT_ONCE_MAX]
        await work.finish_all(session, [str(order_id) for order_id, _ in part])
    await restore_repository.doubt(session, await _possible(session, orders))
    await number_repository.skip_numbers(session)
    await lineage.vouch(session, actor, since=moment)
    return Doubted(moment, len(orders), refills)


async def _lose_refills(session: Session, actor: Actor) -> int:
    """All that this database believes are yet to be asked for; how many."""
    lost = 0
    while ids := await restore_repository.unasked_refills(session, limit=REFILLS_AT_ONCE_MAX):
        await _lock_work(session, ids)
        for refill in await refill_repository.lock_many(session, ids, UNASKED):
            await refill_moves.lose(session, refill, WHY, actor=actor)
            lost += 1
    return lost


async def _lock_work(session: Session, ids: Collection[int]) -> None:
    """All work on these, before any of them is locked; in the one order of `work.lock_refs`."""
    refs = sorted(map(str, ids))
    for start in range(0, len(refs), REFS_AT_ONCE_MAX):
        await work.lock_refs(session, refs[start : start + REFS_AT_ONCE_MAX])


async def _possible(session: Session, orders: Sequence[tuple[int, int]]) -> set[tuple[int, UUID]]:
    """Each order with every provider that could have got it: by a route, used now or closed."""
    found = await restore_repository.attempts_of(session, [order_id for order_id, _ in orders])
    for service_id in {service_id for _, service_id in orders}:
        providers = {one.provider_id for one in await service_routes.routes_of(session, service_id)}
        found |= {
            (order_id, provider_id)
            for order_id, of_service in orders
            if of_service == service_id
            for provider_id in providers
        }
    return found


async def adopt(
    session: Session, provider: Provider, order_id: int, listed: Listed, *, actor: Actor
) -> Order:
    """The provider has the order, as its list says: it goes on under that id.

    Raises OrderStateConflict, ProviderOrderTaken.
    """
    order = await service.lock(session, order_id)
    live = await attempt_repository.live_of(session, order_id)
    if live is not None and live.provider_id != provider.id:
        if not await _is_ruled_out(session, provider, live):
            raise OrderStateConflict("The order was tried at another provider last")
        outcome = "not in its provider's list after a restore"
        await attempt_repository.end(session, live.id, AttemptState.ABSENT, outcome=outcome)
        live = None
    if live is None:
        await restore_repository.insert_attempt(
            session, await _forgotten_attempt(session, provider, order, listed)
        )
    return await resolving.find(
        session,
        order_id,
        provider_order_id=listed.provider_order_id,
        actor=actor,
        reason="in the provider's list after a restore",
    )


async def _is_ruled_out(session: Session, provider: Provider, live: Attempt) -> bool:
    """Whether the list of its own provider does not have an attempt from before the restore, of an
    order that this other provider may have.
    """
    restore = await lineage.last_restore(session)
    if restore is None or live.started_at > restore.at:
        return False
    doubted = await restore_repository.doubted_of(session, live.order_id)
    if provider.id not in doubted or live.provider_id in doubted:
        return False
    return await evidence_repository.evidence_of(session, live.id) is None


async def _forgotten_attempt(
    session: Session, provider: Provider, order: Order, listed: Listed
) -> Attempt:
    """The try that the database has forgotten, with what it costs by the routes that stand now."""
    route = _route(await service_routes.routes_of(session, order.service_id), provider, listed)
    selling = await ledger.selling_currency(session)
    rate = await supply.rate_to_ours(session, provider.currency, selling or provider.currency)
    if route is None or rate is None:
        raise OrderStateConflict("Its service has no route to this provider, or its money no rate")
    restore = await lineage.last_restore(session)
    since = now_of(session) if restore is None else restore.since
    cost = charge_rounded_up(
        rate=Money(route.cost_micros), price_unit=order.price_unit, quantity=order.quantity
    )
    return Attempt(
        id=new_id(),
        order_id=order.id,
        number=await restore_repository.last_attempt_number(session, order.id) + 1,
        route_id=route.id,
        provider_id=provider.id,
        provider_service=route.provider_service,
        link_exclusive=route.link_exclusive,
        state=AttemptState.UNKNOWN,
        lease_token=new_id(),
        cost_micros=cost.micros,
        cost_currency=provider.currency,
        rate_to_ours_micros=rate,
        outcome="forgotten by a restore",
        # It was sent at some time after that; a list's own times are by another clock.
        started_at=since,
        sending_at=since,
    )


def _route(routes: Sequence[Route], provider: Provider, listed: Listed) -> Route | None:
    ours = [route for route in routes if route.provider_id == provider.id]
    told = [route for route in ours if route.provider_service == listed.service]
    return next(iter(told or ours), None)


async def rule_out(
    session: Session, provider: Provider, order_id: int, *, time_scale: float, actor: Actor
) -> bool:
    """A complete list of this provider's does not have the order. Where no other provider may have
    it either, it is queued again, or on hold where a hold was open; whether it came to that.
    Nothing follows for one that is no longer in doubt: it may have been sent since.

    Raises TooEarlyToProve within 15 minutes of the restore, when a list might lag behind, and what
    `resolving.prove_absent` raises.
    """
    restored = await lineage.last_restore(session)
    wait = ABSENCE_AFTER / supply.scale_of(provider, time_scale)
    if restored is None or now_of(session) - restored.at < wait:
        raise TooEarlyToProve("Absence can be proven only 15 minutes after the restore")
    order = await service.lock(session, order_id)
    doubted = await restore_repository.doubted_of(session, order_id)
    await restore_repository.forget_doubts(session, order_id, provider_id=provider.id)
    if order.state not in resolving.UNRESOLVED or doubted != {provider.id}:
        return False
    reason = "in no provider's list after a restore"
    await resolving.prove_absent(session, order_id, actor=actor, reason=reason)
    return True


async def doubts(session: Session) -> dict[UUID, int]:
    """Per provider, how many orders wait for its list."""
    return await restore_repository.open_counts(session)
