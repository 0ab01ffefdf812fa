"""Rotation of the master key: order inputs sealed by an older one are sealed by the current one."""

from __future__ import annotations

from app.core.crypto import KeyRing
from app.core.db import Session
from app.orders import input_repository
from app.orders.inputs import open_form, seal_form


async def count_to_reseal(session: Session, keys: KeyRing) -> int:
    """How many orders have inputs that the current key did not seal."""
    return await input_repository.count_sealed_otherwise(session, bytes.fromhex(keys.current_id))


async def reseal_inputs(
    session: Session, keys: KeyRing, *, after: int, limit: int
) -> tuple[int, int]:
    """Seal the next inputs above order `after` anew: how many, and up to which order.

    None is left above `after` when it answers zero. Raises Undecryptable when the key that sealed
    one is not configured any more.
    """
    found = await input_repository.sealed_otherwise(
        session, bytes.fromhex(keys.current_id), after=after, limit=limit
    )
    rows = [
        {
            "order_id": one.order_id,
            "sealed": seal_form(keys, one.order_id, open_form(keys, one.order_id, one.sealed)),
        }
        for one in found
    ]
    if rows:
        await input_repository.replace(session, rows)
    return len(rows), found[-1].order_id if found else after
