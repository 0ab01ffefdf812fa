"""The SQL of order numbers: none is given twice, by a database that was restored neither."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from app.core import lineage
from app.core.db import Session
from app.core.statements import Statement

NUMBERS_SKIPPED: Final = 1_000_000
"""More than are given out between a backup and its restore."""
SKIPPED_BESIDES_MAX: Final = 100_000_000
"""So many more, at random: another copy of the same backup may have given out some already."""

_NEXT: Final = Statement(
    """
    SELECT nextval('order_numbers') AS number,
           (SELECT identity <> database_identity() FROM database_lineage
            ORDER BY id DESC LIMIT 1) AS is_elsewhere
    FROM generate_series(1, CAST(:count AS int))
    """
)
_SKIP: Final = text(
    """
    SELECT setval('order_numbers', nextval('order_numbers') + CAST(:skipped AS bigint)
                                   + CAST(random() * CAST(:besides AS bigint) AS bigint))
    """
)


async def next_numbers(session: Session, count: int) -> list[int]:
    """Numbers of orders, schedules and refills; those that a refusal leaves unused are lost.

    A restored database has forgotten which it gave out after its backup: before the first of its
    own it leaves out those that they can have been.
    """
    rows = await _NEXT.rows(session, count=count)
    if rows[0].is_elsewhere:
        if await lineage.note_arrival(session):
            await skip_numbers(session)
        rows = await _NEXT.rows(session, count=count)
    return [row.number for row in rows]


async def skip_numbers(session: Session) -> None:
    """Leave out the numbers that lost orders may have had."""
    values = {"skipped": NUMBERS_SKIPPED, "besides": SKIPPED_BESIDES_MAX}
    await session.execute(_SKIP, values)
