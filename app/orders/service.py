"""Orders that are placed: found, locked, told in full, taken back while nobody has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from app.catalog import offering
from app.core import lineage, work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import NotFound
from app.core.money import Money
from app.orders import attempt_repository, evidence_repository, number_repository, repository
from app.orders.endings import End
from app.orders.errors import OrderNotCancelable
from app.orders.inputs import shown_form
from app.orders.models import Attempt, Order, OrderEvent, ProviderEvidence
from app.orders.repository import OrderFilter
from app.orders.routing import History, Sold, histories, next_route
from app.orders.settlement import end_order
from app.orders.states import NOT_HANDED_ON, Move, OrderState

DISPATCH: Final = "dispatch"
FOLLOW: Final = "follow"
RECONCILE: Final = "reconcile"
TRAIL_MAX: Final = 500


async def next_number(session: Session) -> int:
    """A public number for what is no order, and is read like one."""
    [number] = await number_repository.next_numbers(session, 1)
    return number


async def get_in_book(session: Session, book_id: UUID, order_id: int) -> Order:
    """Raises NotFound for one that is absent and for another's alike."""
    order = await repository.find_in_book(session, book_id, order_id)
    if order is None:
        raise NotFound
    return order


async def find_many_in_book(
    session: Session, book_id: UUID, order_ids: Collection[int]
) -> dict[int, Order]:
    """Those of the numbers that are orders of this book."""
    found = await repository.find_many_in_book(session, book_id, order_ids)
    return {order.id: order for order in found}


async def get(session: Session, order_id: int) -> Order:
    order = await repository.find(session, order_id)
    if order is None:
        raise NotFound
    return order


async def page(
    session: Session, *, book_id: UUID | None, wanted: OrderFilter, after: int | None, limit: int
) -> Sequence[Order]:
    """Newest first; of one book, or of all for operators."""
    return await repository.page(session, book_id=book_id, wanted=wanted, after=after, limit=limit)


async def in_states(
    session: Session, states: Collection[OrderState], *, book_id: UUID | None, limit: int
) -> Sequence[Order]:
    """Orders in one of these states, newest first; of one book, or of all."""
    wanted = OrderFilter(states=frozenset(states))
    return await repository.page(session, book_id=book_id, wanted=wanted, after=None, limit=limit)


async def links_of(
    session: Session, keys: KeyRing, orders: Sequence[Order]
) -> dict[int, str | None]:
    """The links of these orders, opened; what has none is delivered to a user, or unreadable."""
    sealed = await repository.sealed_inputs(session, [order.id for order in orders])
    forms = {order_id: shown_form(keys, order_id, text) for order_id, text in sealed.items()}
    return {order_id: form.link if form else None for order_id, form in forms.items()}


async def events(
    session: Session, order_id: int, *, public_only: bool, after: int, limit: int
) -> Sequence[OrderEvent]:
    """The timeline, from the first event on."""
    return await repository.events_of(
        session, order_id, public_only=public_only, after=after, limit=limit
    )


async def live_attempt(session: Session, order_id: int) -> Attempt | None:
    """The one attempt after which a provider may have the order."""
    return await attempt_repository.live_of(session, order_id)


@dataclass(frozen=True, slots=True)
class OrderDetail:
    """An order with its timeline, its route trail and what providers said."""

    order: Order
    events: Sequence[OrderEvent]
    attempts: Sequence[Attempt]
    evidence: Sequence[ProviderEvidence]


async def detail(session: Session, order_id: int) -> OrderDetail:
    """Everything that an operator needs to judge an order; each list is bounded."""
    order = await get(session, order_id)
    attempts = await attempt_repository.of_order(session, order_id, limit=TRAIL_MAX)
    return OrderDetail(
        order,
        await events(session, order_id, public_only=False, after=0, limit=TRAIL_MAX),
        attempts,
        await evidence_repository.evidence_list(
            session, [attempt.id for attempt in attempts], limit=TRAIL_MAX
        ),
    )


async def cancel(session: Session, order_id: int, *, actor: Actor, reason: str) -> Order:
    """Take back an order that was never handed on; the whole charge returns at once.

    Loses to a worker that takes it first: raises OrderNotCancelable; so it does in a restored
    database, which does not know whether it was handed on, and where a late answer says that it
    was.
    """
    if await lineage.is_restored(session):
        raise OrderNotCancelable
    order = await lock(session, order_id)
    if order.state not in NOT_HANDED_ON:
        raise OrderNotCancelable
    if await was_taken(session, order_id):
        raise OrderNotCancelable("The order is between us and delivery: try again later")
    end = End(Move.CANCEL, OrderState.CANCELED, Money(order.charge), order.units)
    await end_order(session, order, end, actor, reason=reason)
    return await get(session, order_id)


async def was_taken(session: Session, order_id: int) -> bool:
    """Whether an answer to any attempt carried an id for this order: of one that waits, that it was
    called absent, and is not.
    """
    return (await histories(session, [order_id]))[order_id].was_taken


async def lock(session: Session, order_id: int) -> Order:
    """Lock an order's work and then the order, as everyone does. Raises NotFound."""
    await work.lock_ref(session, str(order_id))
    order = await repository.lock(session, order_id)
    if order is None:
        raise NotFound
    return order


async def promise_dispatch(session: Session, order: Order) -> None:
    """Put a queued order into the lane of the provider that it will be offered to first."""
    offers = await offering.offers(session, [order.service_id])
    route = next_route(offers.get(order.service_id), Sold.of(order), History())
    lane = str(route.provider_id) if route else work.MAIN_LANE
    await work.put(session, DISPATCH, str(order.id), lane=lane)
