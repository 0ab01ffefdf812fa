"""Which route an order is given to: by priority, one that is open now first, never below cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

from app.catalog.service import Offer, RouteOffer
from app.core.db import Session
from app.core.money import Money
from app.core.statements import Row
from app.orders import attempt_repository
from app.orders.models import Order
from app.providers.protocol import RefusalKind

FOR_GOOD: Final = frozenset({RefusalKind.PERMANENT, RefusalKind.SERVICE_GONE})
"""Refusals after which a route is not tried again for the same order."""


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold, as far as a route is judged by it: how much, and for what."""

    quantity: int
    price_unit: int
    charge: Money

    @classmethod
    def of(cls, order: Order | Row) -> Self:
        return cls(order.quantity, order.price_unit, Money(order.charge))


@dataclass(frozen=True, slots=True)
class History:
    """What was tried for an order: how often, and which routes refused it for good."""

    made: int = 0
    refused_routes: frozenset[UUID] = frozenset()


async def histories(session: Session, order_ids: Sequence[int]) -> dict[int, History]:
    """The attempts made for each of these orders so far."""
    made = dict.fromkeys(order_ids, 0)
    refused: dict[int, set[UUID]] = {order_id: set() for order_id in order_ids}
    for row in await attempt_repository.earlier(session, order_ids):
        made[row.order_id] = max(made[row.order_id], row.number)
        if row.outcome in FOR_GOOD:
            refused[row.order_id].add(row.route_id)
    return {
        order_id: History(made[order_id], frozenset(refused[order_id])) for order_id in order_ids
    }


def next_route(offer: Offer | None, sold: Sold, history: History) -> RouteOffer | None:
    """The best route that has not refused this order for good and does not cost more than it
    brought, unless an operator lets this service be sold below cost.
    """
    if offer is None:
        return None
    left = [
        route
        for route in offer.routes
        if route.route_id not in history.refused_routes and _pays(offer, route, sold)
    ]
    return next((route for route in left if route.open_now), left[0] if left else None)


def _pays(offer: Offer, route: RouteOffer, sold: Sold) -> bool:
    cost = route.cost_in_ours(quantity=sold.quantity, price_unit=sold.price_unit)
    return offer.below_cost_allowed or cost <= sold.charge
