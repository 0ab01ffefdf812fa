"""The resellers' refill routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.orders import refills
from app.orders.errors import (
    RefillNotOffered,
    RefillNotYet,
    RefillOpen,
    RefillTooSoon,
    RefillUnavailable,
    RefillWindowClosed,
)
from app.orders.refill_schemas import RefillListQuery, RefillPage, RefillRead
from app.orders.router import OrderId
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.openapi import GUARDED, refusals
from app.web.pages import Page

router = APIRouter(prefix="/v1", tags=["refills"], route_class=ResellerRoute)

RefillId = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX, description="The refill's number.")]


@router.post(
    "/orders/{order_id}/refills",
    status_code=201,
    responses=refusals(
        *GUARDED,
        NotFound,
        ValidationFailed,
        RefillNotOffered,
        RefillNotYet,
        RefillWindowClosed,
        RefillOpen,
        RefillTooSoon,
        RefillUnavailable,
    ),
)
@needs(Scope.ORDERS_WRITE, group="orders-write", winds_down=True)
async def create_refill(
    order_id: OrderId, caller: CallerDep, runtime: RuntimeDep, response: Response
) -> RefillRead:
    """Ask for what was lost of a delivered order to be delivered again, once in 24 hours."""

    async def transaction(session: Session) -> RefillRead:
        refill = await refills.request(session, caller.book_id, order_id, actor=caller.actor)
        return RefillRead.of(refill)

    made = await runtime.uow.run(transaction)
    response.headers["Location"] = f"/v1/refills/{made.id}"
    return made


@router.get("/refills", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_refills(
    caller: CallerDep, runtime: RuntimeDep, query: Annotated[RefillListQuery, Query()]
) -> RefillPage:
    """Your refills, newest first."""
    filters = query.model_dump_json(exclude={"limit", "cursor"})
    page = Page(runtime.cursors, f"refills|{caller.owner}|{filters}", query.limit, query.cursor)
    async with runtime.uow.begin() as session:
        rows = await refills.page(
            session,
            book_id=caller.book_id,
            order_id=query.order_id,
            states=query.states(),
            after=page.after_int(),
            limit=page.read,
        )
    shown, next_cursor = page.cut(rows, lambda refill: refill.id)
    return RefillPage(data=[RefillRead.of(one) for one in shown], next_cursor=next_cursor)


@router.get("/refills/{refill_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def get_refill(refill_id: RefillId, caller: CallerDep, runtime: RuntimeDep) -> RefillRead:
    """One of your refills."""
    async with runtime.uow.begin() as session:
        return RefillRead.of(await refills.get_in_book(session, caller.book_id, refill_id))
