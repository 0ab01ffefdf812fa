"""The operators' routes on prices: the rules that mark costs up, and what things sold for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.catalog import repricing
from app.catalog.price_schemas import (
    MarkupRulePage,
    MarkupRulePut,
    MarkupRuleRead,
    ServicePricePage,
    ServicePriceRead,
)
from app.catalog.router import ServiceId
from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["catalogue"], route_class=OperatorRoute)


@router.get("/markup-rules", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CATALOGUE_READ)
async def operator_list_markup_rules(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> MarkupRulePage:
    """Every rule, newest first; for one service the narrowest holds."""
    page = Page(runtime.cursors, f"markup-rules|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await repricing.rule_page(session, after=page.after_uuid(), limit=page.read)
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    return MarkupRulePage(data=[MarkupRuleRead.of(row) for row in shown], next_cursor=next_cursor)


@router.put("/markup-rules/{subject}", responses=refusals(*GUARDED, *BODY, NotFound))
@needs(Permission.CATALOGUE_WRITE)
async def operator_put_markup_rule(
    subject: str, body: MarkupRulePut, operator: OperatorDep, runtime: RuntimeDep
) -> MarkupRuleRead:
    """Let prices follow costs from the next sync on, of `default`, a provider or a service."""

    async def transaction(session: Session) -> MarkupRuleRead:
        what_for = await repricing.subject_of(session, subject)
        row = await repricing.put_rule(session, what_for, body.rule(), automatic=body.automatic)
        read = MarkupRuleRead.of(row)
        await audit.record(
            session,
            operator.actor,
            "markup_rule.put",
            f"markup_rule:{read.subject}",
            read.model_dump(mode="json"),
        )
        return read

    return await runtime.uow.run(transaction)


@router.delete("/markup-rules/{subject}", status_code=204, responses=refusals(*GUARDED, NotFound))
@needs(Permission.CATALOGUE_WRITE)
async def operator_delete_markup_rule(
    subject: str, operator: OperatorDep, runtime: RuntimeDep
) -> None:
    """Take a rule away: wider ones hold again, and without any prices stay as they are."""

    async def transaction(session: Session) -> None:
        await repricing.remove_rule(session, await repricing.subject_of(session, subject))
        await audit.record(
            session, operator.actor, "markup_rule.delete", f"markup_rule:{subject}", {}
        )

    await runtime.uow.run(transaction)


@router.get(
    "/services/{service_id}/prices",
    responses=refusals(*GUARDED, CursorInvalid, NotFound, ValidationFailed),
)
@needs(Permission.CATALOGUE_READ)
async def operator_list_service_prices(
    service_id: ServiceId,
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> ServicePricePage:
    """Every price that a service had, who or what set it, and from which cost; newest first."""
    page = Page(runtime.cursors, f"prices|{operator.owner}|{service_id}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await repricing.price_page(
            session, service_id, after=page.after_int(), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    currency = runtime.settings.currency
    data = [ServicePriceRead.of(row, currency) for row in shown]
    return ServicePricePage(data=data, next_cursor=next_cursor)
