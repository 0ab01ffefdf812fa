"""What is sold and how it may be delivered: services, attestations, routes, offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.catalog import price_repository, repository
from app.catalog.errors import NotAttested, OutreachNotAllowed
from app.catalog.models import (
    Attestation,
    BusyLink,
    DeliveryMethod,
    Routing,
    Service,
    ServiceState,
)
from app.catalog.price_models import PriceReason
from app.catalog.windows import HOURS_MAX, Promise, Tier
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id
from app.core.logging import get_logger
from app.core.money import AMOUNT_MICROS_MAX, Money, charge_rounded_up, converted_rounded_up
from app.core.uow import now_of
from app.providers.forms import FORMS, ServiceType, Unit
from app.supply import service as supply
from app.supply.models import ProviderState

log = get_logger(__name__)

ATTESTATION_PREFIX: Final = "att"
ROUTES_PER_SERVICE_MAX: Final = 50
NO_ANSWER: Final = "no_answer"
THE_HOUSE: Final = Actor("system", "catalogue")
"""Who sets a price where no person is named."""


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
        promise=Promise(
            Tier(row.tier),
            row.deliver_hours_min,
            row.deliver_hours_max,
            row.bulk_units,
            row.bulk_hours,
        ),
        refuses_busy_link=row.busy_link == BusyLink.REFUSE,
        routes=tuple(tried),
    )


async def get_on_sale(session: Session, service_id: int) -> Service:
    """A service as resellers see it. Raises NotFound for one that is not sold."""
    service = await repository.find_on_sale(session, service_id)
    if service is None:
        raise NotFound
    return service


async def on_sale_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    return await repository.on_sale_page(session, after=after, limit=limit)


async def get(session: Session, service_id: int) -> Service:
    service = await repository.find(session, service_id)
    if service is None:
        raise NotFound
    return service


async def lock(session: Session, service_id: int) -> Service:
    """The service as it stands once whoever is changing it has done so; nobody else does until the
    commit. Raises NotFound.
    """
    service = await repository.lock(session, service_id)
    if service is None:
        raise NotFound
    return service


async def every_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    return await repository.every_page(session, after=after, limit=limit)


async def create(session: Session, fields: dict[str, Any], *, by: Actor = THE_HOUSE) -> Service:
    """Add a service, off sale: it is put on sale once it is attested. Its price is on record."""
    service = Service(**fields, state=ServiceState.OFF_SALE, created_at=now_of(session))
    _refuse_contradictions(service)
    if service.price_unit == 1 and FORMS[ServiceType(service.type)].billable is not Unit.ONE:
        # API v2 has no word for another unit, and providers list the price of a thousand.
        raise InvalidInput(errors=(FieldProblem("/price_unit", "is 1000 for all but packages"),))
    session.add(service)
    await session.flush()  # the number comes from the database
    await _record_price(session, service, PriceReason.CREATED, by)
    return service


async def change(
    session: Session, service_id: int, fields: dict[str, Any], *, by: Actor = THE_HOUSE
) -> Service:
    """Change what is sold from now on; orders keep the price they were bought at.

    Raises NotAttested when a service without an attestation is put on sale, OutreachNotAllowed
    for one that reaches people who did not ask and is not allowed to. One that is not allowed to
    any more goes off sale in the same step.
    """
    service = await lock(session, service_id)
    puts_on_sale = fields.get("state") == ServiceState.ON_SALE
    if puts_on_sale and not await repository.find_attestation(session, service_id):
        raise NotAttested
    if not _may_be_sold(service, fields):
        if puts_on_sale:
            raise OutreachNotAllowed
        fields = fields | {"state": ServiceState.OFF_SALE}
    rate_before = service.rate_micros
    for name, value in fields.items():
        setattr(service, name, value)
    _refuse_contradictions(service)
    await session.flush()  # a refusal of the database must show here, in the edge's block
    if service.rate_micros != rate_before:
        await _record_price(session, service, PriceReason.CHANGED, by)
    return service


def _may_be_sold(service: Service, fields: dict[str, Any]) -> bool:
    """Whether, after this change, it reaches only people who asked, or may reach others."""
    allowed: bool = fields.get("outreach_allowed", service.outreach_allowed)
    return allowed or not FORMS[ServiceType(service.type)].reaches_others


async def _record_price(session: Session, service: Service, reason: PriceReason, by: Actor) -> None:
    await price_repository.append_price(
        session,
        service.id,
        service.rate_micros,
        reason=reason,
        actor=str(by),
        now=now_of(session),
    )


def _refuse_contradictions(service: Service) -> None:
    """Rules between fields, said in words before the database says them by constraint."""
    problems = []
    if service.max_quantity < service.min_quantity:
        problems.append(FieldProblem("/max_quantity", "must not be below min_quantity"))
    if service.deliver_hours_max < service.deliver_hours_min:
        problems.append(FieldProblem("/delivery_hours_max", "must not be below delivery_hours_min"))
    hours_max = HOURS_MAX.get(Tier(service.tier))
    if hours_max is not None and service.deliver_hours_max > hours_max:
        rule = f"must be at most {hours_max}, which is what {service.tier} promises"
        problems.append(FieldProblem("/delivery_hours_max", rule))
    if (service.bulk_units is None) != (service.bulk_hours is None):
        problems.append(FieldProblem("/bulk_hours", "is given together with bulk_units"))
    if service.rate_micros <= 0:
        problems.append(FieldProblem("/rate", "must be above zero"))
    elif _largest_charge(service).micros > AMOUNT_MICROS_MAX:
        problems.append(FieldProblem("/rate", "makes the largest order cost too much to write"))
    is_package = FORMS[ServiceType(service.type)].billable is Unit.ONE
    if is_package and (service.price_unit, service.min_quantity, service.max_quantity) != (1, 1, 1):
        problems.append(FieldProblem("/price_unit", "a package has unit, min and max quantity 1"))
    if not is_package and service.package_units is not None:
        problems.append(FieldProblem("/package_units", "is for packages only"))
    if problems:
        raise InvalidInput(errors=tuple(problems))


def _largest_charge(service: Service) -> Money:
    return charge_rounded_up(
        rate=Money(service.rate_micros),
        price_unit=service.price_unit,
        quantity=service.max_quantity,
    )


async def attest(
    session: Session, service_id: int, *, method: DeliveryMethod, document: str, operator_id: UUID
) -> Attestation:
    """Put an operator's word behind a service; it takes the place of an earlier one."""
    await lock(session, service_id)
    await repository.withdraw_attestation(session, service_id, now=now_of(session))
    attestation = Attestation(
        id=new_id(),
        service_id=service_id,
        method=method,
        document=document,
        operator_id=operator_id,
        attested_at=now_of(session),
    )
    session.add(attestation)
    await session.flush()  # the unique index speaks here, not at the commit
    return attestation


async def withdraw_attestation(session: Session, service_id: int) -> None:
    """Take the word back; the service goes off sale in the same step."""
    await lock(session, service_id)
    await repository.withdraw_attestation(session, service_id, now=now_of(session))
    await repository.change(session, service_id, {"state": ServiceState.OFF_SALE})


async def attestation_of(session: Session, service_id: int) -> Attestation | None:
    return await repository.find_attestation(session, service_id)
