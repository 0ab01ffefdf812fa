"""What an order costs, judged by its service: its form, its bounds, its route, never below cost."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.catalog.service import Offer, RouteOffer
from app.core.errors import FieldProblem, InvalidInput
from app.core.money import Money, charge_rounded_up
from app.orders.routing import History, Sold, next_route
from app.providers.protocol import ServiceType


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a reseller asks for, as it was sent; `price` judges it by its service."""

    service_id: int
    link: str
    quantity: int | None = None
    comments: tuple[str, ...] | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """An order that may be placed: what is billed, what delivery counts, and what it costs whom."""

    offer: Offer
    item: NewOrder
    route: RouteOffer
    quantity: int
    units: int | None
    charge: Money
    cost: Money


def price(offer: Offer | None, item: NewOrder) -> Priced:
    """Judge an order by its service's form, bounds and price.

    Raises ServiceUnknown, InvalidInput naming the field, or ServiceUnavailable when no route can
    deliver it at a price that is not below cost.
    """
    if offer is None or not offer.on_sale:
        raise ServiceUnknown(errors=(FieldProblem("/service_id", "is not on sale"),))
    quantity = _billable_quantity(offer, item)
    if not offer.min_quantity <= quantity <= offer.max_quantity:
        field = "/comments" if offer.type is ServiceType.CUSTOM_COMMENTS else "/quantity"
        bounds = f"must be {offer.min_quantity} to {offer.max_quantity} for this service"
        raise InvalidInput(errors=(FieldProblem(field, bounds),))
    charge = charge_rounded_up(rate=offer.rate, price_unit=offer.price_unit, quantity=quantity)
    route = next_route(offer, Sold(quantity, offer.price_unit, charge), History())
    if route is None:
        raise ServiceUnavailable
    cost = route.cost_in_ours(quantity=quantity, price_unit=offer.price_unit)
    units = offer.package_units if offer.type is ServiceType.PACKAGE else quantity
    return Priced(offer, item, route, quantity, units, charge, cost)


def _billable_quantity(offer: Offer, item: NewOrder) -> int:
    """What is charged for; a field that the service's type does not take is refused by name."""
    problems = []
    quantity: int | None
    if offer.type is not ServiceType.CUSTOM_COMMENTS and item.comments is not None:
        problems.append(FieldProblem("/comments", f"is not taken by a {offer.type} service"))
    match offer.type:
        case ServiceType.DEFAULT:
            quantity = item.quantity
            if quantity is None:
                problems.append(FieldProblem("/quantity", "is required for this service"))
        case ServiceType.PACKAGE:
            quantity = 1
            if item.quantity not in {None, 1}:
                problems.append(FieldProblem("/quantity", "is always 1 for a package"))
        case ServiceType.CUSTOM_COMMENTS:
            quantity = len(item.comments or ())
            if not quantity:
                problems.append(FieldProblem("/comments", "is required for this service"))
            elif item.quantity not in {None, quantity}:
                problems.append(FieldProblem("/quantity", "must be the number of comments"))
    if problems or quantity is None:
        raise InvalidInput(errors=tuple(problems))
    return quantity
