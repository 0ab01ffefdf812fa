"""The operators' claim routes: the queue, one claim with its facts, and the decisions."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.money import Money
from app.operators.auth import Operator, OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders.errors import OrderStateConflict
from app.refunds import desk, evidence, service
from app.refunds.desk import Place
from app.refunds.desk_schemas import (
    ApproveClaim,
    OperatorClaimDetail,
    OperatorClaimPage,
    OperatorClaimRead,
    OperatorMessageRead,
    RefuseClaim,
    ReopenClaim,
)
from app.refunds.errors import ClaimOpen, ClaimStateConflict, SecondApproverNeeded
from app.refunds.router import ClaimId, read_evidence
from app.refunds.schemas import MessageCreate
from app.refunds.states import ClaimState
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.idempotency import IdempotencyKeyHeader, Made, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit

router = APIRouter(
    prefix="/v1/operator/claims",
    tags=["refund claims"],
    route_class=OperatorRoute,
)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.CLAIMS_READ)
async def operator_list_claims(
    operator: OperatorDep,
    runtime: RuntimeDep,
    state: ClaimState | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorClaimPage:
    """The claims that wait for a person, the longest due first; or those of one state."""
    scope = f"claims|{operator.owner}|{state}"
    after = None if cursor is None else Place.of(runtime.cursors.open(scope, cursor))
    async with runtime.uow.begin() as session:
        claims = await desk.queue(
            session, states=[state] if state else None, after=after, limit=limit + 1
        )
    shown = claims[:limit]
    more = len(claims) > limit
    next_cursor = runtime.cursors.seal(scope, Place.at(shown[-1]).sealed()) if more else None
    data = [OperatorClaimRead.of(claim, runtime.keys, runtime.settings.currency) for claim in shown]
    return OperatorClaimPage(data=data, next_cursor=next_cursor)


@router.get("/{claim_id}", responses=refusals(*GUARDED, NotFound))
@needs(Permission.CLAIMS_READ)
async def operator_get_claim(claim_id: ClaimId, runtime: RuntimeDep) -> OperatorClaimDetail:
    """One claim with its order, its facts, its evidence, and what the rules would say now."""
    async with runtime.uow.begin() as session:
        found = service.id_of(claim_id)
        sheet = await desk.sheet(session, found, time_scale=runtime.settings.time_scale)
        said = await desk.said(session, found)
        files = await evidence.of_claim(session, found)
        shown = [read_evidence(session, runtime, file) for file in files]
    return OperatorClaimDetail.of(
        sheet,
        runtime.keys,
        runtime.settings.currency,
        messages=[OperatorMessageRead.of(one, runtime.keys) for one in said],
        evidence=shown,
    )


@router.post(
    "/{claim_id}/approve",
    response_model=OperatorClaimRead,
    responses=refusals(
        *GUARDED,
        *BODY,
        *IDEMPOTENT,
        NotFound,
        ClaimStateConflict,
        SecondApproverNeeded,
        OrderStateConflict,
    ),
)
@needs(Permission.CLAIMS_DECIDE, moves_money=True)
async def operator_approve_claim(
    request: Request,
    claim_id: ClaimId,
    body: ApproveClaim,
    operator: OperatorDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Give money back: all that is left of the charge, or an amount. A running order ends. A large
    sum takes a second operator, who approves the same.
    """

    async def effect(session: Session) -> Made:
        claim = await desk.approve(
            session,
            service.id_of(claim_id),
            amount=body.amount,
            reason=body.reason,
            by=operator.actor,
            two_above=Money.parse(runtime.settings.claim_two_above),
        )
        amount = None if body.amount is None else str(body.amount)
        said = {"reason": body.reason, "amount": amount, "state": claim.state}
        await _record(session, operator, "approve", claim_id, said)
        return Made(OperatorClaimRead.of(claim, runtime.keys, runtime.settings.currency))

    return await once(
        request,
        runtime,
        owner=operator.owner,
        key=idempotency_key,
        status=200,
        effect=effect,
    )


@router.post(
    "/{claim_id}/refuse",
    response_model=OperatorClaimRead,
    responses=refusals(*GUARDED, *BODY, *IDEMPOTENT, NotFound, ClaimStateConflict),
)
@needs(Permission.CLAIMS_DECIDE)
async def operator_refuse_claim(
    request: Request,
    claim_id: ClaimId,
    body: RefuseClaim,
    operator: OperatorDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Close a claim without a refund."""

    async def effect(session: Session) -> Made:
        claim = await desk.refuse(
            session, service.id_of(claim_id), reason=body.reason, by=operator.actor
        )
        await _record(session, operator, "refuse", claim_id, {"reason": body.reason})
        return Made(OperatorClaimRead.of(claim, runtime.keys, runtime.settings.currency))

    return await once(
        request,
        runtime,
        owner=operator.owner,
        key=idempotency_key,
        status=200,
        effect=effect,
    )


@router.post(
    "/{claim_id}/reopen",
    responses=refusals(*GUARDED, *BODY, NotFound, ClaimStateConflict, ClaimOpen),
)
@needs(Permission.CLAIMS_DECIDE)
async def operator_reopen_claim(
    claim_id: ClaimId, body: ReopenClaim, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorClaimRead:
    """Look at a refused claim anew."""

    async def transaction(session: Session) -> OperatorClaimRead:
        claim = await desk.reopen(
            session, service.id_of(claim_id), reason=body.reason, by=operator.actor
        )
        await _record(session, operator, "reopen", claim_id, {"reason": body.reason})
        return OperatorClaimRead.of(claim, runtime.keys, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.post(
    "/{claim_id}/messages",
    status_code=201,
    responses=refusals(*GUARDED, *BODY, NotFound, ClaimStateConflict),
)
@needs(Permission.CLAIMS_WRITE)
async def operator_create_claim_message(
    claim_id: ClaimId, body: MessageCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorMessageRead:
    """Write to the reseller about an open claim."""

    async def transaction(session: Session) -> OperatorMessageRead:
        said = await service.write(
            session,
            runtime.keys,
            service.id_of(claim_id),
            body=body.body,
            actor=operator.actor,
            by_operator=True,
        )
        return OperatorMessageRead.of(said, runtime.keys)

    return await runtime.uow.run(transaction)


async def _record(
    session: Session, operator: Operator, verb: str, claim_id: str, said: dict[str, Any]
) -> None:
    await audit.record(session, operator.actor, f"claim.{verb}", f"claim:{claim_id}", said)
