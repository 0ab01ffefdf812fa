"""The resellers' routes that answer for every order number: an order's, or a schedule's."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.runtime import Runtime
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders import canceling, runs
from app.orders import service as orders
from app.orders.errors import LinkBusy, OrderNotCancelable, TestOrdersUnavailable
from app.orders.form_schemas import OrderCreate
from app.orders.models import Order
from app.orders.placing import Purchase, refuse_test_book
from app.orders.schemas import OrderEventPage, OrderEventRead, OrderPage, OrderRead
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.errors import AccountSuspended
from app.resellers.scopes import Scope
from app.schedules import overviews, service
from app.schedules.errors import OrderNotPausable, OrderNotResumable
from app.schedules.models import Schedule
from app.schedules.placing import Wanted, place_wanted
from app.schedules.schemas import event_read, order_read
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.fields import SAFE_INTEGER_MAX
from app.web.idempotency import IdempotencyKeyHeader, Made, answer_response, asked_of, once
from app.web.openapi import BODY, GUARDED, IDEMPOTENT, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(prefix="/v1", tags=["orders"], route_class=ResellerRoute)

OrderNumber = Annotated[int, Path(ge=1, le=SAFE_INTEGER_MAX, description="The order number.")]


@router.post(
    "/orders",
    status_code=201,
    response_model=OrderRead,
    responses=refusals(
        *GUARDED,
        *BODY,
        *IDEMPOTENT,
        AccountSuspended,
        TestOrdersUnavailable,
        SpendingStopped,
        ServiceUnknown,
        ServiceUnavailable,
        LinkBusy,
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
    """Place an order. Repeat with the same Idempotency-Key to get the same answer back.

    With `runs` it is a drip-feed; an order of type `subscriptions` lasts as long as its posts.
    """
    item = body.asked()
    if not item.is_schedule:
        asked = asked_of(request, caller.owner, idempotency_key)
        refuse_test_book(caller.mode)
        wanted = Wanted(asked, Purchase(caller.book_id, item, caller.actor), runtime)
        answer, replayed = await runtime.uow.together(place_wanted, wanted)
        return answer_response(answer, replayed=replayed)

    async def effect(session: Session) -> Made:
        refuse_test_book(caller.mode)
        schedule = await service.place(
            session, runtime.keys, caller.book_id, item, actor=caller.actor
        )
        return Made(await _shown(session, runtime, schedule), f"/v1/orders/{schedule.id}")

    return await once(
        request, runtime, owner=caller.owner, key=idempotency_key, status=201, effect=effect
    )


async def _shown(session: Session, runtime: Runtime, found: Order | Schedule) -> OrderRead:
    currency = runtime.settings.currency
    if isinstance(found, Order):
        links = await orders.links_of(session, runtime.keys, [found])
        return OrderRead.of(found, links[found.id], currency)
    [seen] = await overviews.overviews(session, runtime.keys, [found])
    return order_read(seen, currency)


@router.get("/schedules", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_schedules(
    caller: CallerDep, runtime: RuntimeDep, limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> OrderPage:
    """Your drip-feeds and subscriptions, newest first, each with all of its runs as one order."""
    page = Page(runtime.cursors, f"schedules|{caller.owner}", limit, cursor)
    async with runtime.uow.begin() as session:
        found = await service.page(session, caller.book_id, after=page.after_int(), limit=page.read)
        shown, next_cursor = page.cut(found, lambda one: one.id)
        seen = await overviews.overviews(session, runtime.keys, shown)
    data = [order_read(one, runtime.settings.currency) for one in seen]
    return OrderPage(data=data, next_cursor=next_cursor)


@router.get("/orders/{order_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def get_order(order_id: OrderNumber, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """One of your orders."""
    async with runtime.uow.begin() as session:
        found = await service.find_in_book(session, caller.book_id, order_id)
        order = found or await orders.get_in_book(session, caller.book_id, order_id)
        return await _shown(session, runtime, order)


@router.get(
    "/orders/{order_id}/events",
    responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed),
)
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_order_events(
    order_id: OrderNumber,
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> OrderEventPage:
    """What happened to one of your orders, from the first event on; runs have their own."""
    page = Page(runtime.cursors, f"order-events|{caller.owner}|{order_id}", limit, cursor)
    after = page.after_int() or 0
    async with runtime.uow.begin() as session:
        if await service.find_in_book(session, caller.book_id, order_id):
            happened = await service.events(session, order_id, after=after, limit=page.read)
            events = [event_read(event) for event in happened]
        else:
            order = await orders.get_in_book(session, caller.book_id, order_id)
            told = await orders.events(
                session, order.id, public_only=True, after=after, limit=page.read
            )
            events = [OrderEventRead.of(event) for event in told]
    shown, next_cursor = page.cut(events, lambda event: event.seq)
    return OrderEventPage(data=list(shown), next_cursor=next_cursor)


@router.get(
    "/orders/{order_id}/runs",
    responses=refusals(*GUARDED, NotFound, CursorInvalid, ValidationFailed),
)
@needs(Scope.ORDERS_READ, group="orders-read", winds_down=True)
async def list_order_runs(
    order_id: OrderNumber,
    caller: CallerDep,
    runtime: RuntimeDep,
    limit: Limit = PAGE_DEFAULT,
    cursor: Cursor = None,
) -> OrderPage:
    """The runs of one of your orders that have started, from the first on; most have none."""
    page = Page(runtime.cursors, f"order-runs|{caller.owner}|{order_id}", limit, cursor)
    after = page.after_int() or 0
    async with runtime.uow.begin() as session:
        if await service.find_in_book(session, caller.book_id, order_id) is None:
            await orders.get_in_book(session, caller.book_id, order_id)
        found = await runs.page(session, order_id, after=after, limit=page.read)
        shown, next_cursor = page.cut(found, lambda order: order.run_number or 0)
        links = await orders.links_of(session, runtime.keys, shown)
    data = [OrderRead.of(o, links[o.id], runtime.settings.currency) for o in shown]
    return OrderPage(data=data, next_cursor=next_cursor)


@router.post(
    "/orders/{order_id}/cancel",
    responses=refusals(*GUARDED, NotFound, OrderNotCancelable, ValidationFailed),
)
@needs(Scope.ORDERS_WRITE, group="orders-write", winds_down=True)
async def cancel_order(order_id: OrderNumber, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """Take an order back: at once while it has not been handed on, its charge returns then.

    Later its delivery is asked to stop. That moves no money: what was not delivered returns when
    the order has ended, and `cancel` tells how the request stands; asking again asks once. An
    order that has ended, also by a cancel, is refused. Of a drip-feed no further run starts, the
    money of those returns at once, and each run that has started is canceled like any order.
    """

    async def transaction(session: Session) -> OrderRead:
        if await service.find_in_book(session, caller.book_id, order_id):
            canceled = await service.cancel(session, caller.book_id, order_id, actor=caller.actor)
            return await _shown(session, runtime, canceled)
        order = await orders.get_in_book(session, caller.book_id, order_id)
        asked = await canceling.request(
            session, order.id, actor=caller.actor, reason="canceled_by_reseller"
        )
        return await _shown(session, runtime, asked)

    return await runtime.uow.run(transaction)


@router.post(
    "/orders/{order_id}/pause",
    responses=refusals(*GUARDED, NotFound, OrderNotPausable, ValidationFailed),
)
@needs(Scope.ORDERS_WRITE, group="orders-write", winds_down=True)
async def pause_order(order_id: OrderNumber, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """Start no further run of a drip-feed until it is resumed. It may be repeated."""

    async def transaction(session: Session) -> OrderRead:
        if await service.find_in_book(session, caller.book_id, order_id) is None:
            await orders.get_in_book(session, caller.book_id, order_id)
            raise OrderNotPausable
        paused = await service.pause(session, caller.book_id, order_id, actor=caller.actor)
        return await _shown(session, runtime, paused)

    return await runtime.uow.run(transaction)


@router.post(
    "/orders/{order_id}/resume",
    responses=refusals(*GUARDED, NotFound, OrderNotResumable, ValidationFailed),
)
@needs(Scope.ORDERS_WRITE, group="orders-write", winds_down=True)
async def resume_order(order_id: OrderNumber, caller: CallerDep, runtime: RuntimeDep) -> OrderRead:
    """Go on with a drip-feed that was paused: the next run starts when it was due, or now."""

    async def transaction(session: Session) -> OrderRead:
        if await service.find_in_book(session, caller.book_id, order_id) is None:
            await orders.get_in_book(session, caller.book_id, order_id)
            raise OrderNotResumable
        resumed = await service.resume(session, caller.book_id, order_id, actor=caller.actor)
        return await _shown(session, runtime, resumed)

    return await runtime.uow.run(transaction)
