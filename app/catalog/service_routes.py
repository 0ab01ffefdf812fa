"""The routes of services: which provider's service delivers one of ours, and whether it may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from app.catalog import finding_repository, mirror_repository, repository
from app.catalog.errors import RouteExists, RouteQuarantined
from app.catalog.mirror_models import ProviderService
from app.catalog.models import Route, Service
from app.catalog.service import lock
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id, parse_public_id, public_id
from app.core.logging import get_logger
from app.core.money import Money
from app.core.uow import now_of
from app.providers.forms import FORMS, ServiceType, Unit, type_of_wire
from app.supply import service as supply

log = get_logger(__name__)

ROUTE_PREFIX: Final = "rte"
ROUTES_PER_SERVICE_MAX: Final = 50
QUARANTINE: Final = "quarantine"
REJECTED: Final = "rejected"
VANISHED: Final = "vanished"
CLOSED_BY_OPERATOR: Final = "operator"


async def add_route(
    session: Session,
    service_id: int,
    *,
    provider_id: UUID,
    provider_service: str,
    cost: Money,
    priority: int,
    link_exclusive: bool = True,
) -> Route:
    """Let a provider's service deliver one of ours. Raises RouteExists for a second time, and
    InvalidInput for a provider that cannot take orders of the service's type, or that is known to
    sell this as another type or within narrower bounds.

    Over what stands in quarantine the route is closed until that is over, and over what its
    provider sells no more until an operator opens it.
    """
    # A sync that is at it may be about to open a finding: it is waited for, as it locks.
    await mirror_repository.lock_known(session, provider_id, [provider_service])
    sold = await lock(session, service_id)
    provider = await supply.get(session, provider_id)
    if not supply.takes(provider.adapter, ServiceType(sold.type)):
        rule = f"cannot take {sold.type}: its dialect has no such orders"
        raise InvalidInput(errors=(FieldProblem("/provider_id", rule),))
    if len(await routes_of(session, service_id)) >= ROUTES_PER_SERVICE_MAX:
        limit = f"a service has at most {ROUTES_PER_SERVICE_MAX} routes"
        raise InvalidInput(errors=(FieldProblem("/provider_service", limit),))
    mirrored = await mirror_repository.find(session, provider_id, provider_service)
    if mirrored is not None:
        _refuse_what_it_does_not_sell(sold, mirrored)
    closed_reason = await _closed_from_the_start(session, provider_id, provider_service, mirrored)
    route = Route(
        id=new_id(),
        service_id=service_id,
        provider_id=provider_id,
        provider_service=provider_service,
        cost_micros=cost.micros,
        priority=priority,
        link_exclusive=link_exclusive,
        state="closed" if closed_reason else "open",
        closed_reason=closed_reason,
        created_at=now_of(session),
    )
    if not await repository.insert_route(session, route):
        raise RouteExists
    return route


def _refuse_what_it_does_not_sell(
    sold: Service, mirrored: ProviderService, *, field: str = "/provider_service"
) -> None:
    """Orders that the provider would refuse are not sold: what it lists says so beforehand."""
    ours, theirs = ServiceType(sold.type), type_of_wire(mirrored.type)
    rules = []
    if theirs is not None and theirs is not ours:
        rules.append(f"is of the type {theirs} at this provider, and the service of {ours}")
    if not _fits(sold, mirrored):
        low, high = mirrored.min_quantity, mirrored.max_quantity
        said = f"{sold.min_quantity} to {sold.max_quantity}"
        rules.append(f"takes {low} to {high} at this provider, and the service sells {said}")
    if rules:
        raise InvalidInput(errors=tuple(FieldProblem(field, one) for one in rules))


def _fits(sold: Service, mirrored: ProviderService) -> bool:
    is_counted = FORMS[ServiceType(sold.type)].billable is not Unit.ONE
    low, high = mirrored.min_quantity, mirrored.max_quantity
    return not is_counted or low <= sold.min_quantity <= sold.max_quantity <= high


async def refuse_bounds_beyond_routes(session: Session, sold: Service) -> None:
    """Raises InvalidInput where a route's provider lists narrower bounds than are now sold.

    Of several routes any may get the order, so that what is sold fits them all.
    """
    for route, mirrored in await _binding(session, sold.id):
        if _fits(sold, mirrored):
            continue
        low, high = mirrored.min_quantity, mirrored.max_quantity
        route_id = public_route_id(route.id)
        problems = []
        if sold.min_quantity < low:
            rule = f"must be at least {low}, which is what its route {route_id} takes"
            problems.append(FieldProblem("/min_quantity", rule))
        if sold.max_quantity > high:
            rule = f"must be at most {high}, which is what its route {route_id} takes"
            problems.append(FieldProblem("/max_quantity", rule))
        raise InvalidInput(errors=tuple(problems))


async def within_routes(
    session: Session, service_id: int, bounds: tuple[int, int]
) -> tuple[int, int]:
    """What of these bounds all routes take; where that is nothing, the bounds as they are."""
    listed = [mirrored for _, mirrored in await _binding(session, service_id)]
    least = max([bounds[0], *(one.min_quantity for one in listed)])
    most = min([bounds[1], *(one.max_quantity for one in listed)])
    return (least, most) if least <= most else bounds


async def _binding(session: Session, service_id: int) -> list[tuple[Route, ProviderService]]:
    """The routes that are open, or open by themselves once a finding is over, of whose providers it
    is known what they take.
    """
    found = []
    for route in await routes_of(session, service_id):
        if route.state == "open" or route.closed_reason in {QUARANTINE, REJECTED}:
            mirrored = await mirror_repository.find(
                session, route.provider_id, route.provider_service
            )
            found += [(route, mirrored)] if mirrored is not None else []
    return found


async def _closed_from_the_start(
    session: Session, provider_id: UUID, provider_service: str, mirrored: ProviderService | None
) -> str | None:
    if await finding_repository.stands(session, provider_id, provider_service):
        return QUARANTINE
    return VANISHED if mirrored is not None and mirrored.gone_at is not None else None


async def routes_of(session: Session, service_id: int) -> Sequence[Route]:
    return await repository.routes_of(session, service_id, limit=ROUTES_PER_SERVICE_MAX)


async def change_route(
    session: Session, service_id: int, public_route_id: str, fields: dict[str, Any]
) -> Route:
    """Change what a route costs, its place, or its use; orders under way keep the route they took.

    Raises RouteQuarantined for opening one over which a finding stands, and InvalidInput for one
    whose provider is known to sell this as another type or within narrower bounds.
    """
    route_id = parse_public_id(ROUTE_PREFIX, public_route_id)
    route = route_id and await repository.find_route(session, service_id, route_id)
    if not route:
        raise NotFound
    if "state" in fields:
        is_open = fields["state"] == "open"
        # The mirror's row, the route, its service: in this order a sync locks them as well.
        await mirror_repository.lock_known(session, route.provider_id, [route.provider_service])
        if is_open and await finding_repository.stands(
            session, route.provider_id, route.provider_service
        ):
            raise RouteQuarantined
        fields = fields | {"closed_reason": None if is_open else CLOSED_BY_OPERATOR}
    for name, value in fields.items():
        setattr(route, name, value)
    await session.flush()  # a refusal of the database must show here, in the edge's block
    if fields.get("state") == "open":
        await _refuse_opening(session, route)
    return route


async def _refuse_opening(session: Session, route: Route) -> None:
    """What its service sells may have changed while it was closed."""
    sold = await lock(session, route.service_id)
    mirrored = await mirror_repository.find(session, route.provider_id, route.provider_service)
    if mirrored is not None:
        _refuse_what_it_does_not_sell(sold, mirrored, field="/state")


async def close_route(session: Session, route_id: UUID, *, reason: str) -> None:
    """Take a route out of use; only an operator opens it again."""
    await repository.change_route(session, route_id, {"state": "closed", "closed_reason": reason})


async def close_gone_route(session: Session, route_id: UUID, *, reason: str) -> None:
    """Take a route out of use because its provider says that what it leads to is gone; with its
    last open route a service goes off sale.
    """
    await close_route(session, route_id, reason=reason)
    for service_id in await repository.end_sale_without_routes(session, route_id):
        log.warning("service_off_sale", service_id=service_id, why=reason)


def public_route_id(route_id: UUID) -> str:
    return public_id(ROUTE_PREFIX, route_id)
