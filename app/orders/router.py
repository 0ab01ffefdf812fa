"""The resellers' order routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.core import idempotency
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import AppError, NotFound
from app.core.idempotency import Answer
from app.core.runtime import Runtime
from app.core.uow import PutAside
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders import service
from app.orders.errors import OrderNotCancelable, TestOrdersUnavailable
from app.orders.form_schemas import OrderCreate
from app.orders.inputs import link_hashes
from app.orders.models import Order
from app.orders.repository import OrderFilter
from app.orders.schemas import (
    BatchItem,
    OrderBatchCreate,
    OrderBatchRead,
    OrderEventPage,
    OrderEventRead,
    OrderListQuery,
    OrderPage,
    OrderRead,
)
from app.orders.service import Purchase
from app.orders.states import V1_STATUS
from app.resellers.auth import SECURED, Caller, CallerDep, ResellerRoute, needs
from app.resellers.errors import AccountSuspended
from app.resellers.models import Mode
from app.resellers.scopes import Scope
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.idempotency import IdempotencyKeyHeader, Made, answer_response, asked_of, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page
from app.web.problems import problem_of
from app.web.schemas import Problem

router = APIRouter(
    prefix="/v1/orders", tags=["orders"], route_class=ResellerRoute, dependencies=SECURED
)

OrderId = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX, description="The order number.")]
PLACING = (AccountSuspended, TestOrdersUnavailable, SpendingStopped)


@router.post(
    "",
    status_code=201,
    response_model=OrderRead,
    responses=refusals(
        *GUARDED,
        *BODY,
        *IDEMPOTENT,
        *PLACING,
        ServiceUnknown,
        ServiceUnavailable,
        InsufficientFunds,
    ),
)
@needs(Scope.ORDERS_WRITE, group="orders-write")
async def create_order(
    request: Request,
    body: OrderCreate,
    caller: CallerDep,
    runtime: RuntimeDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Response:
    """Place an order. Repeat with the same Idempotency-Key to get the same answer back."""
    asked = asked_of(request, caller.owner, idempotency_key)
    _refuse_test_book(caller)
    wanted = Wanted(asked, Purchase(caller.book_id, body.asked(), caller.actor), runtime)
    answer, replayed = await runtime.uow.together(place_wanted, wanted)
    return answer_response(answer, replayed=replayed)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that is asked for over HTTP, under its key."""

    asked: idempotency.Request
    purchase: Purchase
    runtime: Runtime


async def place_wanted(
    session: Session, wanted: Sequence[Wanted], may_wait: bool
) -> list[tuple[Answer, bool] | Exception]:
    """One transaction for all orders that arrived together; of each its answer, and whether it is
    a replay, or its refusal. One whose wallet is locked elsewhere is put aside.
    """
    claims = await idempotency.claim_many(session, [one.asked for one in wanted])
    fresh = [one for one, claim in zip(wanted, claims, strict=True) if claim is None]
    results = iter(await _place(session, fresh, wait=may_wait))
    told: list[tuple[Answer, bool] | Exception] = []
    kept: list[tuple[idempotency.Request, Answer]] = []
    for one, claim in zip(wanted, claims, strict=True):
        result = next(results) if claim is None else claim
        if isinstance(result, Order):
            answer = _answer(one, result)
            kept.append((one.asked, answer))
            told.append((answer, False))
        elif isinstance(result, Answer):
            told.append((result, True))
        else:
            told.append(result or PutAside())
    if kept:
        await idempotency.keep_many(session, kept)
    return told


async def _place(
    session: Session, wanted: Sequence[Wanted], *, wait: bool
) -> list[Order | AppError | None]:
    if not wanted:
        return []
    purchases = [one.purchase for one in wanted]
    return await service.place_together(session, wanted[0].runtime.keys, purchases, wait=wait)


def _answer(wanted: Wanted, order: Order) -> Answer:
    read = OrderRead.of(order, wanted.purchase.item.form.link, wanted.runtime.settings.currency)
    return Answer(201, read.model_dump_json().encode(), f"/v1/orders/{order.id}")


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
        _refuse_test_book(caller)
        asked = [item.asked() for item in body.orders]
        results = await service.place_batch(
            session, runtime.keys, caller.book_id, asked, actor=caller.actor
        )
        items = [
            _batch_item(index, result, item.form.link, runtime.settings.currency)
            for index, (result, item) in enumerate(zip(results, asked, strict=True))
        ]
        return Made(OrderBatchRead(data=items))

    return await once(
        request,
        runtime.uow,
        owner=caller.owner,
        key=idempotency_key,
        status=200,
        effect=effect,
    )


def _refuse_test_book(caller: Caller) -> None:
    """An order of the test book must never reach a provider, and nothing else delivers it yet."""
    if caller.mode is not Mode.LIVE:
        raise TestOrdersUnavailable


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


@router.get("/{order_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def get_order(order_id: OrderId, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """One of your orders."""
    async with runtime.uow.begin() as session:
        order = await service.get_in_book(session, caller.book_id, order_id)
        links = await service.links_of(session, runtime.keys, [order])
    return OrderRead.of(order, links[order.id], runtime.settings.currency)


@router.get(
    "/{order_id}/events", responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed)
)
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_order_events(
    order_id: OrderId,
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> OrderEventPage:
    """What happened to one of your orders, from the first event on."""
    page = Page(runtime.cursors, f"order-events|{caller.owner}|{order_id}", limit, cursor)
    async with runtime.uow.begin() as session:
        order = await service.get_in_book(session, caller.book_id, order_id)
        events = await service.events(
            session, order.id, public_only=True, after=page.after_int() or 0, limit=page.read
        )
    shown, next_cursor = page.cut(events, lambda event: event.seq)
    return OrderEventPage(data=[OrderEventRead.of(e) for e in shown], next_cursor=next_cursor)


@router.post(
    "/{order_id}/cancel",
    responses=refusals(*GUARDED, NotFound, OrderNotCancelable, ValidationFailed),
)
@needs(Scope.ORDERS_WRITE, group="orders-write", winds_down=True)
async def cancel_order(order_id: OrderId, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """Take back an order that has not been handed on; its charge returns at once."""

    async def transaction(session: Session) -> OrderRead:
        order = await service.get_in_book(session, caller.book_id, order_id)
        canceled = await service.cancel(
            session, order.id, actor=caller.actor, reason="canceled_by_reseller"
        )
        links = await service.links_of(session, runtime.keys, [canceled])
        return OrderRead.of(canceled, links[canceled.id], runtime.settings.currency)

    return await runtime.uow.run(transaction)
