"""The SQL of sealed order inputs across a rotation of the master key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.sql import ColumnElement

from app.core.db import Session
from app.orders.models import OrderInput


async def sealed_otherwise(
    session: Session, key_id: bytes, *, after: int, limit: int
) -> Sequence[OrderInput]:
    """Inputs of orders above `after` that another master key sealed, locked, lowest first."""
    return (
        await session.scalars(
            select(OrderInput)
            .where(OrderInput.order_id > after, _sealed_otherwise(key_id))
            .order_by(OrderInput.order_id)
            .limit(limit)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
    ).all()


async def count_sealed_otherwise(session: Session, key_id: bytes) -> int:
    count = await session.scalar(
        select(func.count()).select_from(OrderInput).where(_sealed_otherwise(key_id))
    )
    return int(count or 0)


async def replace(session: Session, rows: list[dict[str, Any]]) -> None:
    """New ciphertexts, as rows of `order_id` and `sealed`."""
    await session.execute(update(OrderInput), rows)


def _sealed_otherwise(key_id: bytes) -> ColumnElement[bool]:
    # A ciphertext begins with the id of the key that sealed it.
    return func.substring(OrderInput.sealed, 1, len(key_id)) != key_id
