"""The verbs of an order that people call: place, read, cancel, hold, release."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.service import Offer
from app.core import lineage, work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import AppError, NotFound
from app.core.money import Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders import (
    attempt_repository,
    evidence_repository,
    link_locks,
    number_repository,
    placing_repository,
    repository,
)
from app.orders.errors import OrderNotCancelable, TestOrdersUnavailable
from app.orders.inputs import link_hash, seal_form, shown_form
from app.orders.models import Attempt, Order, OrderEvent, ProviderEvidence
from app.orders.pricing import NewOrder, Priced, price
from app.orders.repository import OrderFilter
from app.orders.routing import History, Sold, histories, next_route
from app.orders.settlement import End, end_order
from app.orders.states import Move, OrderState
from app.resellers.models import Mode

DISPATCH: Final = "dispatch"
FOLLOW: Final = "follow"
RECONCILE: Final = "reconcile"
TRAIL_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order that somebody asks for."""

    book_id: UUID
    item: NewOrder
    actor: Actor


@dataclass(frozen=True, slots=True)
class Accepted:
    """An order that will be placed, and whose it is."""

    book_id: UUID
    priced: Priced
    actor: Actor


def refuse_test_book(mode: Mode) -> None:
    """An order of the test book must never reach a provider, and nothing else delivers it yet."""
    if mode is not Mode.LIVE:
        raise TestOrdersUnavailable


async def place(
    session: Session, keys: KeyRing, book_id: UUID, item: NewOrder, *, actor: Actor
) -> Order:
    """Charge the book, write the order and promise its dispatch: all, or none.

    Raises what `price` raises, InsufficientFunds, SpendingStopped.
    """
    [result] = await place_together(session, keys, [Purchase(book_id, item, actor)], wait=True)
    if isinstance(result, AppError):
        raise result
    return _placed(result)


async def place_batch(
    session: Session, keys: KeyRing, book_id: UUID, items: Sequence[NewOrder], *, actor: Actor
) -> list[Order | AppError]:
    """Place what can be placed, in the order given; per item the order, or its refusal.

    Raises SpendingStopped, which is no matter of one order.
    """
    purchases = [Purchase(book_id, item, actor) for item in items]
    results = await place_together(session, keys, purchases, wait=True)
    for result in results:
        if isinstance(result, SpendingStopped):
            raise result
    return [one if isinstance(one, AppError) else _placed(one) for one in results]


def _placed(order: Order | None) -> Order:
    if order is None:
        raise LookupError("an order that could wait for its wallet was left out")
    return order


async def place_together(
    session: Session, keys: KeyRing, purchases: Sequence[Purchase], *, wait: bool
) -> list[Order | AppError | None]:
    """Place what can be placed of several books' orders; of each the order, or its refusal.

    All is judged and priced before a wallet is locked; then what fits its balance is accepted, in
    the order given. Without `wait`, an order whose wallet another transaction has locked is left
    out and gets None.
    """
    offers = await catalog.offers(session, sorted({one.item.service_id for one in purchases}))
    now = now_of(session)
    priced = [
        _price_or_refusal(offers.get(one.item.service_id), one.item, now) for one in purchases
    ]
    judged = await link_locks.refuse_busy(session, keys, priced)
    books = {p.book_id for p, one in zip(purchases, judged, strict=True) if isinstance(one, Priced)}
    wallets = await ledger.lock_wallets(session, sorted(books), wait=wait) if books else {}
    available = {book_id: wallet.available for book_id, wallet in wallets.items()}
    accepted: list[Accepted] = []
    results: list[Accepted | AppError | None] = []
    for purchase, one in zip(purchases, judged, strict=True):
        if isinstance(one, AppError):
            results.append(one)
        elif purchase.book_id not in wallets:
            results.append(InsufficientFunds() if wait else None)
        elif not wallets[purchase.book_id].spendable:
            results.append(SpendingStopped())
        elif one.charge > available[purchase.book_id]:
            results.append(InsufficientFunds())
        else:
            available[purchase.book_id] -= one.charge
            accepted.append(Accepted(purchase.book_id, one, purchase.actor))
            results.append(accepted[-1])
    placed = iter(await _write_and_hold(session, keys, accepted))
    return [next(placed) if isinstance(one, Accepted) else one for one in results]


def _price_or_refusal(offer: Offer | None, item: NewOrder, now: datetime) -> Priced | AppError:
    try:
        return price(offer, item, now=now)
    except AppError as refusal:
        return refusal


async def next_number(session: Session) -> int:
    """A public number for what is no order, and is read like one."""
    [number] = await number_repository.next_numbers(session, 1)
    return number


async def _write_and_hold(
    session: Session, keys: KeyRing, accepted: Sequence[Accepted]
) -> list[Order]:
    """Write orders whose wallets are locked and known to cover them."""
    if not accepted:
        return []
    orders = await _write(session, keys, accepted)
    holds = [(order.book_id, order.id, Money(order.charge)) for order in orders]
    await ledger.hold_each(session, holds)
    return orders


async def _write(session: Session, keys: KeyRing, accepted: Sequence[Accepted]) -> list[Order]:
    """Insert the orders with their inputs and promise their dispatch; their charges are yet to be
    held.
    """
    ids = await number_repository.next_numbers(session, len(accepted))
    rows = [_row(session, keys, order_id, one) for order_id, one in zip(ids, accepted, strict=True)]
    await placing_repository.insert_orders(session, rows)
    await work.put_many(
        session,
        DISPATCH,
        [
            (str(order_id), str(one.priced.route.provider_id))
            for order_id, one in zip(ids, accepted, strict=True)
        ],
    )
    return [placing_repository.as_inserted(row) for row in rows]


def _row(session: Session, keys: KeyRing, order_id: int, accepted: Accepted) -> dict[str, Any]:
    priced, offer, item = accepted.priced, accepted.priced.offer, accepted.priced.item
    return {
        "id": order_id,
        "book_id": accepted.book_id,
        "service_id": offer.service_id,
        "quantity": priced.quantity,
        "units": priced.units,
        "charge": priced.charge.micros,
        "rate_micros": offer.rate.micros,
        "price_unit": offer.price_unit,
        "markup_basis_points": offer.markup_basis_points,
        "cost_micros": priced.cost.micros,
        "link_hash": link_hash(keys, item.form),
        "reference": item.reference,
        "sealed": seal_form(keys, order_id, item.form),
        "created_at": now_of(session),
        "deliver_from": priced.window.deliver_from,
        "deliver_by": priced.window.deliver_by,
        "actor": str(accepted.actor),
    }


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
    if order.state not in {OrderState.QUEUED, OrderState.ON_HOLD}:
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
    offers = await catalog.offers(session, [order.service_id])
    route = next_route(offers.get(order.service_id), Sold.of(order), History())
    lane = str(route.provider_id) if route else work.MAIN_LANE
    await work.put(session, DISPATCH, str(order.id), lane=lane)
