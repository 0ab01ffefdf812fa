"""What an order costs, judged by its service: form, link, bounds, route, never below cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.catalog.links.fitting import broken_rule
from app.catalog.offering import Offer, RouteOffer
from app.catalog.windows import DateNotAgreed, Window, promised
from app.core.errors import FieldProblem, InvalidInput
from app.core.money import Money, charge_rounded_up
from app.orders.errors import LinkUnfit, QuantityOutOfBounds
from app.orders.links import check_link
from app.orders.routing import History, Sold, next_route
from app.providers import forms
from app.providers.forms import FORMS, Billable, LinesOf, OrderForm, ServiceType, Unit

RUNS_MAX: Final = 100
"""How many runs a schedule has at the most: canceling it locks all that still run, at once."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same order again and again: how many runs, and how long after each the next starts."""

    runs: int
    interval_minutes: int


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a reseller asks for, as it was sent; `price` judges it by its service.

    `type` is what the sender takes the service for; None leaves that to the service. With `repeat`
    it is a drip-feed, with `spend_cap` a subscription: both are schedules. `deliver_by` is the date
    that it asks for.
    """

    service_id: int
    form: OrderForm
    type: ServiceType | None = None
    reference: str | None = None
    repeat: Repeat | None = None
    spend_cap: Money | None = None
    deliver_by: datetime | None = None

    @property
    def is_schedule(self) -> bool:
        return self.repeat is not None or self.spend_cap is not None


@dataclass(frozen=True, slots=True)
class Priced:
    """An order that may be placed: what is billed, what delivery counts, what it costs whom, and
    when it is to be delivered.
    """

    offer: Offer
    item: NewOrder
    route: RouteOffer
    quantity: int
    units: int | None
    charge: Money
    cost: Money
    window: Window


def price(offer: Offer | None, item: NewOrder, *, now: datetime) -> Priced:
    """Judge an order by its service's form, platform, bounds and price.

    Raises ServiceUnknown, InvalidInput naming the field, or ServiceUnavailable when no route can
    deliver it at a price that is not below cost.
    """
    if item.is_schedule:
        field = "runs" if item.repeat else "spend_cap"
        raise InvalidInput(errors=(FieldProblem(f"/{field}", "is not taken in a batch"),))
    offer = sold(offer)
    quantity = judged_quantity(offer, item)
    if offer.type is ServiceType.SUBSCRIPTIONS:
        raise InvalidInput(errors=(FieldProblem("/spend_cap", "is required for this service"),))
    charge = charge_rounded_up(rate=offer.rate, price_unit=offer.price_unit, quantity=quantity)
    return priced_at(offer, item, quantity, charge, now=now)


def sold(offer: Offer | None) -> Offer:
    """The offer, if it is for sale. Raises ServiceUnknown."""
    if offer is None or not offer.on_sale:
        raise ServiceUnknown(errors=(FieldProblem("/service_id", "is not on sale"),))
    return offer


def judged_quantity(offer: Offer, item: NewOrder) -> int:
    """What an order, or one run or post of it, is charged for, within the service's bounds.

    Raises InvalidInput naming the field.
    """
    quantity = _billable_quantity(offer, item)
    _refuse_link(offer, item.form)
    if offer.type is ServiceType.MENTIONS_USER_FOLLOWERS:
        _refuse_name(item.form)
    billable = FORMS[offer.type].billable
    bounded = {_bounded_field(billable): quantity}
    if billable is Unit.POST and item.form.min is not None:
        bounded["min"] = item.form.min
    for name, value in bounded.items():
        if not offer.min_quantity <= value <= offer.max_quantity:
            raise QuantityOutOfBounds(
                name, value, least=offer.min_quantity, most=offer.max_quantity
            )
    return quantity


def _bounded_field(billable: Billable) -> str:
    """The field of which a service states the bounds."""
    if isinstance(billable, LinesOf):
        return billable.field
    return "max" if billable is Unit.POST else "quantity"


def priced_at(
    offer: Offer, item: NewOrder, quantity: int, charge: Money, *, now: datetime
) -> Priced:
    """The order at this charge, with the route that it would take. Raises ServiceUnavailable, and
    InvalidInput for a date that cannot be promised.
    """
    window = _window(offer, item, quantity, now)
    route = next_route(offer, Sold(quantity, offer.price_unit, charge), History())
    if route is None:
        raise ServiceUnavailable
    cost = route.cost_in_ours(quantity=quantity, price_unit=offer.price_unit)
    units = _units(offer, quantity)
    return Priced(offer, item, route, quantity, units, charge, cost, window)


def _window(offer: Offer, item: NewOrder, quantity: int, now: datetime) -> Window:
    if item.is_schedule and item.deliver_by is not None:
        rule = "is not taken for an order that is delivered in runs"
        raise InvalidInput(errors=(FieldProblem("/deliver_by", rule),))
    try:
        return promised(offer.promise, quantity=quantity, now=now, agreed=item.deliver_by)
    except DateNotAgreed as error:
        raise InvalidInput(errors=(FieldProblem("/deliver_by", str(error)),)) from error


def _units(offer: Offer, quantity: int) -> int | None:
    """What delivery counts: nothing that is known before, of a subscription."""
    match FORMS[offer.type].billable:
        case Unit.ONE:
            return offer.package_units
        case Unit.POST:
            return None
        case _:
            return quantity


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
        raise LinkUnfit(rule)


def _refuse_name(form: OrderForm) -> None:
    """A user who is to be named by an address. A body that does not state its type was read as one
    whose users have names.
    """
    try:
        check_link(form.username or "")
    except ValueError as error:
        raise InvalidInput(errors=(FieldProblem("/username", str(error)),)) from error
