"""The resellers' order routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import AppError
from app.core.runtime import Runtime
from app.ledger.errors import SpendingStopped
from app.orders import placing, service
from app.orders.errors import TestOrdersUnavailable
from app.orders.inputs import link_hashes
from app.orders.models import Order
from app.orders.repository import OrderFilter
from app.orders.schemas import (
    BatchItem,
    OrderBatchCreate,
    OrderBatchRead,
    OrderListQuery,
    OrderPage,
    OrderRead,
)
from app.orders.states import V1_STATUS
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.errors import AccountSuspended
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.idempotency import IdempotencyKeyHeader, Made, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import Page
from app.web.problems import problem_of
from app.web.schemas import Problem

router = APIRouter(prefix="/v1/orders", tags=["orders"], route_class=ResellerRoute)

OrderId = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX, description="The order number.")]
PLACING = (AccountSuspended, TestOrdersUnavailable, SpendingStopped)


@router.post(
    "/batch",
    response_model=OrderBatchRead,
    responses=refusals(*GUARDED, *BODY, *IDEMPOTENT, *PLACING),
)
@needs(Scope.ORDERS_WRITE, group="orders-batch")
async def create_order_batch(
    request: Request,
    body: OrderBatchCreate,
    caller: CallerDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Place up to 100 orders; each is accepted or refused by itself, in the order given."""

    async def effect(session: Session) -> Made:
        placing.refuse_test_book(caller.mode)
        asked = [item.asked() for item in body.orders]
        results = await placing.place_batch(
            session, runtime.keys, caller.book_id, asked, actor=caller.actor
        )
        items = [
            _batch_item(index, result, item.form.link, runtime.settings.currency)
            for index, (result, item) in enumerate(zip(results, asked, strict=True))
        ]
        return Made(OrderBatchRead(data=items))

    return await once(
        request,
        runtime,
        owner=caller.owner,
        key=idempotency_key,
        status=200,
        effect=effect,
    )


def _batch_item(index: int, result: Order | AppError, link: str | None, currency: str) -> BatchItem:
    if isinstance(result, AppError):
        problem = Problem.model_validate(problem_of(result))
        return BatchItem(index=index, status=result.status, order=None, problem=problem)
    order = OrderRead.of(result, link, currency)
    return BatchItem(index=index, status=201, order=order, problem=None)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_orders(
    caller: CallerDep,
    runtime: RuntimeDep,
    query: Annotated[OrderListQuery, Query()],
) -> OrderPage:
    """Your orders, newest first."""
    filters = query.model_dump_json(exclude={"limit", "cursor"})
    page = Page(runtime.cursors, f"orders|{caller.owner}|{filters}", query.limit, query.cursor)
    async with runtime.uow.begin() as session:
        orders = await service.page(
            session,
            book_id=caller.book_id,
            wanted=filter_of(runtime, query),
            after=page.after_int(),
            limit=page.read,
        )
        shown, next_cursor = page.cut(orders, lambda order: order.id)
        links = await service.links_of(session, runtime.keys, shown)
    data = [OrderRead.of(o, links[o.id], runtime.settings.currency) for o in shown]
    return OrderPage(data=data, next_cursor=next_cursor)


def filter_of(runtime: Runtime, query: OrderListQuery) -> OrderFilter:
    """The filter of a list: a v1 status may stand for several states of ours."""
    states = None
    if query.status is not None:
        states = frozenset(state for state, told in V1_STATUS.items() if told == query.status)
    hashes = None
    if query.link is not None:
        hashes = tuple(link_hashes(runtime.keys, query.link))
    return OrderFilter(
        states=states,
        service_id=query.service_id,
        reference=query.reference,
        link_hashes=hashes,
        created_from=query.created_from,
        created_to=query.created_to,
    )
