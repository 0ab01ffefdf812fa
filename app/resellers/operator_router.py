"""The operators' routes on resellers and their keys."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.resellers import service
from app.resellers.errors import EmailTaken, TooManyKeys
from app.resellers.schemas import (
    ApiKeyMade,
    OperatorApiKeyCreate,
    OperatorApiKeyPage,
    OperatorApiKeyRead,
    OperatorResellerRead,
    ResellerCreate,
    ResellerPage,
    ResellerRead,
)
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/resellers",
    tags=["resellers"],
    route_class=OperatorRoute,
)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.RESELLERS_READ)
async def operator_list_resellers(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ResellerPage:
    """Every account, newest first."""
    page = Page(runtime.cursors, f"resellers|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.page(session, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return ResellerPage(data=[ResellerRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post("", status_code=201, responses=refusals(*GUARDED, *BODY, EmailTaken))
@needs(Permission.RESELLERS_WRITE)
async def operator_create_reseller(
    body: ResellerCreate, operator: OperatorDep, runtime: RuntimeDep
) -> ResellerRead:
    """Open an account with its two books."""

    async def transaction(session: Session) -> ResellerRead:
        reseller = await service.register(
            session, name=body.name, email=body.email, country=body.country, plan=body.plan
        )
        read = ResellerRead.of(reseller)
        await audit.record(
            session, operator.actor, "reseller.create", f"reseller:{read.id}", {"plan": body.plan}
        )
        return read

    return await runtime.uow.run(transaction)


@router.get("/{reseller_id}", responses=refusals(*GUARDED, NotFound))
@needs(Permission.RESELLERS_READ)
async def operator_get_reseller(reseller_id: str, runtime: RuntimeDep) -> OperatorResellerRead:
    """One account with its plan's limits, and the ids of its books."""
    async with runtime.uow.begin() as session:
        reseller = await service.get_public(session, reseller_id)
        return OperatorResellerRead.of_plan(
            reseller,
            await service.books_of(session, reseller.id),
            await service.plan_of(session, reseller),
            default_per_minute=runtime.settings.rate_limit_default_per_minute,
        )


@router.get(
    "/{reseller_id}/api-keys",
    responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed),
)
@needs(Permission.RESELLERS_READ)
async def operator_list_api_keys(
    reseller_id: str,
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorApiKeyPage:
    """The keys of a reseller, of both books and revoked ones too, newest first."""
    page = Page(runtime.cursors, f"api-keys|{operator.owner}|{reseller_id}", limit, cursor)
    async with runtime.uow.begin() as session:
        reseller = await service.get_public(session, reseller_id)
        rows = await service.keys_of(session, reseller.id, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row[0].id)
    return OperatorApiKeyPage(
        data=[OperatorApiKeyRead.of_mode(key, mode) for key, mode in shown],
        next_cursor=next_cursor,
    )


@router.post(
    "/{reseller_id}/api-keys",
    status_code=201,
    responses=refusals(*GUARDED, *BODY, NotFound, TooManyKeys),
)
@needs(Permission.RESELLERS_WRITE)
async def operator_create_api_key(
    reseller_id: str, body: OperatorApiKeyCreate, operator: OperatorDep, runtime: RuntimeDep
) -> ApiKeyMade:
    """Make a key for a reseller; its text is shown this once."""

    async def transaction(session: Session) -> ApiKeyMade:
        reseller = await service.get_public(session, reseller_id)
        book = await service.book_of(session, reseller.id, body.mode)
        key, minted = await service.make_key(
            session,
            runtime.keys,
            book,
            name=body.name,
            scopes=body.scopes,
            allowed_cidrs=body.allowed_cidrs,
            expires_at=body.expires_at,
            panel=body.panel_options,
        )
        made = ApiKeyMade.of_minted(key, minted)
        await audit.record(
            session,
            operator.actor,
            "key.create",
            f"reseller:{reseller_id}",
            {"key_id": made.id, "scopes": sorted(body.scopes), "mode": body.mode},
        )
        return made

    return await runtime.uow.run(transaction)


@router.delete(
    "/{reseller_id}/api-keys/{key_id}", status_code=204, responses=refusals(*GUARDED, NotFound)
)
@needs(Permission.RESELLERS_WRITE)
async def operator_revoke_api_key(
    reseller_id: str, key_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> None:
    """End a reseller's key at once."""

    async def transaction(session: Session) -> None:
        reseller = await service.get_public(session, reseller_id)
        await service.revoke_key_of(session, reseller.id, key_id)
        await audit.record(
            session, operator.actor, "key.revoke", f"reseller:{reseller_id}", {"key_id": key_id}
        )

    await runtime.uow.run(transaction)
