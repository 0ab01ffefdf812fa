"""Which route an order is given to: in the service's order, open ones first, never below cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from app.catalog.offering import Offer, RouteOffer
from app.core.db import Session
from app.core.money import Money, charge_rounded_up
from app.core.statements import Row
from app.orders import attempt_repository
from app.orders.models import Order
from app.providers.protocol import RefusalKind

FOR_GOOD: Final = frozenset({RefusalKind.PERMANENT, RefusalKind.SERVICE_GONE})
"""Refusals after which a route is not tried again for the same order."""


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold, as far as a route is judged by it: how much, and for what.

    Of a subscription it is one post: its spend cap says nothing of what a unit brings.
    """

    quantity: int
    price_unit: int
    charge: Money

    @classmethod
    def of(cls, order: Order | Row) -> Self:
        return cls(order.quantity, order.price_unit, price_of_post(order) or Money(order.charge))


def price_of_post(order: Order | Row) -> Money | None:
    """What the largest post of a subscription is sold for; None for an order that is none.

    It is the only run whose delivery nobody counts beforehand; its charge is its spend cap.
    """
    if order.parent_id is None or order.units is not None:
        return None
    return charge_rounded_up(
        rate=Money(order.rate_micros), price_unit=order.price_unit, quantity=order.quantity
    )


@dataclass(frozen=True, slots=True)
class History:
    """What was tried for an order: how often, which routes refused it for good, and whether an
    answer carried an id for it.
    """

    made: int = 0
    refused_routes: frozenset[UUID] = frozenset()
    was_taken: bool = False


async def histories(session: Session, order_ids: Sequence[int]) -> dict[int, History]:
    """The attempts made for each of these orders so far."""
    made = dict.fromkeys(order_ids, 0)
    refused: dict[int, set[UUID]] = {order_id: set() for order_id in order_ids}
    taken: set[int] = set()
    for row in await attempt_repository.earlier(session, order_ids):
        made[row.order_id] = max(made[row.order_id], row.number)
        if row.has_id:
            taken.add(row.order_id)
        if row.outcome in FOR_GOOD:
            refused[row.order_id].add(row.route_id)
    return {
        order_id: History(made[order_id], frozenset(refused[order_id]), order_id in taken)
        for order_id in order_ids
    }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A route that comes before the chosen one, and why it was passed over."""

    route: RouteOffer
    why: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The route that an order takes, with those that were passed over for it."""

    route: RouteOffer | None
    skipped: tuple[Skipped, ...] = ()


def choose(offer: Offer | None, sold: Sold, history: History) -> Choice:
    """The best route that has not refused this order for good and does not cost more than it
    brought, unless an operator lets this service be sold below cost; one that is open now first.
    """
    if offer is None:
        return Choice(None)
    skipped: list[Skipped] = []
    closed: RouteOffer | None = None
    for route in offer.routes:
        never = _why_never(offer, route, sold, history)
        if never is None and route.open_now:
            return Choice(route, tuple(skipped))
        if never is None and closed is None:
            closed = route
        skipped.append(Skipped(route, never or route.closed_by or ""))
    return Choice(closed, tuple(one for one in skipped if one.route is not closed))


def next_route(offer: Offer | None, sold: Sold, history: History) -> RouteOffer | None:
    """The route that `choose` takes."""
    return choose(offer, sold, history).route


def _why_never(offer: Offer, route: RouteOffer, sold: Sold, history: History) -> str | None:
    """Why a route cannot take this order, whether it is open or not."""
    if route.route_id in history.refused_routes:
        return "refused"
    if not route.takes_type:
        return "type_not_taken"
    cost = route.cost_in_ours(quantity=sold.quantity, price_unit=sold.price_unit)
    return None if offer.below_cost_allowed or cost <= sold.charge else "below_cost"
