"""Routes on operators themselves, and on what they did."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators import service
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.errors import LastAdmin, OperatorEmailTaken
from app.operators.permissions import Permission
from app.operators.schemas import (
    AuditPage,
    AuditRead,
    OperatorCreate,
    OperatorKeyCreate,
    OperatorKeyMade,
    OperatorKeyPage,
    OperatorKeyRead,
    OperatorPage,
    OperatorRead,
)
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["operators"], route_class=OperatorRoute)


@router.get("/operators", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.OPERATORS_WRITE)
async def operator_list_operators(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorPage:
    """The staff, newest first."""
    page = Page(runtime.cursors, f"operators|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.page(session, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return OperatorPage(data=[OperatorRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post("/operators", status_code=201, responses=refusals(*GUARDED, *BODY, OperatorEmailTaken))
@needs(Permission.OPERATORS_WRITE)
async def operator_create_operator(
    body: OperatorCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorRead:
    """Add a person to the staff."""

    async def transaction(session: Session) -> OperatorRead:
        added = await service.add(session, name=body.name, email=body.email, roles=body.roles)
        read = OperatorRead.of(added)
        await audit.record(
            session, operator.actor, "operator.create", read.id, {"roles": read.roles}
        )
        return read

    return await runtime.uow.run(transaction)


@router.get(
    "/operators/{operator_id}/keys",
    responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed),
)
@needs(Permission.OPERATORS_WRITE)
async def operator_list_operator_keys(
    operator_id: str,
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorKeyPage:
    """The keys of one person, newest first, without their secrets."""
    page = Page(runtime.cursors, f"operator-keys|{operator.owner}|{operator_id}", limit, cursor)
    async with runtime.uow.begin() as session:
        person = await service.get_public(session, operator_id)
        rows = await service.keys_page(session, person.id, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return OperatorKeyPage(data=[OperatorKeyRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post(
    "/operators/{operator_id}/keys", status_code=201, responses=refusals(*GUARDED, *BODY, NotFound)
)
@needs(Permission.OPERATORS_WRITE)
async def operator_create_operator_key(
    operator_id: str, body: OperatorKeyCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorKeyMade:
    """Make a key for an operator; its text is shown this once."""

    async def transaction(session: Session) -> OperatorKeyMade:
        person = await service.get_public(session, operator_id)
        key, minted = await service.make_key(
            session, runtime.keys, person.id, name=body.name, expires_at=body.expires_at
        )
        made = OperatorKeyMade(
            id=service.public_key_id(key.id),
            operator_id=operator_id,
            name=key.name,
            last4=key.last4,
            created_at=key.created_at,
            expires_at=key.expires_at,
            key=minted.text,
        )
        await audit.record(
            session, operator.actor, "operator.key", operator_id, {"key_id": made.id}
        )
        return made

    return await runtime.uow.run(transaction)


@router.delete(
    "/operators/{operator_id}/keys/{key_id}",
    status_code=204,
    responses=refusals(*GUARDED, NotFound),
)
@needs(Permission.OPERATORS_WRITE)
async def operator_revoke_operator_key(
    operator_id: str, key_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> None:
    """End a key of an operator at once."""

    async def transaction(session: Session) -> None:
        person = await service.get_public(session, operator_id)
        await service.revoke_key(session, person.id, key_id)
        await audit.record(
            session, operator.actor, "operator.key_revoke", operator_id, {"key_id": key_id}
        )

    await runtime.uow.run(transaction)


@router.delete(
    "/operators/{operator_id}", status_code=204, responses=refusals(*GUARDED, NotFound, LastAdmin)
)
@needs(Permission.OPERATORS_WRITE)
async def operator_archive_operator(
    operator_id: str, operator: OperatorDep, runtime: RuntimeDep
) -> None:
    """Take a person off the staff: all keys end at once, what was done keeps its name."""

    async def transaction(session: Session) -> None:
        person = await service.get_public(session, operator_id)
        await service.archive(session, person.id)
        await audit.record(session, operator.actor, "operator.archive", operator_id, {})

    await runtime.uow.run(transaction)


@router.get("/audit-log", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.AUDIT_READ)
async def operator_list_audit_log(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> AuditPage:
    """What people did, newest first; each row is hashed over the one before it."""
    page = Page(runtime.cursors, f"audit|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.audit_page(session, before=page.after_int(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.seq)
    return AuditPage(data=[AuditRead.of(row) for row in shown], next_cursor=next_cursor)
