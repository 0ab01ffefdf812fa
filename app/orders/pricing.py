"""What an order costs, judged by its service: form, link, bounds, route, never below cost."""

from __future__ import annotations

from dataclasses import dataclass

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.catalog.links.fitting import broken_rule
from app.catalog.service import Offer, RouteOffer
from app.core.errors import FieldProblem, InvalidInput
from app.core.money import Money, charge_rounded_up
from app.orders.routing import History, Sold, next_route
from app.providers import forms
from app.providers.forms import FORMS, LinesOf, OrderForm, ServiceType, Unit


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a reseller asks for, as it was sent; `price` judges it by its service.

    `type` is what the sender takes the service for; None leaves that to the service.
    """

    service_id: int
    form: OrderForm
    type: ServiceType | None = None
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
    """Judge an order by its service's form, platform, bounds and price.

    Raises ServiceUnknown, InvalidInput naming the field, or ServiceUnavailable when no route can
    deliver it at a price that is not below cost.
    """
    if offer is None or not offer.on_sale or offer.type is ServiceType.SUBSCRIPTIONS:
        raise ServiceUnknown(errors=(FieldProblem("/service_id", "is not on sale"),))
    quantity = _billable_quantity(offer, item)
    _refuse_link(offer, item.form)
    if not offer.min_quantity <= quantity <= offer.max_quantity:
        billable = FORMS[offer.type].billable
        field = billable.field if isinstance(billable, LinesOf) else "quantity"
        bounds = f"must be {offer.min_quantity} to {offer.max_quantity} for this service"
        raise InvalidInput(errors=(FieldProblem(f"/{field}", bounds),))
    charge = charge_rounded_up(rate=offer.rate, price_unit=offer.price_unit, quantity=quantity)
    route = next_route(offer, Sold(quantity, offer.price_unit, charge), History())
    if route is None:
        raise ServiceUnavailable
    cost = route.cost_in_ours(quantity=quantity, price_unit=offer.price_unit)
    is_package = FORMS[offer.type].billable is Unit.ONE
    units = offer.package_units if is_package else quantity
    return Priced(offer, item, route, quantity, units, charge, cost)


def _billable_quantity(offer: Offer, item: NewOrder) -> int:
    """What is charged for; a field that the service's type misses or refuses is told by name."""
    if item.type not in {None, offer.type}:
        raise InvalidInput(errors=(FieldProblem("/type", f"is {offer.type} for this service"),))
    found = forms.problems(offer.type, item.form)
    if found:
        problems = (FieldProblem(f"/{field}", rule) for field, rule in found)
        raise InvalidInput(errors=tuple(problems))
    return forms.billable_quantity(offer.type, item.form)


def _refuse_link(offer: Offer, form: OrderForm) -> None:
    """A link that certainly leads somewhere else than this service delivers."""
    link = form.link
    rule = link and broken_rule(link, platform=offer.platform, kind=offer.kind)
    if rule:
        raise InvalidInput(errors=(FieldProblem("/link", rule),))
