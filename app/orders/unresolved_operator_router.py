"""The operators' list of orders that hang; `POST /v1/operator/orders/{id}/resolve` ends one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core.cursors import CursorInvalid
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders import unresolved
from app.orders.unresolved_schemas import UnresolvedPage, UnresolvedRead
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1/operator", tags=["orders"], route_class=OperatorRoute)


@router.get("/unresolved-orders", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_list_unresolved_orders(
    operator: OperatorDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> UnresolvedPage:
    """Orders that hang, newest first: what is known of each, and what happens to it when."""
    page = Page(runtime.cursors, f"unresolved|{operator.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await unresolved.page(
            session,
            after=page.after_int(),
            limit=page.read,
            unknown_hours_max=runtime.settings.unknown_hours_max,
        )
    shown, next_cursor = page.cut(rows, lambda row: row.order.id)
    data = [UnresolvedRead.of(row, runtime.settings.currency) for row in shown]
    return UnresolvedPage(data=data, next_cursor=next_cursor)
