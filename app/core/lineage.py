"""Which database this is: a restored one has forgotten what was done after its backup.

The database remembers where it lived when it was last known to be whole. A copy that was restored,
recovered to a point in time or promoted lives elsewhere, and until an operator has said what that
means nothing may be sent on its word: what it believes to be waiting may have been sent already.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Identity, exists, select, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.audit import Actor
from app.core.db import Base, Session
from app.core.statements import Statement
from app.core.uow import now_of

RESTORED: Final = "database_restored"
"""Why an order waits that is not sent on the word of a restored database."""


class LineageRow(Base):
    """A home of this database that somebody vouched for; the last one is where it is at home.

    `since` is the moment after which a restored one knows nothing of what was done before.
    """

    __tablename__ = "database_lineage"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    identity: Mapped[str]
    at: Mapped[datetime]
    since: Mapped[datetime | None]
    actor: Mapped[str]


class ArrivalRow(Base):
    """A place in which this database found itself, and has left out what it may have forgotten."""

    __tablename__ = "database_arrivals"

    identity: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]


_IS_ELSEWHERE: Final = Statement(
    "SELECT identity <> database_identity() AS is_elsewhere FROM database_lineage"
    " ORDER BY id DESC LIMIT 1"
)


async def is_restored(session: Session) -> bool:
    """Whether this is a copy for which nobody has vouched yet."""
    return any(row.is_elsewhere for row in await _IS_ELSEWHERE.rows(session))


async def note_arrival(session: Session) -> bool:
    """Whether it is the first to find that this database is here; others wait for its commit."""
    first = await session.execute(
        text(
            "INSERT INTO database_arrivals (identity, at) VALUES (database_identity(), :at)"
            " ON CONFLICT DO NOTHING RETURNING identity"
        ),
        {"at": now_of(session)},
    )
    return first.first() is not None


async def vouch(session: Session, actor: Actor, *, since: datetime | None) -> None:
    """From now on this database is at home here; `since` as in the row."""
    await session.execute(
        text(
            "INSERT INTO database_lineage (identity, at, since, actor)"
            " VALUES (database_identity(), :at, :since, :actor)"
        ),
        {"at": now_of(session), "since": since, "actor": str(actor)},
    )


async def last_restore(session: Session) -> LineageRow | None:
    """When it was restored the last time, and what it had forgotten then."""
    found: LineageRow | None = await session.scalar(
        select(LineageRow)
        .where(LineageRow.since.is_not(None))
        .order_by(LineageRow.id.desc())
        .limit(1)
    )
    return found


async def forgot_between(session: Session, since: datetime, until: datetime) -> bool:
    """Whether a part of this time is one of which a restored database knows nothing."""
    return bool(
        await session.scalar(
            select(exists().where(LineageRow.since <= until, LineageRow.at >= since))
        )
    )
