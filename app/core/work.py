"""The queue of record: one narrow table of work, taken by lease and fenced by its token.

Locks are taken in one order everywhere: work rows, then what they refer to, then wallets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Identity,
    Index,
    Row,
    UniqueConstraint,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Session
from app.core.ids import new_id
from app.core.statements import Statement
from app.core.uow import now_of, ring_after_commit

MAIN_LANE: Final = "main"
DUE_LANES_MAX: Final = 1000
NOTHING: Final[Mapping[str, UUID]] = MappingProxyType({})


class WorkRow(Base):
    """Something to do, written in the transaction that makes it, deleted by its last."""

    __tablename__ = "work"
    __table_args__ = (
        UniqueConstraint("kind", "ref"),
        Index("ix_work_ref", "ref"),
        Index(
            "ix_work_due", "kind", "lane", "due_at", postgresql_where=text("lease_token IS NULL")
        ),
        Index("ix_work_leased", "kind", "lane", postgresql_where=text("lease_token IS NOT NULL")),
        # Rows live minutes and change often: room on the page keeps updates off the indexes.
        {"postgresql_with": {"fillfactor": 70}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    lane: Mapped[str]
    ref: Mapped[str]
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(server_default="0")
    lease_token: Mapped[UUID | None]
    lease_until: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do one batch of work, until it runs out: every record carries the token."""

    kind: str
    lane: str
    token: UUID
    refs: tuple[str, ...]
    tries: dict[str, int]


_PUT: Final = Statement(
    """
    INSERT INTO work (kind, ref, lane, due_at)
    SELECT :kind, ref, lane, :due_at
    FROM unnest(CAST(:refs AS text[]), CAST(:lanes AS text[])) AS item (ref, lane)
    ON CONFLICT (kind, ref) DO UPDATE
    SET lane = excluded.lane, due_at = excluded.due_at, lease_token = NULL, lease_until = NULL
    """
)


async def put(
    session: Session, kind: str, ref: str, *, lane: str = MAIN_LANE, due_at: datetime | None = None
) -> None:
    """Promise one piece of work; promising it again moves its lane and its time."""
    await put_many(session, kind, [(ref, lane)], due_at=due_at)


async def put_many(
    session: Session,
    kind: str,
    refs_and_lanes: Sequence[tuple[str, str]],
    *,
    due_at: datetime | None = None,
) -> None:
    """Promise work in one statement, and ring the lanes of what is due at once."""
    if not refs_and_lanes:
        return
    due = due_at or now_of(session)
    lanes = dict(refs_and_lanes)
    await _PUT.rows(session, kind=kind, refs=list(lanes), lanes=list(lanes.values()), due_at=due)
    if due <= now_of(session):
        for lane in set(lanes.values()):
            ring_after_commit(session, kind, lane)


async def put_if_absent(
    session: Session, kind: str, refs: Sequence[str], *, lane: str = MAIN_LANE
) -> None:
    """Promise work that is due now, where it is not promised already."""
    await session.execute(
        text(
            "INSERT INTO work (kind, ref, lane, due_at) VALUES (:kind, :ref, :lane, :due_at)"
            " ON CONFLICT (kind, ref) DO NOTHING"
        ),
        [{"kind": kind, "ref": ref, "lane": lane, "due_at": now_of(session)} for ref in refs],
    )


