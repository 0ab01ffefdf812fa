"""The resellers' refill routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from app.core.cursors import CursorInvalid
from app.core.errors import NotFound
from app.orders import refill_groups, refills
from app.orders.refill_schemas import RefillListQuery, RefillPage, RefillRead
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.openapi import GUARDED, refusals
from app.web.pages import Page

router = APIRouter(prefix="/v1", tags=["refills"], route_class=ResellerRoute)

RefillId = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX, description="The refill's number.")]


@router.get("/refills", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_refills(
    caller: CallerDep, runtime: RuntimeDep, query: Annotated[RefillListQuery, Query()]
) -> RefillPage:
    """Your refills, newest first; each run of a drip-feed has its own."""
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
    """One of your refills; of a whole drip-feed, what became of those of its runs together."""
    async with runtime.uow.begin() as session:
        found = await refills.find_in_book(session, caller.book_id, refill_id)
        if found is not None:
            return RefillRead.of(found)
        group = await refill_groups.get_in_book(session, caller.book_id, refill_id)
        return RefillRead.of_group(group)
