"""`smmos schedules`: drip-feeds and subscriptions of all resellers, looked at and stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

import typer

from app.cli.context import actor, transaction
from app.cli.inputs import Reason, Shown, checked
from app.cli.orders import ORDER_COLUMNS, in_words, order_row
from app.cli.output import print_table
from app.core import audit
from app.core.clock import rfc3339
from app.core.money import Money
from app.orders.operator_schemas import CancelByOperator, HoldCreate
from app.schedules import overviews, service
from app.schedules.models import Schedule
from app.schedules.states import ScheduleState

commands = typer.Typer()
schedule_commands = typer.Typer(
    help="Drip-feeds and subscriptions of all resellers.", no_args_is_help=True
)
commands.add_typer(schedule_commands, name="schedules")

ScheduleId = Annotated[int, typer.Argument(help="Its order number.", min=1)]


@schedule_commands.command("list")
def list_schedules(
    state: Annotated[ScheduleState | None, typer.Option(help="Only these.")] = None,
    limit: Shown = 50,
) -> None:
    """Schedules, newest first; `--state paused` shows those that wait for somebody."""
    asyncio.run(_list_schedules(state, limit))


async def _list_schedules(state: ScheduleState | None, limit: int) -> None:
    async with transaction() as (_, session):
        found = await service.every_page(session, state=state, after=None, limit=limit)
    columns = ["id", "kind", "state", "service", "started", "charge", "next run", "why"]
    print_table("", columns, [_row(one) for one in found])


def _row(one: Schedule) -> list[str]:
    return [
        str(one.id),
        one.kind,
        one.state,
        str(one.service_id),
        f"{one.started} of {one.runs}",
        str(Money(one.charge)),
        rfc3339(one.next_at) if one.next_at else "",
        one.reason or one.wait_reason or "",
    ]


@schedule_commands.command("show")
def show_schedule(schedule_id: ScheduleId) -> None:
    """One schedule with its timeline and the runs that have started. No link: it is private."""
    asyncio.run(_show_schedule(schedule_id))


async def _show_schedule(schedule_id: int) -> None:
    async with transaction() as (_, session):
        detail = await overviews.detail(session, schedule_id)
    _print_facts(detail.schedule)
    print_table(
        "Timeline",
        ["at", "what", "who", "why and what else"],
        [[rfc3339(e.at), e.type, e.actor, in_words(e.data)] for e in detail.events],
    )
    print_table("Runs", ORDER_COLUMNS, [order_row(run) for run in detail.runs])


def _print_facts(one: Schedule) -> None:
    facts = {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "why": one.reason or one.wait_reason,
        "service": one.service_id,
        "quantity of a run": one.quantity,
        "started": f"{one.started} of {one.runs}",
        "next run": rfc3339(one.next_at) if one.next_at else None,
        "charge": Money(one.charge),
        "held": Money(one.held),
        "allocated": Money(one.allocated),
        "refunded": Money(one.refunded),
        "placed": rfc3339(one.created_at),
        "ended": rfc3339(one.ended_at) if one.ended_at else None,
    }
    rows = [[name, "" if value is None else str(value)] for name, value in facts.items()]
    print_table("Schedule", ["field", "value"], rows)


@schedule_commands.command("pause")
def pause_schedule(schedule_id: ScheduleId, reason: Reason) -> None:
    """Start no further run of a drip-feed until it is resumed."""
    body = checked(HoldCreate, reason=reason)
    asyncio.run(_change("pause", schedule_id, {"reason": body.reason}, service.pause))


@schedule_commands.command("resume")
def resume_schedule(schedule_id: ScheduleId) -> None:
    """Go on with a drip-feed that was paused."""
    asyncio.run(_change("resume", schedule_id, {}, service.resume))


@schedule_commands.command("cancel")
def cancel_schedule(schedule_id: ScheduleId, reason: Reason) -> None:
    """Start no further run, give back their money at once, and cancel each run that can be."""
    body = checked(CancelByOperator, reason=reason)
    by_operator = partial(service.cancel, reason="canceled_by_operator")
    asyncio.run(_change("cancel", schedule_id, {"reason": body.reason}, by_operator))


async def _change(
    verb: str, schedule_id: int, data: dict[str, str], change: Callable[..., Awaitable[Schedule]]
) -> None:
    async with transaction() as (_, session):
        found = await service.get(session, schedule_id)
        changed = await change(session, found.book_id, schedule_id, actor=actor())
        await audit.record(session, actor(), f"schedule.{verb}", f"schedule:{schedule_id}", data)
    _print_facts(changed)
