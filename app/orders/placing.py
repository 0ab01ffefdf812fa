"""Placing orders: judged and priced, charged, written and promised for dispatch together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.catalog import offering
from app.catalog.offering import Offer
from app.core import work
from app.core.audit import Actor
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import AppError
from app.core.money import Money
from app.core.uow import now_of
from app.ledger import service as ledger
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders import link_locks, number_repository, placing_repository
from app.orders.errors import TestOrdersUnavailable
from app.orders.inputs import link_hash, seal_form
from app.orders.models import Order
from app.orders.pricing import NewOrder, Priced, price
from app.orders.service import DISPATCH
from app.resellers.models import Mode


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
    offers = await offering.offers(session, sorted({one.item.service_id for one in purchases}))
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
