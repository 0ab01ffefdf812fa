"""The route that asks for refills under every order number: an order's, or a schedule's."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from app.core.db import Session
from app.core.errors import NotFound
from app.orders import refill_groups, refills
from app.orders.errors import (
    RefillNotOffered,
    RefillNotYet,
    RefillOpen,
    RefillTooSoon,
    RefillUnavailable,
    RefillWindowClosed,
)
from app.orders.refill_schemas import RefillRead
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.schedules import service
from app.schedules.router import OrderNumber
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.idempotency import IdempotencyKeyHeader, Made, once_if_keyed
from app.web.openapi import GUARDED, IF_KEYED, refusals

router = APIRouter(prefix="/v1", tags=["refills"], route_class=ResellerRoute)


@router.post(
    "/orders/{order_id}/refills",
    status_code=201,
    response_model=RefillRead,
    responses=refusals(
        *GUARDED,
        *IF_KEYED,
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
    request: Request,
    order_id: OrderNumber,
    caller: CallerDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Ask for what was lost of a delivered order to be delivered again, once in 24 hours.

    Of a drip-feed it is asked for each of its runs that may be refilled, under one number.
    """

    async def effect(session: Session) -> Made:
        if await service.find_in_book(session, caller.book_id, order_id):
            group = await refill_groups.request(session, order_id, actor=caller.actor)
            return _made(RefillRead.of_group(group))
        refill = await refills.request(session, caller.book_id, order_id, actor=caller.actor)
        return _made(RefillRead.of(refill))

    return await once_if_keyed(
        request, runtime, owner=caller.owner, key=idempotency_key, status=201, effect=effect
    )


def _made(refill: RefillRead) -> Made:
    return Made(refill, f"/v1/refills/{refill.id}")
