"""The life of a schedule: its table, the trigger that holds it, and the words it is told in."""

from itertools import product

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.core.db import Session
from app.core.runtime import Runtime
from app.orders.endings import EXPIRED, PAUSED_BY_PROVIDER
from app.orders.states import OrderState
from app.schedules.states import PAIRS, PanelStatus, ScheduleState, panel_status, public_status
from tests.fixtures.world import World

S = ScheduleState
O = OrderState  # noqa: E741 - the table below is read by columns

STATUS_TABLE: list[tuple[ScheduleState, dict[OrderState, int], str]] = [
    (S.ACTIVE, {}, "queued"),
    (S.ACTIVE, {O.QUEUED: 1}, "in_progress"),
    (S.ACTIVE, {O.COMPLETED: 3}, "in_progress"),
    (S.PAUSED, {}, "on_hold"),
    (S.PAUSED, {O.IN_PROGRESS: 1}, "on_hold"),
    (S.PLACED, {O.COMPLETED: 10}, "completed"),
    (S.PLACED, {O.QUEUED: 1}, "queued"),
    (S.PLACED, {O.UNKNOWN: 1}, "processing"),
    (S.PLACED, {O.COMPLETED: 9, O.IN_PROGRESS: 1}, "in_progress"),
    (S.PLACED, {O.COMPLETED: 9, O.PARTIAL: 1}, "partial"),
    (S.PLACED, {O.COMPLETED: 9, O.CANCELED: 1}, "partial"),
    (S.PLACED, {O.FAILED: 10}, "failed"),
    (S.PLACED, {O.FAILED: 9, O.CANCELED: 1}, "canceled"),
    (S.CANCELED, {}, "canceled"),
    (S.CANCELED, {O.CANCELED: 2}, "canceled"),
    (S.CANCELED, {O.COMPLETED: 4}, "partial"),
    (S.CANCELED, {O.COMPLETED: 3, O.IN_PROGRESS: 1}, "in_progress"),
]


@pytest.mark.parametrize(("state", "runs", "told"), STATUS_TABLE)
def test_a_purchase_is_told_by_what_is_to_come_and_by_its_runs(
    state: ScheduleState, runs: dict[OrderState, int], told: str
) -> None:
    assert public_status(state, runs) == told


def test_every_state_of_a_schedule_has_a_status_with_runs_in_every_state() -> None:
    for state, run in product(ScheduleState, OrderState):
        assert public_status(state, {run: 1})


PANEL_TABLE: list[tuple[OrderState, str | None, str | None, PanelStatus]] = [
    (O.QUEUED, None, None, PanelStatus.ACTIVE),
    (O.IN_PROGRESS, None, None, PanelStatus.ACTIVE),
    (O.IN_PROGRESS, None, PAUSED_BY_PROVIDER, PanelStatus.PAUSED),
    (O.NEEDS_REVIEW, None, None, PanelStatus.ACTIVE),
    (O.COMPLETED, None, None, PanelStatus.COMPLETED),
    (O.COMPLETED, EXPIRED, None, PanelStatus.EXPIRED),
    (O.PARTIAL, None, None, PanelStatus.CANCELED),
    (O.CANCELED, None, None, PanelStatus.CANCELED),
    (O.FAILED, None, None, PanelStatus.CANCELED),
]


@pytest.mark.parametrize(("state", "reason", "wait_reason", "told"), PANEL_TABLE)
def test_a_subscription_has_the_five_states_of_the_wire(
    state: OrderState, reason: str | None, wait_reason: str | None, told: PanelStatus
) -> None:
    assert panel_status(state, reason=reason, wait_reason=wait_reason) is told


async def test_the_database_lets_pass_the_moves_of_the_table_and_no_other(
    runtime: Runtime, world: World
) -> None:
    placed = await world.order(runs=2, interval_minutes=60, quantity=100)
    for source, target in product(ScheduleState, ScheduleState):
        assert await _passes(runtime, placed["id"], source, target) is (
            (source, target) in PAIRS or source is target
        ), (source, target)


async def _passes(
    runtime: Runtime, number: int, source: ScheduleState, target: ScheduleState
) -> bool:
    """Whether the trigger lets a row of the one state become one of the other."""
    async with runtime.uow.begin() as session:
        await session.execute(text("ALTER TABLE schedules DISABLE TRIGGER guard_schedule"))
        for check in ("ended", "runs", "arithmetic"):
            await session.execute(
                text(f"ALTER TABLE schedules DROP CONSTRAINT ck_schedules_{check}")
            )
        await _set(session, number, source)
        await session.execute(text("ALTER TABLE schedules ENABLE TRIGGER guard_schedule"))
        passed = True
        try:
            async with session.begin_nested():
                await _set(session, number, target)
        except IntegrityError:
            passed = False
        await session.rollback()
    return passed


async def _set(session: Session, number: int, state: ScheduleState) -> None:
    await session.execute(
        text("UPDATE schedules SET state = :state WHERE id = :id"), {"state": state, "id": number}
    )
