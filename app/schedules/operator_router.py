"""The operators' routes on drip-feeds and subscriptions: look, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from app.core import audit
from app.core.cursors import CursorInvalid
from app.core.db import Session
from app.core.errors import NotFound
from app.core.runtime import Runtime
from app.operators.auth import Operator, OperatorDep, OperatorRoute, needs
from app.operators.permissions import Permission
from app.orders.errors import OrderNotCancelable
from app.orders.operator_schemas import CancelByOperator, HoldCreate
from app.schedules import overviews, service
from app.schedules.errors import OrderNotPausable, OrderNotResumable
from app.schedules.models import Schedule
from app.schedules.operator_schemas import (
    OperatorScheduleDetail,
    OperatorSchedulePage,
    OperatorScheduleRead,
)
from app.schedules.router import OrderNumber
from app.schedules.states import ScheduleState
from app.web.deps import RuntimeDep
from app.web.errors import ValidationFailed
from app.web.openapi import BODY, GUARDED, refusals
from app.web.pages import PAGE_DEFAULT, Cursor, Limit, Page

router = APIRouter(
    prefix="/v1/operator/schedules",
    tags=["schedules"],
    route_class=OperatorRoute,
)


@router.get("", responses=refusals(*GUARDED, CursorInvalid, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_list_schedules(
    operator: OperatorDep,
    runtime: RuntimeDep,
    state: ScheduleState | None = None,
    limit: Annotated[Limit, Query()] = PAGE_DEFAULT,
    cursor: Annotated[Cursor, Query()] = None,
) -> OperatorSchedulePage:
    """Drip-feeds and subscriptions of all resellers, newest first."""
    page = Page(runtime.cursors, f"schedules|{operator.owner}|{state}", limit, cursor)
    async with runtime.uow.begin() as session:
        rows = await service.every_page(
            session, state=state, after=page.after_int(), limit=page.read
        )
    shown, next_cursor = page.cut(rows, lambda row: row.id)
    data = [OperatorScheduleRead.of(row, runtime.settings.currency) for row in shown]
    return OperatorSchedulePage(data=data, next_cursor=next_cursor)


@router.get("/{schedule_id}", responses=refusals(*GUARDED, NotFound, ValidationFailed))
@needs(Permission.ORDERS_READ)
async def operator_get_schedule(
    schedule_id: OrderNumber, runtime: RuntimeDep
) -> OperatorScheduleDetail:
    """One schedule with its timeline and the runs that have started."""
    async with runtime.uow.begin() as session:
        detail = await overviews.detail(session, schedule_id)
    return OperatorScheduleDetail.of(detail, runtime.settings.currency)


@router.post(
    "/{schedule_id}/pause", responses=refusals(*GUARDED, *BODY, NotFound, OrderNotPausable)
)
@needs(Permission.ORDERS_WRITE)
async def operator_pause_schedule(
    schedule_id: OrderNumber, body: HoldCreate, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorScheduleRead:
    """Start no further run of a drip-feed until it is resumed; its reseller can resume it too."""

    async def transaction(session: Session) -> OperatorScheduleRead:
        found = await service.get(session, schedule_id)
        paused = await service.pause(session, found.book_id, schedule_id, actor=operator.actor)
        return await _told(session, runtime, operator, "pause", paused, {"reason": body.reason})

    return await runtime.uow.run(transaction)


@router.post(
    "/{schedule_id}/resume",
    responses=refusals(*GUARDED, NotFound, OrderNotResumable, ValidationFailed),
)
@needs(Permission.ORDERS_WRITE)
async def operator_resume_schedule(
    schedule_id: OrderNumber, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorScheduleRead:
    """Go on with a drip-feed that was paused: the next run starts when it was due, or now."""

    async def transaction(session: Session) -> OperatorScheduleRead:
        found = await service.get(session, schedule_id)
        resumed = await service.resume(session, found.book_id, schedule_id, actor=operator.actor)
        return await _told(session, runtime, operator, "resume", resumed, {})

    return await runtime.uow.run(transaction)


@router.post(
    "/{schedule_id}/cancel", responses=refusals(*GUARDED, *BODY, NotFound, OrderNotCancelable)
)
@needs(Permission.ORDERS_WRITE)
async def operator_cancel_schedule(
    schedule_id: OrderNumber, body: CancelByOperator, operator: OperatorDep, runtime: RuntimeDep
) -> OperatorScheduleRead:
    """Start no further run, give back their money at once, and cancel each run that can be."""

    async def transaction(session: Session) -> OperatorScheduleRead:
        found = await service.get(session, schedule_id)
        canceled = await service.cancel(
            session,
            found.book_id,
            schedule_id,
            actor=operator.actor,
            reason="canceled_by_operator",
        )
        return await _told(session, runtime, operator, "cancel", canceled, {"reason": body.reason})

    return await runtime.uow.run(transaction)


async def _told(
    session: Session,
    runtime: Runtime,
    operator: Operator,
    verb: str,
    schedule: Schedule,
    data: Mapping[str, str],
) -> OperatorScheduleRead:
    """The answer to what an operator did, with its row in the audit log."""
    await audit.record(
        session, operator.actor, f"schedule.{verb}", f"schedule:{schedule.id}", dict(data)
    )
    return OperatorScheduleRead.of(schedule, runtime.settings.currency)
