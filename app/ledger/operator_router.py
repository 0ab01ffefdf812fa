"""The operators' money routes: credits, a reseller's balance, and how it came to be."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id, public_id
from app.ledger import service
from app.ledger.errors import InsufficientFunds
from app.ledger.models import JournalKind
from app.ledger.schemas import (
    BalanceRead,
    CreditCreate,
    CreditRead,
    TransactionPage,
    TransactionRead,
)
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.resellers import service as resellers
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.idempotency import IdempotencyKeyHeader, Made, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page
from app.web.schemas import MoneyRead

router = APIRouter(
    prefix="/v1/operator/resellers/{reseller_id}",
    tags=["money"],
    route_class=OperatorRoute,
)


@router.post(
    "/credits",
    status_code=201,
    response_model=CreditRead,
    responses=refusals(*GUARDED, *BODY, *IDEMPOTENT, NotFound, InsufficientFunds),
)
@needs(Permission.CREDITS_WRITE, moves_money=True)
async def operator_create_credit(
    request: Request,
    reseller_id: str,
    body: CreditCreate,
    operator: OperatorDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Put money into a reseller's live wallet, or take it out again with a negative amount."""

    async def effect(session: Session) -> Made:
        if not body.amount:
            raise InvalidInput(errors=(FieldProblem("/amount", "must not be zero"),))
        book = await resellers.live_book(session, reseller_id)
        credit_id = new_id()
        balance = await service.credit(
            session, book.id, body.amount, credit_id=credit_id, note=body.note
        )
        await audit.record(
            session,
            operator.actor,
            "credit.create",
            f"reseller:{reseller_id}",
            {"credit_id": str(credit_id), "amount": str(body.amount), "note": body.note},
        )
        currency = runtime.settings.currency
        return Made(
            CreditRead(
                id=public_id("crd", credit_id),
                amount=MoneyRead.of(body.amount, currency),
                balance=MoneyRead.of(balance, currency),
                note=body.note,
            )
        )

    return await once(
        request,
        runtime,
        owner=operator.owner,
        key=idempotency_key,
        status=201,
        effect=effect,
    )


@router.get(
    "/transactions", responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed)
)
@needs(Permission.RESELLERS_READ)
async def operator_list_transactions(
    reseller_id: str,
    operator: OperatorDep,
    runtime: RuntimeDep,
    kind: JournalKind | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> TransactionPage:
    """Every movement of a reseller's live wallet, newest first; `kind=credit` for what operators
    put in and took out.
    """
    scope = f"transactions|{operator.owner}|{reseller_id}|{kind}"
    page = Page(runtime.cursors, scope, limit, cursor)
    async with runtime.uow.begin() as session:
        book = await resellers.live_book(session, reseller_id)
        rows = await service.transactions(
            session, book.id, kind=kind, before=page.after_uuid(), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [TransactionRead.of(row, runtime.settings.currency) for row in shown]
    return TransactionPage(data=data, next_cursor=next_cursor)


@router.get("/balance", responses=refusals(*GUARDED, NotFound))
@needs(Permission.RESELLERS_READ)
async def operator_get_balance(reseller_id: str, runtime: RuntimeDep) -> BalanceRead:
    """What a reseller's live wallet can spend, and what its running orders hold."""
    async with runtime.uow.begin() as session:
        book = await resellers.live_book(session, reseller_id)
        balance = await service.balance(session, book.id)
    return BalanceRead.of(balance, runtime.settings.currency)
