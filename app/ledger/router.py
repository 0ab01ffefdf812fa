"""The resellers' money routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from app.core.cursors import CursorInvalid
from app.ledger import service
from app.ledger.schemas import BalanceRead, TransactionPage, TransactionRead
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1", tags=["money"], route_class=ResellerRoute)


@router.get("/balance", responses=refusals(*GUARDED))
@needs(Scope.ORDERS_READ, group="money-read", winds_down=True)
async def get_balance(caller: CallerDep, runtime: RuntimeDep) -> BalanceRead:
    """What you can spend, and what your running orders hold."""
    async with runtime.uow.begin() as session:
        balance = await service.balance(session, caller.book_id)
    return BalanceRead.of(balance, runtime.settings.currency)


@router.get("/transactions", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="money-read", winds_down=True)
async def list_transactions(
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> TransactionPage:
    """Every movement of your balance, newest first."""
    page = Page(runtime.cursors, f"transactions|{caller.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.transactions(
            session, caller.book_id, before=page.after_uuid(), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [TransactionRead.of(row, runtime.settings.currency) for row in shown]
    return TransactionPage(data=data, next_cursor=next_cursor)