_LOCK_LANE: Final = Statement("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_LEASE_UP_TO: Final = """
    WITH due AS (
        SELECT id FROM work
        WHERE kind = :kind AND lane = :lane AND lease_token IS NULL AND due_at <= :now
        ORDER BY due_at, id
        LIMIT {rows}
        FOR UPDATE SKIP LOCKED
    )
    UPDATE work
    SET lease_token = :token, tries = tries + 1,
        lease_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM due WHERE work.id = due.id
    RETURNING work.ref, work.tries
    """
_LEASE: Final = Statement(
    _LEASE_UP_TO.format(
        rows="""greatest(0, least(:limit, :in_flight_max - (
            SELECT count(*) FROM work
            WHERE kind = :kind AND lane = :lane AND lease_token IS NOT NULL
                  AND NOT (ref = ANY(:over_refs) AND lease_token = ANY(:over_tokens)))))"""
    )
)
_LEASE_BATCH: Final = Statement(
    _LEASE_UP_TO.format(
        rows="""CASE WHEN :batches_max > (
            SELECT count(DISTINCT lease_token) FROM work
            WHERE kind = :kind AND lane = :lane AND lease_token IS NOT NULL)
        THEN :limit ELSE 0 END"""
    )
)


async def lease(
    session: Session,
    kind: str,
    lane: str,
    *,
    limit: int,
    in_flight_max: int,
    seconds: float,
    over: Mapping[str, UUID] = NOTHING,
) -> Lease:
    """Take what is due, at most `limit`, so that the lane never has more than `in_flight_max` out.

    The count is exact across all workers: it is made under an advisory lock of the lane. Work
    that the caller has leased and is done with, though it is not recorded yet, is told by `over`
    (ref and token), and is not counted.
    """
    return await _lease(
        session,
        _LEASE,
        kind,
        lane,
        limit=limit,
        in_flight_max=in_flight_max,
        seconds=seconds,
        over_refs=list(over),
        over_tokens=list(over.values()),
    )


async def lease_batch(
    session: Session, kind: str, lane: str, *, limit: int, batches_max: int, seconds: float
) -> Lease:
    """Take what is due, at most `limit`, so that the lane never has more than `batches_max` leases
    out, however many rows each has: for work of which a batch is one call. As exact as `lease`.
    """
    return await _lease(
        session,
        _LEASE_BATCH,
        kind,
        lane,
        limit=limit,
        batches_max=batches_max,
        seconds=seconds,
    )


async def _lease(
    session: Session, statement: Statement, kind: str, lane: str, **values: Any
) -> Lease:
    await _LOCK_LANE.rows(session, name=f"work:{kind}:{lane}")
    token = new_id()
    rows = await statement.rows(
        session, kind=kind, lane=lane, now=now_of(session), token=token, **values
    )
    tries = {row.ref: row.tries for row in rows}
    return Lease(kind, lane, token, tuple(tries), tries)


# Through SQLAlchemy, as the first of its transaction: it brings the BEGIN along.
_LOCK_HELD: Final = text(
    """
    SELECT ref FROM work
    WHERE kind = :kind AND ref = ANY(CAST(:refs AS text[])) AND lease_token = :token
    ORDER BY ref FOR UPDATE
    """
)
_FINISH: Final = Statement(
    "DELETE FROM work WHERE kind = :kind AND ref = ANY(CAST(:refs AS text[]))"
)


async def lock_held(session: Session, lease: Lease, refs: Iterable[str]) -> set[str]:
    """Lock the rows that this lease still holds; what is missing was lost to the sweeper."""
    values = {"kind": lease.kind, "refs": list(refs), "token": lease.token}
    return set(await session.scalars(_LOCK_HELD, values))


async def lock_ref(session: Session, ref: str) -> set[str]:
    """Lock all work on one thing, before the thing itself is locked; the kinds there are."""
    kinds = await session.scalars(
        select(WorkRow.kind).where(WorkRow.ref == ref).order_by(WorkRow.kind).with_for_update()
    )
    return set(kinds)


async def lock_refs(session: Session, refs: Iterable[str]) -> None:
    """Lock all work on several things, whatever its kind: for whoever may end a thing of which
    another kind of work is under way. In the order of `lock_ref`, thing by thing.
    """
    await session.execute(
        select(WorkRow.id)
        .where(WorkRow.ref.in_(list(refs)))
        .order_by(WorkRow.ref, WorkRow.kind)
        .with_for_update()
    )


async def finish(session: Session, kind: str, refs: Iterable[str]) -> None:
    """The work is done, in the transaction that ends it."""
    await _FINISH.rows(session, kind=kind, refs=list(refs))


_TURN: Final = Statement(
    """
    WITH done AS (
        DELETE FROM work WHERE kind = :kind AND ref = ANY(CAST(:refs AS text[]))
        RETURNING ref, lane
    )
    INSERT INTO work (kind, ref, lane, due_at) SELECT :next_kind, ref, lane, :due_at FROM done
    ON CONFLICT (kind, ref) DO UPDATE
    SET lane = excluded.lane, due_at = excluded.due_at, lease_token = NULL, lease_until = NULL
    """
)


async def turn(
    session: Session, kind: str, next_kind: str, refs: Iterable[str], *, due_at: datetime
) -> None:
    """One kind of work is done and makes the next, later, in the same lane."""
    await _TURN.rows(session, kind=kind, next_kind=next_kind, refs=list(refs), due_at=due_at)


async def finish_all(session: Session, refs: Iterable[str]) -> None:
    """Nothing of any kind is left to do on these."""
    await session.execute(delete(WorkRow).where(WorkRow.ref.in_(list(refs))))


async def put_back(
    session: Session, kind: str, refs: Iterable[str], *, due_at: datetime, lane: str | None = None
) -> None:
    """Give leased work back, to be taken again from `due_at` on, perhaps in another lane."""
    values: dict[str, object] = {"lease_token": None, "lease_until": None, "due_at": due_at}
    if lane is not None:
        values["lane"] = lane
    await session.execute(
        update(WorkRow).where(WorkRow.kind == kind, WorkRow.ref.in_(list(refs))).values(values)
    )


async def hasten(session: Session, kind: str, refs: Iterable[str], *, due_at: datetime) -> None:
    """Make work due sooner; what is leased or locked now is passed over, so that nobody waits."""
    free = (
        select(WorkRow.id)
        .where(
            WorkRow.kind == kind,
            WorkRow.ref.in_(list(refs)),
            WorkRow.lease_token.is_(None),
            WorkRow.due_at > due_at,
        )
        .with_for_update(skip_locked=True)
    )
    await session.execute(update(WorkRow).where(WorkRow.id.in_(free)).values(due_at=due_at))


async def due_refs(session: Session, kind: str, lane: str, *, limit: int) -> list[str]:
    """What is due and free in a lane, the longest due first; nothing is taken or locked."""
    refs = await session.scalars(
        select(WorkRow.ref)
        .where(
            WorkRow.kind == kind,
            WorkRow.lane == lane,
            WorkRow.lease_token.is_(None),
            WorkRow.due_at <= now_of(session),
        )
        .order_by(WorkRow.due_at, WorkRow.id)
        .limit(limit)
    )
    return list(refs)


async def leased_count(session: Session, kind: str, lane: str) -> int:
    """How much of a lane's work is in somebody's hands now."""
    count = await session.scalar(
        select(func.count()).where(
            WorkRow.kind == kind, WorkRow.lane == lane, WorkRow.lease_token.is_not(None)
        )
    )
    return count or 0


async def due_times(session: Session, kind: str, refs: Iterable[str]) -> dict[str, datetime]:
    """When work of one kind is due for those of these that have some."""
    rows = await session.execute(
        select(WorkRow.ref, WorkRow.due_at).where(WorkRow.kind == kind, WorkRow.ref.in_(list(refs)))
    )
    return {row.ref: row.due_at for row in rows}


async def due_lanes(session: Session, kind: str) -> list[str]:
    """The lanes of one kind in which something is due and free."""
    lanes = await session.scalars(
        select(WorkRow.lane)
        .where(
            WorkRow.kind == kind, WorkRow.lease_token.is_(None), WorkRow.due_at <= now_of(session)
        )
        .group_by(WorkRow.lane)
        .order_by(func.min(WorkRow.due_at))
        .limit(DUE_LANES_MAX)
    )
    return list(lanes)


async def lock_expired(session: Session, kind: str, *, limit: int) -> list[str]:
    """Lock work whose lease ran out: its worker is dead, stopped or late."""
    refs = await session.scalars(
        select(WorkRow.ref)
        .where(
            WorkRow.kind == kind,
            WorkRow.lease_token.is_not(None),
            WorkRow.lease_until < func.clock_timestamp(),
        )
        .order_by(WorkRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(refs)


async def queue_ages(session: Session) -> Sequence[Row[str, str, int, int]]:
    """Per kind and lane: how many rows are due and free, and the oldest one's age in seconds."""
    age = func.extract("epoch", now_of(session) - func.min(WorkRow.due_at))
    rows = await session.execute(
        select(WorkRow.kind, WorkRow.lane, func.count(), age)
        .where(WorkRow.lease_token.is_(None), WorkRow.due_at <= now_of(session))
        .group_by(WorkRow.kind, WorkRow.lane)
    )
    return rows.all()
