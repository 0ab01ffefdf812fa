"""The resellers' own account and keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.resellers import service
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.errors import AccountSuspended, ScopeTooWide, TooManyKeys
from app.resellers.schemas import (
    AccountRead,
    ApiKeyCreate,
    ApiKeyMade,
    ApiKeyPage,
    ApiKeyRead,
    ApiKeyRotate,
    ResellerChange,
)
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, SIGNED_IN, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1", route_class=ResellerRoute)


@router.get("/account", tags=["account"], responses=refusals(*SIGNED_IN))
@needs(None, group="account", winds_down=True)
async def get_account(caller: CallerDep, runtime: RuntimeDep) -> AccountRead:
    """Your account, and which of its two books this key opens."""
    async with runtime.uow.begin() as session:
        reseller = await service.get(session, caller.reseller_id)
    return AccountRead.of_mode(reseller, caller.mode, runtime.settings.currency)


@router.patch("/account", tags=["account"], responses=refusals(*GUARDED, *BODY, AccountSuspended))
@needs(Scope.ACCOUNT, group="account")
async def change_account(
    body: ResellerChange, caller: CallerDep, runtime: RuntimeDep
) -> AccountRead:
    """Change what your account says of itself."""

    async def transaction(session: Session) -> AccountRead:
        fields = body.model_dump(exclude_none=True)
        reseller = await service.rename(session, caller.reseller_id, fields)
        await audit.record(
            session,
            caller.actor,
            "account.change",
            f"reseller:{service.public_reseller_id(caller.reseller_id)}",
            {"fields": sorted(fields)},
        )
        return AccountRead.of_mode(reseller, caller.mode, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.get(
    "/api-keys", tags=["api-keys"], responses=refusals(*GUARDED, CursorInvalid, ValidationFailed)
)
@needs(Scope.KEYS, group="account", winds_down=True)
async def list_api_keys(
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ApiKeyPage:
    """The keys of this book, newest first, without their secrets."""
    page = Page(runtime.cursors, f"api-keys|{caller.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        keys = await service.keys_page(
            session, caller.book_id, after=page.after_uuid(), limit=page.read
        )
    shown, next_cursor = page.cut(keys, lambda key: key.id)
    return ApiKeyPage(data=[ApiKeyRead.of(key) for key in shown], next_cursor=next_cursor)


@router.post(
    "/api-keys",
    tags=["api-keys"],
    status_code=201,
    responses=refusals(*GUARDED, *BODY, AccountSuspended, ScopeTooWide, TooManyKeys),
)
@needs(Scope.KEYS, group="account")
async def create_api_key(body: ApiKeyCreate, caller: CallerDep, runtime: RuntimeDep) -> ApiKeyMade:
    """Make a key to the same book; its text is shown this once."""

    async def transaction(session: Session) -> ApiKeyMade:
        book = await service.book_of(session, caller.reseller_id, caller.mode)
        key, minted = await service.make_key(
            session,
            runtime.keys,
            book,
            name=body.name,
            scopes=body.scopes,
            within=caller.scopes,
            allowed_cidrs=body.allowed_cidrs,
            expires_at=body.expires_at,
            panel=body.panel_options,
        )
        made = ApiKeyMade.of_minted(key, minted)
        await audit.record(
            session, caller.actor, "key.create", made.id, {"scopes": sorted(body.scopes)}
        )
        return made

    return await runtime.uow.run(transaction)


@router.post(
    "/api-keys/{key_id}/rotate",
    tags=["api-keys"],
    status_code=201,
    responses=refusals(*GUARDED, *BODY, NotFound, AccountSuspended, ScopeTooWide, TooManyKeys),
)
@needs(Scope.KEYS, group="account")
async def rotate_api_key(
    key_id: str, body: ApiKeyRotate, caller: CallerDep, runtime: RuntimeDep
) -> ApiKeyMade:
    """A new key like the old one, which goes on for a while beside it."""

    async def transaction(session: Session) -> ApiKeyMade:
        book = await service.book_of(session, caller.reseller_id, caller.mode)
        key, minted = await service.rotate_key(
            session,
            runtime.keys,
            book,
            key_id,
            overlap=timedelta(hours=body.overlap_hours),
            within=caller.scopes,
        )
        made = ApiKeyMade.of_minted(key, minted)
        await audit.record(session, caller.actor, "key.rotate", key_id, {"new": made.id})
        return made

    return await runtime.uow.run(transaction)


@router.delete(
    "/api-keys/{key_id}",
    tags=["api-keys"],
    status_code=204,
    responses=refusals(*GUARDED, NotFound),
)
@needs(Scope.KEYS, group="account", winds_down=True)
async def revoke_api_key(key_id: str, caller: CallerDep, runtime: RuntimeDep) -> None:
    """End a key at once; every process has forgotten it within half a second."""

    async def transaction(session: Session) -> None:
        await service.revoke_key(session, caller.book_id, key_id)
        await audit.record(session, caller.actor, "key.revoke", key_id, {})

    await runtime.uow.run(transaction)
