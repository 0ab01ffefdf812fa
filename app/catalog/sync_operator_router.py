"""The operators' routes on syncs: what providers sell, how it changed, and taking it over."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.catalog import importing, mirror
from app.catalog.sync_schemas import (
    ImportBody,
    ImportedList,
    ImportedRead,
    ProviderServiceChangePage,
    ProviderServiceChangeRead,
    ProviderServicePage,
    ProviderServiceRead,
    SyncAsked,
    SyncPage,
    SyncRead,
    SyncRulePut,
    SyncRuleRead,
)
from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.ids import parse_public_id
from app.core.uow import now_of
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.supply import service as supply
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import Line
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["catalogue"], route_class=OperatorRoute)

OfProvider = Annotated[
    str | None, Query(pattern=rf"^{supply.PREFIX}_[0-9a-f]{{32}}$", description="Only its own.")
]
OfService = Annotated[Line | None, Query(max_length=64, description="Only of this one.")]


@router.get("/provider-services", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_list_provider_services(
    operator: OperatorDep,
    runtime: RuntimeDep,
    provider_id: OfProvider = None,
    gone: Annotated[bool | None, Query(description="Only what is gone, or is not.")] = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ProviderServicePage:
    """What providers sell, by the facts that we go by; what we learned of last comes first."""
    scope = f"provider-services|{operator.owner}|{provider_id}|{gone}"
    page = Page(runtime.cursors, scope, limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await mirror.page(
            session,
            provider_id=parse_public_id(supply.PREFIX, provider_id or ""),
            gone=gone,
            after=page.after_int(),
            limit=page.read,
        )
        currencies = {one.id: one.currency for one in await supply.every(session)}
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [ProviderServiceRead.of(row, currencies[row.provider_id]) for row in shown]
    return ProviderServicePage(data=data, next_cursor=next_cursor)


@router.get(
    "/provider-service-changes", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed)
)
@needs(Permission.CATALOGUE_READ)
async def operator_list_provider_service_changes(
    operator: OperatorDep,
    runtime: RuntimeDep,
    provider_id: OfProvider = None,
    provider_service: OfService = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ProviderServiceChangePage:
    """How what providers sell has changed, prices among it; newest first."""
    scope = f"provider-service-changes|{operator.owner}|{provider_id}|{provider_service}"
    page = Page(runtime.cursors, scope, limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await mirror.history_page(
            session,
            provider_id=parse_public_id(supply.PREFIX, provider_id or ""),
            provider_service=provider_service,
            after=page.after_int(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [ProviderServiceChangeRead.of(row) for row in shown]
    return ProviderServiceChangePage(data=data, next_cursor=next_cursor)


@router.post("/provider-services/import", status_code=201, responses=refusals(*GUARDED, *BODY))
@needs(Permission.CATALOGUE_WRITE)
async def operator_import_services(
    body: ImportBody, operator: OperatorDep, runtime: RuntimeDep
) -> ImportedList:
    """Take services of providers into the catalogue, off sale; all of them, or none."""

    async def transaction(session: Session) -> ImportedList:
        currency = runtime.settings.currency
        made = await importing.import_services(
            session,
            [item.asked() for item in body.services],
            selling_currency=currency,
            by=operator.actor,
        )
        for item, one in zip(body.services, made, strict=True):
            await audit.record(
                session,
                operator.actor,
                "service.import",
                f"service:{one.id}",
                {"provider_id": item.provider_id, "provider_service": item.provider_service},
            )
        return ImportedList(data=[ImportedRead.of(one, currency) for one in made])

    return await runtime.uow.run(transaction)


@router.get("/catalogue-syncs", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_list_syncs(
    operator: OperatorDep,
    runtime: RuntimeDep,
    provider_id: OfProvider = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> SyncPage:
    """The syncs there were, with what they found; newest first."""
    page = Page(runtime.cursors, f"syncs|{operator.owner}|{provider_id}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await mirror.run_page(
            session,
            provider_id=parse_public_id(supply.PREFIX, provider_id or ""),
            after=page.after_uuid(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return SyncPage(data=[SyncRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post(
    "/providers/{provider_id}/sync", status_code=202, responses=refusals(*GUARDED, NotFound)
)
@needs(Permission.CATALOGUE_WRITE)
async def operator_sync_provider(
    provider_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> SyncAsked:
    """Have what a provider sells looked at now; the list of syncs tells how it went."""

    async def transaction(session: Session) -> SyncAsked:
        provider = await supply.get_public(session, provider_id)
        await mirror.ask(session, provider.id)
        await audit.record(session, operator.actor, "provider.sync", f"provider:{provider_id}", {})
        return SyncAsked(provider_id=provider_id, asked_at=now_of(session))

    return await runtime.uow.run(transaction)


@router.get("/providers/{provider_id}/sync-rule", responses=refusals(*GUARDED, NotFound))
@needs(Permission.CATALOGUE_READ)
async def operator_get_sync_rule(provider_id: str, runtime: RuntimeDep) -> SyncRuleRead:
    """How far a provider's prices may move by themselves."""
    async with runtime.uow.begin() as session:
        provider = await supply.get_public(session, provider_id)
        basis_points = await mirror.price_jump_of(session, provider.id)
    return SyncRuleRead(provider_id=provider_id, price_jump_basis_points=basis_points)


@router.put("/providers/{provider_id}/sync-rule", responses=refusals(*GUARDED, *BODY, NotFound))
@needs(Permission.CATALOGUE_WRITE)
async def operator_put_sync_rule(
    provider_id: str,
    body: SyncRulePut,
    operator: OperatorDep,
    runtime: RuntimeDep,
) -> SyncRuleRead:
    """Say how far a provider's prices may move by themselves, from the next sync on."""

    async def transaction(session: Session) -> SyncRuleRead:
        provider = await supply.get_public(session, provider_id)
        await mirror.set_price_jump(session, provider.id, body.price_jump_basis_points)
        read = SyncRuleRead(
            provider_id=provider_id, price_jump_basis_points=body.price_jump_basis_points
        )
        await audit.record(
            session,
            operator.actor,
            "sync_rule.put",
            f"provider:{provider_id}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)
