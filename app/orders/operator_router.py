"""The operators' order routes: look, hold, release, cancel, resolve."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.core import audit
from app.core.audit import Actor
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.operators.auth import OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders import canceling, holding, resolving, service
from app.orders.errors import (
    OrderNotCancelable,
    OrderStateConflict,
    ProviderOrderTaken,
    TooEarlyToProve,
)
from app.orders.models import Order
from app.orders.operator_schemas import (
    AttemptRead,
    CancelByOperator,
    EvidenceRead,
    HoldCreate,
    OperatorEventRead,
    OperatorOrderDetail,
    OperatorOrderPage,
    OperatorOrderRead,
    Resolution,
    ResolutionBody,
    ResolveAbsent,
    ResolveAccepted,
    ResolveEnded,
    ResolveWriteOff,
)
from app.orders.repository import OrderFilter
from app.orders.router import OrderId
from app.orders.states import OrderState
from app.resellers import service as resellers
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.idempotency import IdempotencyKeyHeader, Made, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/orders",
    tags=["orders"],
    route_class=OperatorRoute,
)

HOLD_SOURCE = "operator"


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed, InvalidInput))
@needs(Permission.ORDERS_READ)
async def operator_list_orders(
    operator: OperatorDep,
    runtime: RuntimeDep,
    state: OrderState | None = None,
    reseller_id: str | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorOrderPage:
    """Orders of all resellers, newest first; `state=unknown` is the list to work through. With
    `reseller_id` those of its live book.
    """
    page = Page(runtime.cursors, f"orders|{operator.owner}|{state}|{reseller_id}", limit, cursor)
    wanted = OrderFilter(states=frozenset({state}) if state else None)
    async with runtime.uow.begin() as session:
        book_id = None if reseller_id is None else await _live_book_id(session, reseller_id)
        rows = await service.page(
            session, book_id=book_id, wanted=wanted, after=page.after_int(), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [OperatorOrderRead.of(row, runtime.settings.currency) for row in shown]
    return OperatorOrderPage(data=data, next_cursor=next_cursor)


async def _live_book_id(session: Session, reseller_id: str) -> UUID:
    try:
        return (await resellers.live_book(session, reseller_id)).id
    except NotFound:
        refused = FieldProblem("reseller_id", "is no reseller of ours")
        raise InvalidInput(errors=(refused,)) from None


@router.get("/{order_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_get_order(order_id: OrderId, runtime: RuntimeDep) -> OperatorOrderDetail:
    """One order with its reseller, its timeline, its route trail and what providers said."""
    async with runtime.uow.begin() as session:
        detail = await service.detail(session, order_id)
        reseller = await resellers.of_book(session, detail.order.book_id)
    return OperatorOrderDetail(
        order=OperatorOrderRead.of(detail.order, runtime.settings.currency),
        reseller_id=resellers.public_reseller_id(reseller.id),
        events=[OperatorEventRead.of(event) for event in detail.events],
        attempts=[AttemptRead.of(attempt) for attempt in detail.attempts],
        evidence=[EvidenceRead.of(evidence) for evidence in detail.evidence],
    )


@router.post("/{order_id}/hold", responses=refusals(*GUARDED, *BODY, NotFound, OrderStateConflict))
@needs(Permission.ORDERS_WRITE)
async def operator_hold_order(
    order_id: OrderId, body: HoldCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorOrderRead:
    """Keep an order from being handed on until you release it."""

    async def transaction(session: Session) -> OperatorOrderRead:
        order = await holding.put_on_hold(
            session,
            order_id,
            source=HOLD_SOURCE,
            source_id=str(operator.id),
            reason=body.reason,
            actor=operator.actor,
        )
        await audit.record(
            session, operator.actor, "order.hold", f"order:{order_id}", {"reason": body.reason}
        )
        return OperatorOrderRead.of(order, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.post(
    "/{order_id}/release",
    responses=refusals(*GUARDED, NotFound, OrderStateConflict, ValidationFailed),
)
@needs(Permission.ORDERS_WRITE)
async def operator_release_order(
    order_id: OrderId, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorOrderRead:
    """Lift every operator's hold; the order goes on unless something else holds it."""

    async def transaction(session: Session) -> OperatorOrderRead:
        order = await holding.release_hold(
            session, order_id, source=HOLD_SOURCE, actor=operator.actor
        )
        await audit.record(session, operator.actor, "order.release", f"order:{order_id}", {})
        return OperatorOrderRead.of(order, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.post(
    "/{order_id}/cancel", responses=refusals(*GUARDED, *BODY, NotFound, OrderNotCancelable)
)
@needs(Permission.ORDERS_WRITE)
async def operator_cancel_order(
    order_id: OrderId, body: CancelByOperator, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorOrderRead:
    """Take an order back at once, or ask its provider to end it where it has been handed on."""

    async def transaction(session: Session) -> OperatorOrderRead:
        order = await canceling.request(
            session, order_id, actor=operator.actor, reason="canceled_by_operator"
        )
        await audit.record(
            session, operator.actor, "order.cancel", f"order:{order_id}", {"reason": body.reason}
        )
        return OperatorOrderRead.of(order, runtime.settings.currency)

    return await runtime.uow.run(transaction)


@router.post(
    "/{order_id}/resolve",
    response_model=OperatorOrderRead,
    responses=refusals(
        *GUARDED,
        *BODY,
        *IDEMPOTENT,
        NotFound,
        OrderStateConflict,
        ProviderOrderTaken,
        TooEarlyToProve,
    ),
)
@needs(Permission.ORDERS_RESOLVE, moves_money=True)
async def operator_resolve_order(
    request: Request,
    order_id: OrderId,
    body: Resolution,
    operator: OperatorDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Say what became of an order that hangs: accepted, absent, written off, or how it ended."""

    async def effect(session: Session) -> Made:
        order = await _resolve(session, order_id, body, operator.actor)
        await audit.record(
            session,
            operator.actor,
            "order.resolve",
            f"order:{order_id}",
            body.model_dump(mode="json"),
        )
        return Made(OperatorOrderRead.of(order, runtime.settings.currency))

    return await once(
        request,
        runtime,
        owner=operator.owner,
        key=idempotency_key,
        status=200,
        effect=effect,
    )


async def _resolve(session: Session, order_id: int, body: ResolutionBody, actor: Actor) -> Order:
    """The verb that each outcome stands for."""
    match body:
        case ResolveAccepted(provider_order_id=given, reason=reason):
            return await resolving.find(
                session, order_id, provider_order_id=given, actor=actor, reason=reason
            )
        case ResolveAbsent(reason=reason):
            return await resolving.prove_absent(session, order_id, actor=actor, reason=reason)
        case ResolveWriteOff(reason=reason):
            return await resolving.write_off(session, order_id, actor=actor, reason=reason)
        case ResolveEnded():
            return await resolving.settle_by_hand(
                session, order_id, body.settlement(), actor=actor, reason=body.reason
            )
