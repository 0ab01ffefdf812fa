"""The SQL of link locks: taken for a batch in one statement, released with a look at who waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from app.core.db import Session
from app.core.statements import Row, Statement
from app.core.uow import now_of


@dataclass(frozen=True, slots=True)
class Wanted:
    """An order that is to run on its link at a provider service."""

    order_id: int
    provider_service: str
    link_hash: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A link at a provider service: at most one order runs there."""

    provider_id: UUID
    provider_service: str
    link_hash: bytes


# What another transaction is releasing counts as held: who takes holds the provider's row, and
# must wait for no other. Takers of one provider go one after another by that row.
_TAKE: Final = Statement(
    """
    INSERT INTO link_locks (provider_id, provider_service, link_hash, order_id, taken_at)
    SELECT DISTINCT ON (item.provider_service, item.link_hash)
           CAST(:provider_id AS uuid), item.provider_service, item.link_hash, item.order_id, :now
    FROM unnest(CAST(:order_ids AS bigint[]), CAST(:provider_services AS text[]),
                CAST(:link_hashes AS bytea[])) AS item (order_id, provider_service, link_hash)
    WHERE NOT EXISTS (
        SELECT 1 FROM link_locks l
        WHERE l.provider_id = :provider_id AND l.provider_service = item.provider_service
              AND l.link_hash = item.link_hash)
    ORDER BY item.provider_service, item.link_hash, item.order_id
    ON CONFLICT DO NOTHING
    RETURNING order_id
    """
)
# Due since it was placed: no order that was placed later is leased before it.
_RELEASE: Final = Statement(
    """
    WITH freed AS (
        DELETE FROM link_locks WHERE order_id = ANY(CAST(:order_ids AS bigint[]))
        RETURNING provider_id, link_hash
    ), oldest AS (
        SELECT DISTINCT ON (freed.provider_id, freed.link_hash, o.service_id) w.id, o.created_at
        FROM freed
        JOIN orders o ON o.link_hash = freed.link_hash
             AND o.wait_reason = 'link_busy' AND o.state = 'queued'
        JOIN work w ON w.ref = CAST(o.id AS text) AND w.lane = CAST(freed.provider_id AS text)
        ORDER BY freed.provider_id, freed.link_hash, o.service_id, o.id
    ), free AS (
        SELECT w.id, oldest.created_at FROM work w JOIN oldest ON oldest.id = w.id
        WHERE w.lease_token IS NULL
        FOR UPDATE OF w SKIP LOCKED
    )
    UPDATE work SET due_at = free.created_at FROM free WHERE work.id = free.id
    RETURNING work.kind, work.lane
    """
)
_HELD: Final = Statement(
    """
    SELECT l.provider_id, l.provider_service, l.link_hash
    FROM link_locks l
    JOIN unnest(CAST(:provider_ids AS uuid[]), CAST(:provider_services AS text[]),
                CAST(:link_hashes AS bytea[])) AS place (provider_id, provider_service, link_hash)
         USING (provider_id, provider_service, link_hash)
    """
)
_DOUBTFUL: Final = Statement(
    """
    SELECT l.order_id
    FROM link_locks l JOIN orders o ON o.id = l.order_id
    WHERE o.state IN ('unknown', 'needs_review') AND (
        SELECT min(e.at) FROM order_events e
        WHERE e.order_id = o.id AND e.type IN ('lose', 'review') AND e.seq > (
            SELECT max(t.seq) FROM order_events t
            WHERE t.order_id = o.id AND t.type IN ('take', 'find'))) <= :moment
    ORDER BY l.order_id
    LIMIT :limit
    FOR UPDATE OF l SKIP LOCKED
    """
)


async def take(session: Session, provider_id: UUID, wanted: Sequence[Wanted]) -> set[int]:
    """Those of the orders that have their link now: of several on one link, the first placed."""
    rows = await _TAKE.rows(
        session,
        provider_id=provider_id,
        order_ids=[one.order_id for one in wanted],
        provider_services=[one.provider_service for one in wanted],
        link_hashes=[one.link_hash for one in wanted],
        now=now_of(session),
    )
    return {row.order_id for row in rows}


async def release(session: Session, order_ids: Collection[int]) -> Sequence[Row]:
    """Free the links of these orders and make the order due that has waited longest for each;
    the kinds and lanes of work that are due by it. Work that is locked now is passed over.
    """
    return await _RELEASE.rows(session, order_ids=list(order_ids))


async def held(session: Session, places: Collection[Place]) -> set[Place]:
    """Those of these places at which an order runs."""
    rows = await _HELD.rows(
        session,
        provider_ids=[place.provider_id for place in places],
        provider_services=[place.provider_service for place in places],
        link_hashes=[place.link_hash for place in places],
    )
    return {Place(row.provider_id, row.provider_service, row.link_hash) for row in rows}


async def doubtful_since(session: Session, moment: datetime, *, limit: int) -> list[int]:
    """Orders with a link of which nothing certain is known since then, their locks locked."""
    return [row.order_id for row in await _DOUBTFUL.rows(session, moment=moment, limit=limit)]
