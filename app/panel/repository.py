"""The SQL of intakes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select

from app.core.db import Session
from app.core.uow import now_of
from app.panel.models import PanelIntake


async def find(session: Session, intake_id: UUID) -> int | None:
    """The order number that this intake led to, if it was committed."""
    number: int | None = await session.scalar(
        select(PanelIntake.order_number).where(PanelIntake.id == intake_id)
    )
    return number


async def lock_content(session: Session, key_id: UUID, content: bytes) -> None:
    """Until the commit nobody else places this content with this key."""
    name = f"panel:{key_id}:{content.hex()}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def find_recent(
    session: Session, key_id: UUID, content: bytes, *, since: datetime
) -> int | None:
    """The number of the last order of this content by this key."""
    number: int | None = await session.scalar(
        select(PanelIntake.order_number)
        .where(
            PanelIntake.key_id == key_id,
            PanelIntake.content == content,
            PanelIntake.created_at >= since,
        )
        .order_by(PanelIntake.created_at.desc())
        .limit(1)
    )
    return number


async def insert(
    session: Session, intake_id: UUID, key_id: UUID, content: bytes, number: int
) -> None:
    session.add(
        PanelIntake(
            id=intake_id,
            key_id=key_id,
            content=content,
            order_number=number,
            created_at=now_of(session),
        )
    )
    await session.flush()  # beside the order, before the edge commits


async def forget_before(session: Session, moment: datetime) -> None:
    await session.execute(delete(PanelIntake).where(PanelIntake.created_at < moment))
