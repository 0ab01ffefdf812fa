"""The SQL of what is written about claims."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select

from app.core.db import Session
from app.refunds.models import ClaimMessage


async def insert(session: Session, message: ClaimMessage) -> None:
    session.add(message)
    await session.flush()


async def of_claim(
    session: Session, claim_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[ClaimMessage]:
    """From the first on."""
    statement = (
        select(ClaimMessage)
        .where(ClaimMessage.claim_id == claim_id)
        .order_by(ClaimMessage.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(ClaimMessage.id > after)
    return (await session.scalars(statement)).all()


async def last_of_claim(session: Session, claim_id: UUID, *, limit: int) -> Sequence[ClaimMessage]:
    """The last of them, newest first."""
    return (
        await session.scalars(
            select(ClaimMessage)
            .where(ClaimMessage.claim_id == claim_id)
            .order_by(ClaimMessage.id.desc())
            .limit(limit)
        )
    ).all()


async def sealed_otherwise(
    session: Session, key_id: bytes, *, limit: int
) -> Sequence[ClaimMessage]:
    """Messages that another master key sealed, locked."""
    return (
        await session.scalars(
            select(ClaimMessage)
            .where(func.substring(ClaimMessage.body, 1, len(key_id)) != key_id)
            .order_by(ClaimMessage.id)
            .limit(limit)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()
