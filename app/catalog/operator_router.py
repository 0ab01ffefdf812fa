"""The operators' catalogue routes: services, attestations, routes to providers."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.catalog import service, service_routes
from app.catalog.errors import NotAttested, OutreachNotAllowed, RouteExists, RouteQuarantined
from app.catalog.models import Service
from app.catalog.operator_schemas import (
    AttestationCreate,
    AttestationRead,
    OperatorServicePage,
    OperatorServiceRead,
    RouteChange,
    RouteCreate,
    RouteRead,
    ServiceChange,
    ServiceCreate,
)
from app.catalog.router import ServiceId
from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.supply import service as supply
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/services",
    tags=["services"],
    route_class=OperatorRoute,
)


async def _read(session: Session, found: Service, currency: str) -> OperatorServiceRead:
    attestation = await service.attestation_of(session, found.id)
    routes = [RouteRead.of(route) for route in await service_routes.routes_of(session, found.id)]
    return OperatorServiceRead.of_all(found, currency, attestation, routes)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_list_services(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorServicePage:
    """Every service, on sale or not, newest first."""
    page = Page(runtime.cursors, f"services|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        services = await service.every_page(session, after=page.after_int(), limit=page.read)
        shown, next_cursor = page.cut(services, lambda one: one.id)
        data = [await _read(session, one, runtime.settings.currency) for one in shown]
    return OperatorServicePage(data=data, next_cursor=next_cursor)


@router.post("", status_code=201, responses=refusals(*GUARDED, *BODY))
@needs(Permission.CATALOGUE_WRITE)
async def operator_create_service(
    body: ServiceCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorServiceRead:
    """Add a service; it is off sale until it is attested."""

    async def transaction(session: Session) -> OperatorServiceRead:
        made = await service.create(session, body.columns(), by=operator.actor)
        await audit.record(
            session,
            operator.actor,
            "service.create",
            f"service:{made.id}",
            body.model_dump(mode="json", exclude={"rate"}) | {"rate": str(body.rate)},
        )
        return await _read(session, made, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.get("/{service_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_get_service(service_id: ServiceId, runtime: RuntimeDep) -> OperatorServiceRead:
    """One service with its attestation and its routes."""
    async with runtime.uow.begin() as session:
        found = await service.get(session, service_id)
        return await _read(session, found, runtime.settings.currency)


@router.patch(
    "/{service_id}", responses=refusals(*GUARDED, *BODY, NotFound, NotAttested, OutreachNotAllowed)
)
@needs(Permission.CATALOGUE_WRITE)
async def operator_change_service(
    service_id: ServiceId, body: ServiceChange, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorServiceRead:
    """Change what is sold from now on, or put it on or off sale."""

    async def transaction(session: Session) -> OperatorServiceRead:
        columns = body.columns()
        changed = await service.change(session, service_id, columns, by=operator.actor)
        if columns.keys() & {"min_quantity", "max_quantity"}:
            await service_routes.refuse_bounds_beyond_routes(session, changed)
        await audit.record(
            session, operator.actor, "service.change", f"service:{service_id}", columns
        )
        return await _read(session, changed, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.put("/{service_id}/attestation", responses=refusals(*GUARDED, *BODY, NotFound))
@needs(Permission.ATTESTATIONS_WRITE)
async def operator_attest_service(
    service_id: ServiceId, body: AttestationCreate, operator: OperatorDep, runtime: RuntimeDep
) -> AttestationRead:
    """Put your word behind how this service is delivered; it takes the place of an earlier one."""

    async def transaction(session: Session) -> AttestationRead:
        made = await service.attest(
            session,
            service_id,
            method=body.method,
            document=body.document,
            operator_id=operator.id,
        )
        await audit.record(
            session,
            operator.actor,
            "service.attest",
            f"service:{service_id}",
            body.model_dump(mode="json"),
        )
        return AttestationRead.of(made)

    return await runtime.uow.run(transaction)


@router.delete(
    "/{service_id}/attestation",
    status_code=204,
    responses=refusals(*GUARDED, NotFound, ValidationFailed),
)
@needs(Permission.ATTESTATIONS_WRITE)
async def operator_withdraw_attestation(
    service_id: ServiceId, operator: OperatorDep, runtime: RuntimeDep
) -> None:
    """Take the word back; the service goes off sale."""

    async def transaction(session: Session) -> None:
        await service.withdraw_attestation(session, service_id)
        await audit.record(
            session, operator.actor, "service.withdraw_attestation", f"service:{service_id}", {}
        )

    await runtime.uow.run(transaction)


@router.post(
    "/{service_id}/routes",
    status_code=201,
    responses=refusals(*GUARDED, *BODY, NotFound, RouteExists),
)
@needs(Permission.CATALOGUE_WRITE)
async def operator_create_route(
    service_id: ServiceId, body: RouteCreate, operator: OperatorDep, runtime: RuntimeDep
) -> RouteRead:
    """Let a provider's service deliver this one."""

    async def transaction(session: Session) -> RouteRead:
        provider = await supply.get_public(session, body.provider_id)
        made = await service_routes.add_route(
            session,
            service_id,
            provider_id=provider.id,
            provider_service=body.provider_service,
            cost=body.cost,
            priority=body.priority,
            link_exclusive=body.link_exclusive,
        )
        read = RouteRead.of(made)
        await audit.record(
            session,
            operator.actor,
            "route.create",
            f"service:{service_id}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)


@router.patch(
    "/{service_id}/routes/{route_id}",
    responses=refusals(*GUARDED, *BODY, NotFound, RouteQuarantined),
)
@needs(Permission.CATALOGUE_WRITE)
async def operator_change_route(
    service_id: ServiceId,
    route_id: str,
    body: RouteChange,
    operator: OperatorDep,
    runtime: RuntimeDep,
) -> RouteRead:
    """Change a route's cost, its place in the order, or whether it is used."""

    async def transaction(session: Session) -> RouteRead:
        columns = body.columns()
        changed = await service_routes.change_route(session, service_id, route_id, columns)
        await audit.record(
            session,
            operator.actor,
            "route.change",
            f"service:{service_id}",
            {"route_id": service_routes.public_route_id(changed.id), **columns},
        )
        return RouteRead.of(changed)

    return await runtime.uow.run(transaction)
