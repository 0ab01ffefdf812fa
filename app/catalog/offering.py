"""What can be sold at this moment: attested services with their prices and routes as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.catalog import repository
from app.catalog.models import BusyLink, Routing, ServiceState
from app.catalog.windows import Promise
from app.core.db import Session
from app.core.money import Money, charge_rounded_up, converted_rounded_up
from app.core.uow import now_of
from app.providers.forms import ServiceType
from app.supply import service as supply
from app.supply.models import ProviderState

NO_ANSWER: Final = "no_answer"


@dataclass(frozen=True, slots=True)
class RouteOffer:
    """One way to deliver, with its cost as it stands now."""

    route_id: UUID
    provider_id: UUID
    provider_service: str
    cost: Money
    currency: str
    rate_to_ours_micros: int
    link_exclusive: bool
    simulated: bool
    takes_type: bool
    """Whether its provider's dialect has orders of the service's type at all."""

    closed_by: str | None
    """Why its provider takes no orders now: a pause, by its reason, or silence."""

    @property
    def open_now(self) -> bool:
        return self.closed_by is None

    def cost_in_ours(self, *, quantity: int, price_unit: int) -> Money:
        """What delivering `quantity` will cost, in the selling currency, never understated."""
        cost = charge_rounded_up(rate=self.cost, price_unit=price_unit, quantity=quantity)
        return converted_rounded_up(cost, rate_micros=self.rate_to_ours_micros)


@dataclass(frozen=True, slots=True)
class Offer:
    """An attested service with its price, its bounds and its routes, as of this transaction."""

    service_id: int
    name: str
    platform: str
    kind: str
    type: ServiceType
    on_sale: bool
    min_quantity: int
    max_quantity: int
    rate: Money
    price_unit: int
    markup_basis_points: int
    package_units: int | None
    below_cost_allowed: bool
    promise: Promise
    refuses_busy_link: bool
    routes: tuple[RouteOffer, ...]
    """In the order in which they are tried."""

    @property
    def is_simulated(self) -> bool:
        """Whether simulators deliver it, and nobody else: waits may then be shortened."""
        return bool(self.routes) and all(route.simulated for route in self.routes)


async def offers(session: Session, service_ids: Sequence[int]) -> dict[int, Offer]:
    """The offers of these services; one without an attestation is not among them."""
    rows = await repository.offers(session, service_ids, now=now_of(session))
    routes: dict[int, list[RouteOffer]] = {}
    first: dict[int, Any] = {}
    for row in rows:
        first.setdefault(row.id, row)
        if row.route_id is not None and row.rate_to_ours_micros is not None:
            routes.setdefault(row.id, []).append(_route_offer(row))
    return {
        service_id: _offer(row, routes.get(service_id, [])) for service_id, row in first.items()
    }


async def offer_of(session: Session, service_id: int) -> Offer | None:
    """The offer of one service; None where it has none."""
    return (await offers(session, [service_id])).get(service_id)


def _route_offer(row: Any) -> RouteOffer:
    return RouteOffer(
        route_id=row.route_id,
        provider_id=row.provider_id,
        provider_service=row.provider_service,
        cost=Money(row.cost_micros),
        currency=row.currency,
        rate_to_ours_micros=row.rate_to_ours_micros,
        link_exclusive=row.link_exclusive,
        simulated=row.simulated,
        takes_type=supply.takes(row.adapter, ServiceType(row.type)),
        closed_by=_closed_by(row),
    )


def _closed_by(row: Any) -> str | None:
    if row.provider_state != ProviderState.ACTIVE:
        return row.pause_reason or ProviderState.PAUSED
    return NO_ANSWER if row.breaker_open_until is not None else None


def _by_cost(route: RouteOffer) -> int:
    """Costs of one service are for the same number of units: in our money they compare."""
    return route.cost.micros * route.rate_to_ours_micros


def _offer(row: Any, routes: Sequence[RouteOffer]) -> Offer:
    """`routes` come by priority; where the service is routed by cost, that decides among equals."""
    tried = sorted(routes, key=_by_cost) if row.routing == Routing.COST else routes
    return Offer(
        service_id=row.id,
        name=row.name,
        platform=row.platform,
        kind=row.kind,
        type=ServiceType(row.type),
        on_sale=row.state == ServiceState.ON_SALE,
        min_quantity=row.min_quantity,
        max_quantity=row.max_quantity,
        rate=Money(row.rate_micros),
        price_unit=row.price_unit,
        markup_basis_points=row.markup_basis_points,
        package_units=row.package_units,
        below_cost_allowed=row.below_cost_allowed,
        promise=Promise.of(row),
        refuses_busy_link=row.busy_link == BusyLink.REFUSE,
        routes=tuple(tried),
    )
