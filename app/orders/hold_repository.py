"""The SQL of holds: why an order is not handed on, and whether any reason is left."""

from __future__ import annotations

from sqlalchemy import exists, func, select, update

from app.core.db import Session
from app.core.uow import now_of
from app.orders.models import OrderHold


async def open_hold_count(session: Session, order_id: int) -> int:
    count = await session.scalar(
        select(func.count()).where(OrderHold.order_id == order_id, OrderHold.released_at.is_(None))
    )
    return int(count or 0)


async def hold_is_open(session: Session, order_id: int, source: str, source_id: str) -> bool:
    return bool(
        await session.scalar(
            select(
                exists().where(
                    OrderHold.order_id == order_id,
                    OrderHold.source == source,
                    OrderHold.source_id == source_id,
                    OrderHold.released_at.is_(None),
                )
            )
        )
    )


async def release_holds(session: Session, order_id: int, source: str) -> None:
    await session.execute(
        update(OrderHold)
        .where(
            OrderHold.order_id == order_id,
            OrderHold.source == source,
            OrderHold.released_at.is_(None),
        )
        .values(released_at=now_of(session))
    )


async def release_all_holds(session: Session, order_id: int) -> None:
    await session.execute(
        update(OrderHold)
        .where(OrderHold.order_id == order_id, OrderHold.released_at.is_(None))
        .values(released_at=now_of(session))
    )
