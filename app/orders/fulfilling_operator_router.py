"""The operators' routes for orders that people fulfil: the list, and how each one stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders import fulfilling
from app.orders.errors import OrderIsPolled, OrderStateConflict
from app.orders.operator_schemas import OperatorOrderRead, ProgressByHand, WorkList, WorkListEntry
from app.orders.router import OrderId
from app.providers.protocol import ProviderState
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["orders"], route_class=OperatorRoute)


@router.get("/work-list", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_list_work(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> WorkList:
    """Orders in progress that people fulfil, oldest first."""
    page = Page(runtime.cursors, f"work-list|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        entries = await fulfilling.work_list(
            session,
            runtime.keys,
            opened=Permission.ORDERS_WRITE in operator.permissions,
            after=page.after_int(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(entries, lambda entry: entry.order.id)
    data = [WorkListEntry.of(entry, runtime.settings.currency) for entry in shown]
    return WorkList(data=data, next_cursor=next_cursor)


@router.post(
    "/orders/{order_id}/progress",
    responses=refusals(*GUARDED, *BODY, NotFound, OrderStateConflict, OrderIsPolled),
)
@needs(Permission.ORDERS_WRITE, moves_money=True)
async def operator_tell_progress(
    order_id: OrderId, body: ProgressByHand, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorOrderRead:
    """Tell how an order stands that people fulfil; it is settled as if its provider had told."""

    async def transaction(session: Session) -> OperatorOrderRead:
        order = await fulfilling.tell_progress(
            session,
            order_id,
            ProviderState(body.status),
            start_count=body.start_count,
            remains=body.remains,
            actor=operator.actor,
        )
        await audit.record(
            session,
            operator.actor,
            "order.progress",
            f"order:{order_id}",
            body.model_dump(mode="json"),
        )
        return OperatorOrderRead.of(order, runtime.settings.currency)

    return await runtime.uow.run(transaction)
