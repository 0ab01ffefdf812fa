"""The SQL of schedules: finders, the lock, and the one function that changes a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update

from app.core.audit import Actor
from app.core.db import Session
from app.core.uow import now_of
from app.schedules.models import Schedule, ScheduleEvent
from app.schedules.states import Move, ScheduleState, may_move


async def insert(session: Session, schedule: Schedule, actor: Actor) -> None:
    """A schedule with its first event."""
    session.add(schedule)
    await session.flush()  # its event refers to it
    session.add(_event(session, schedule, Move.PLACE, actor, {}))
    await session.flush()  # later statements count on it


async def change(
    session: Session,
    schedule: Schedule,
    move: Move,
    actor: Actor,
    *,
    target: ScheduleState | None = None,
    data: dict[str, Any] | None = None,
    values: dict[str, Any] | None = None,
) -> Schedule:
    """Change a schedule that is locked, and write the event; `target` is None where it stays.

    Raises RuntimeError for a move outside the table: a bug, never a refusal.
    """
    source = ScheduleState(schedule.state)
    if target is not None and not may_move(move, source, target):
        raise RuntimeError(f"{move} does not lead from {source} to {target}")
    await session.execute(
        update(Schedule)
        .where(Schedule.id == schedule.id)
        .values(version=Schedule.version + 1, state=target or source, **(values or {}))
        .execution_options(synchronize_session=False)
    )
    await session.refresh(schedule)
    session.add(_event(session, schedule, move, actor, data or {}))
    await session.flush()  # the number of the next event counts on it
    return schedule


def _event(
    session: Session, schedule: Schedule, move: Move, actor: Actor, data: dict[str, Any]
) -> ScheduleEvent:
    return ScheduleEvent(
        schedule_id=schedule.id,
        seq=schedule.version,
        type=move,
        actor=str(actor),
        data=data,
        at=now_of(session),
    )


async def set_wait_reason(session: Session, schedule_id: int, reason: str | None) -> None:
    """Why a due run waits; it is told, and is no event."""
    await session.execute(
        update(Schedule).where(Schedule.id == schedule_id).values(wait_reason=reason)
    )


async def find_in_book(session: Session, book_id: UUID, number: int) -> Schedule | None:
    found: Schedule | None = await session.scalar(
        select(Schedule)
        .where(Schedule.id == number, Schedule.book_id == book_id)
        .execution_options(populate_existing=True)
    )
    return found


async def lock(session: Session, number: int) -> Schedule | None:
    """The caller has locked the schedule's work first."""
    found: Schedule | None = await session.scalar(
        select(Schedule)
        .where(Schedule.id == number)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def find(session: Session, number: int) -> Schedule | None:
    return await session.get(Schedule, number, populate_existing=True)


async def due(session: Session, *, limit: int) -> Sequence[int]:
    """Active schedules whose next run should have started by now."""
    return (
        await session.scalars(
            select(Schedule.id)
            .where(Schedule.state == ScheduleState.ACTIVE, Schedule.next_at <= now_of(session))
            .order_by(Schedule.book_id, Schedule.id)
            .limit(limit)
        )
    ).all()


async def page(
    session: Session,
    *,
    book_id: UUID | None = None,
    state: ScheduleState | None = None,
    after: int | None,
    limit: int,
) -> Sequence[Schedule]:
    """Schedules of one book (of all, for operators), newest first."""
    statement = select(Schedule).order_by(Schedule.id.desc()).limit(limit)
    if book_id is not None:
        statement = statement.where(Schedule.book_id == book_id)
    if state is not None:
        statement = statement.where(Schedule.state == state)
    if after is not None:
        statement = statement.where(Schedule.id < after)
    return (await session.scalars(statement)).all()


async def events_of(
    session: Session, number: int, *, after: int, limit: int
) -> Sequence[ScheduleEvent]:
    """From the first on."""
    return (
        await session.scalars(
            select(ScheduleEvent)
            .where(ScheduleEvent.schedule_id == number, ScheduleEvent.seq > after)
            .order_by(ScheduleEvent.seq)
            .limit(limit)
        )
    ).all()


async def sealed_otherwise(
    session: Session, key_id: bytes, *, after: int, limit: int
) -> Sequence[Schedule]:
    """Schedules above `after` that another master key sealed, locked, lowest first."""
    return (
        await session.scalars(
            select(Schedule)
            .where(Schedule.id > after, func.substring(Schedule.sealed, 1, len(key_id)) != key_id)
            .order_by(Schedule.id)
            .limit(limit)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()
