"""The operators' refill routes: look, and say what became of one that nobody knows of."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.audit import Actor
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders import refills
from app.orders.errors import ProviderRefillTaken, RefillStateConflict, TooEarlyToProve
from app.orders.refill_models import Refill
from app.orders.refill_router import RefillId
from app.orders.refill_schemas import (
    OperatorRefillPage,
    OperatorRefillRead,
    RefillEnded,
    RefillNotTaken,
    RefillResolution,
    RefillResolutionBody,
    RefillTaken,
)
from app.orders.refill_states import RefillState
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/refills",
    tags=["refills"],
    route_class=OperatorRoute,
)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_list_refills(
    operator: OperatorDep,
    runtime: RuntimeDep,
    state: RefillState | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorRefillPage:
    """Refills of all resellers, newest first; `state=unknown` is the list to work through."""
    page = Page(runtime.cursors, f"refills|{operator.owner}|{state}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await refills.page(
            session,
            book_id=None,
            states=[state] if state else None,
            after=page.after_int(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(rows, lambda refill: refill.id)
    data = [OperatorRefillRead.of(one) for one in shown]
    return OperatorRefillPage(data=data, next_cursor=next_cursor)


@router.post(
    "/{refill_id}/resolve",
    responses=refusals(
        *GUARDED, *BODY, NotFound, RefillStateConflict, ProviderRefillTaken, TooEarlyToProve
    ),
)
@needs(Permission.ORDERS_WRITE)
async def operator_resolve_refill(
    refill_id: RefillId, body: RefillResolution, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorRefillRead:
    """Say what became of a refill that hangs: taken, not taken, or how it ended."""

    async def transaction(session: Session) -> OperatorRefillRead:
        refill = await _resolve(session, refill_id, body, operator.actor)
        await audit.record(
            session,
            operator.actor,
            "refill.resolve",
            f"refill:{refill_id}",
            body.model_dump(mode="json"),
        )
        return OperatorRefillRead.of(refill)

    return await runtime.uow.run(transaction)


async def _resolve(
    session: Session, refill_id: int, body: RefillResolutionBody, actor: Actor
) -> Refill:
    """The verb that each outcome stands for."""
    match body:
        case RefillTaken(provider_refill_id=given, reason=reason):
            return await refills.find(
                session, refill_id, provider_refill_id=given, actor=actor, reason=reason
            )
        case RefillNotTaken(reason=reason):
            return await refills.prove_absent(session, refill_id, actor=actor, reason=reason)
        case RefillEnded(outcome=outcome, reason=reason):
            return await refills.end_by_hand(
                session, refill_id, RefillState(outcome), actor=actor, reason=reason
            )
