"""The operators' routes on findings: what a provider says, to be believed or not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.catalog import quarantine
from app.catalog.errors import FindingDecided, NothingToAccept
from app.catalog.mirror_models import FindingState
from app.catalog.sync_operator_router import OfProvider
from app.catalog.sync_schemas import FindingDecision, FindingPage, FindingRead
from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.ids import parse_public_id
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.supply import service as supply
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/catalogue-findings",
    tags=["catalogue"],
    route_class=OperatorRoute,
)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_list_findings(
    operator: OperatorDep,
    runtime: RuntimeDep,
    provider_id: OfProvider = None,
    state: FindingState | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> FindingPage:
    """Findings, newest first; `state=open` is the list to work through."""
    page = Page(runtime.cursors, f"findings|{operator.owner}|{provider_id}|{state}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await quarantine.page(
            session,
            provider_id=parse_public_id(supply.PREFIX, provider_id or ""),
            state=state,
            after=page.after_uuid(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return FindingPage(data=[FindingRead.of(row) for row in shown], next_cursor=next_cursor)


@router.post(
    "/{finding_id}/accept",
    responses=refusals(*GUARDED, *BODY, NotFound, FindingDecided, NothingToAccept),
)
@needs(Permission.CATALOGUE_WRITE)
async def operator_accept_finding(
    finding_id: str, body: FindingDecision, operator: OperatorDep, runtime: RuntimeDep
) -> FindingRead:
    """Believe the provider: its new price or bounds hold, and the routes over it open again."""

    async def transaction(session: Session) -> FindingRead:
        made = await quarantine.accept(session, finding_id, by=operator.actor, note=body.note)
        read = FindingRead.of(made)
        await audit.record(
            session,
            operator.actor,
            "finding.accept",
            f"finding:{finding_id}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)


@router.post("/{finding_id}/reject", responses=refusals(*GUARDED, *BODY, NotFound, FindingDecided))
@needs(Permission.CATALOGUE_WRITE)
async def operator_reject_finding(
    finding_id: str, body: FindingDecision, operator: OperatorDep, runtime: RuntimeDep
) -> FindingRead:
    """Keep the routes closed for as long as the provider says the same."""

    async def transaction(session: Session) -> FindingRead:
        made = await quarantine.reject(session, finding_id, by=operator.actor, note=body.note)
        read = FindingRead.of(made)
        await audit.record(
            session,
            operator.actor,
            "finding.reject",
            f"finding:{finding_id}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)
