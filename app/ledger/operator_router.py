"""The operators' money routes: credits, and the proof that the money adds up."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.core import audit
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id, public_id
from app.ledger import service
from app.ledger.errors import InsufficientFunds
from app.ledger.schemas import BalanceRead, CreditCreate, CreditRead
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.resellers import service as resellers
from app.resellers.models import Mode
from app.web.deps import RuntimeDep
from app.web.idempotency import IdempotencyKeyHeader, Made, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
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
        reseller = await resellers.get_public(session, reseller_id)
        book = await resellers.book_of(session, reseller.id, Mode.LIVE)
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


@router.get("/balance", responses=refusals(*GUARDED, NotFound))
@needs(Permission.RESELLERS_READ)
async def operator_get_balance(reseller_id: str, runtime: RuntimeDep) -> BalanceRead:
    """What a reseller's live wallet can spend, and what its running orders hold."""
    async with runtime.uow.begin() as session:
        reseller = await resellers.get_public(session, reseller_id)
        book = await resellers.book_of(session, reseller.id, Mode.LIVE)
        balance = await service.balance(session, book.id)
    return BalanceRead.of(balance, runtime.settings.currency)
