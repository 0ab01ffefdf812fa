"""The SQL of the mirror: what providers sell, how it changed, and what hangs on it here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson
from sqlalchemy import select
from sqlalchemy import update as sa_update

from app.catalog.comparison import Facts, FindingKind, Known, Sold, Standing, Use, Verdict
from app.catalog.mirror_models import ProviderService, ProviderServiceChange
from app.core.db import Session
from app.core.statements import Row, Statement
from app.providers.forms import ServiceType
from app.providers.protocol import CatalogEntry

_LISTED: Final = Statement(
    """
    SELECT m.provider_service FROM provider_services m
    WHERE m.provider_id = :provider_id AND (m.gone_at IS NULL OR EXISTS (
        SELECT 1 FROM service_routes r
        WHERE r.provider_id = m.provider_id AND r.provider_service = m.provider_service
          AND r.state = 'open'))
    """
)
_LOCK_KNOWN: Final = Statement(
    """
    SELECT provider_service, name, type, category, rate_micros, approved_rate_micros, min_quantity,
           max_quantity, refill, cancel, dripfeed, missing_since, gone_at
    FROM provider_services
    WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
    ORDER BY provider_service
    FOR NO KEY UPDATE
    """
)
_COSTS: Final = Statement(
    """
    SELECT r.provider_service, bool_or(r.state = 'open') AS is_open,
           (array_agg(r.cost_micros ORDER BY abs(r.cost_micros - coalesce(m.rate_micros, 0)) DESC)
           )[1] AS cost_micros,
           array_agg(s.type) FILTER (WHERE r.state = 'open') AS types,
           array_agg(s.min_quantity) FILTER (WHERE r.state = 'open') AS mins,
           array_agg(s.max_quantity) FILTER (WHERE r.state = 'open') AS maxs
    FROM service_routes r
    JOIN services s ON s.id = r.service_id
    LEFT JOIN provider_services m USING (provider_id, provider_service)
    WHERE r.provider_id = :provider_id AND r.provider_service = ANY(CAST(:services AS text[]))
    GROUP BY r.provider_service
    """
)
_STANDING: Final = Statement(
    """
    SELECT id, provider_service, kind, CAST(after AS text) AS after FROM catalogue_findings
    WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
      AND state IN ('open', 'rejected')
    """
)


async def listed_services(session: Session, provider_id: UUID) -> set[str]:
    """The ids of all services of a provider that are not gone, or are gone with a route open."""
    return {row.provider_service for row in await _LISTED.rows(session, provider_id=provider_id)}


async def lock_known(
    session: Session, provider_id: UUID, services: Collection[str]
) -> dict[str, Known]:
    """The mirror's rows of these services, locked in the order of their ids."""
    rows = await _LOCK_KNOWN.rows(session, provider_id=provider_id, services=list(services))
    return {row.provider_service: _known(row) for row in rows}


def _known(row: Row) -> Known:
    return Known(
        entry=CatalogEntry(
            service=row.provider_service,
            name=row.name,
            service_type=row.type,
            category=row.category,
            rate_micros=row.rate_micros,
            min=row.min_quantity,
            max=row.max_quantity,
            refill=row.refill,
            cancel=row.cancel,
            dripfeed=row.dripfeed,
        ),
        approved_rate_micros=row.approved_rate_micros,
        missing_since=row.missing_since,
        gone=row.gone_at is not None,
    )


async def uses(session: Session, provider_id: UUID, services: Collection[str]) -> dict[str, Use]:
    """What hangs on these services here; one without routes and findings is left out."""
    asked = {"provider_id": provider_id, "services": list(services)}
    routed = {row.provider_service: row for row in await _COSTS.rows(session, **asked)}
    standing: dict[str, dict[FindingKind, Standing]] = {}
    for row in await _STANDING.rows(session, **asked):
        found = Standing(row.id, orjson.loads(row.after))
        standing.setdefault(row.provider_service, {})[FindingKind(row.kind)] = found
    found_uses = {service: Use(standing=found) for service, found in standing.items()}
    for service, row in routed.items():
        sold = zip(row.types or (), row.mins or (), row.maxs or (), strict=True)
        found_uses[service] = Use(
            row.cost_micros,
            standing.get(service, {}),
            row.is_open,
            tuple(Sold(ServiceType(type_), least, most) for type_, least, most in sold),
        )
    return found_uses


_ITEMS: Final = """
    unnest(
        CAST(:services AS text[]), CAST(:names AS text[]), CAST(:types AS text[]),
        CAST(:categories AS text[]), CAST(:rates AS bigint[]), CAST(:approved AS bigint[]),
        CAST(:mins AS bigint[]), CAST(:maxs AS bigint[]), CAST(:refills AS boolean[]),
        CAST(:cancels AS boolean[]), CAST(:dripfeeds AS boolean[])
    ) AS item (
        service, name, type, category, rate, approved, min, max, refill, cancel, dripfeed
    )"""
_INSERT: Final = Statement(
    f"""
    INSERT INTO provider_services (
        provider_id, provider_service, name, type, category, rate_micros, approved_rate_micros,
        min_quantity, max_quantity, refill, cancel, dripfeed, first_seen_at, seen_at, changed_at)
    SELECT :provider_id, service, name, type, category, rate, approved, min, max, refill, cancel,
           dripfeed, :now, :now, :now
    FROM {_ITEMS}
    """  # noqa: S608 - the constant above
)
_UPDATE: Final = Statement(
    f"""
    UPDATE provider_services
    SET name = item.name, type = item.type, category = item.category, rate_micros = item.rate,
        approved_rate_micros = item.approved, min_quantity = item.min, max_quantity = item.max,
        refill = item.refill, cancel = item.cancel, dripfeed = item.dripfeed, seen_at = :now,
        changed_at = :now, missing_since = NULL, gone_at = NULL
    FROM {_ITEMS}
    WHERE provider_id = :provider_id AND provider_service = item.service
    """  # noqa: S608 - the constant above
)


async def insert(
    session: Session, provider_id: UUID, found: Sequence[Known], *, now: datetime
) -> None:
    await _INSERT.rows(session, provider_id=provider_id, now=now, **_columns(found))


async def update(
    session: Session, provider_id: UUID, found: Sequence[Known], *, now: datetime
) -> None:
    """Go by these facts from now on; what is stored is listed, so it is not missing."""
    await _UPDATE.rows(session, provider_id=provider_id, now=now, **_columns(found))


async def change_facts(session: Session, provider_id: UUID, found: Known, *, now: datetime) -> None:
    """Go by these facts because a person says so, listed or not."""
    entry = found.entry
    await session.execute(
        sa_update(ProviderService)
        .where(
            ProviderService.provider_id == provider_id,
            ProviderService.provider_service == entry.service,
        )
        .values(
            type=entry.service_type,
            rate_micros=entry.rate_micros,
            approved_rate_micros=found.approved_rate_micros,
            min_quantity=entry.min,
            max_quantity=entry.max,
            changed_at=now,
        )
    )


def _columns(found: Sequence[Known]) -> dict[str, list[object]]:
    entries = [one.entry for one in found]
    return {
        "services": [entry.service for entry in entries],
        "names": [entry.name for entry in entries],
        "types": [entry.service_type for entry in entries],
        "categories": [entry.category for entry in entries],
        "rates": [entry.rate_micros for entry in entries],
        "approved": [one.approved_rate_micros for one in found],
        "mins": [entry.min for entry in entries],
        "maxs": [entry.max for entry in entries],
        "refills": [entry.refill for entry in entries],
        "cancels": [entry.cancel for entry in entries],
        "dripfeeds": [entry.dripfeed for entry in entries],
    }


_SEEN: Final = Statement(
    """
    UPDATE provider_services SET seen_at = :now, missing_since = NULL
    WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
    """
)
_MISSING: Final = Statement(
    """
    UPDATE provider_services SET missing_since = :since
    WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
    """
)
_GONE: Final = Statement(
    """
    UPDATE provider_services SET gone_at = :now, changed_at = :now
    WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
    """
)


async def note_seen(
    session: Session, provider_id: UUID, services: Collection[str], *, now: datetime
) -> None:
    await _SEEN.rows(session, provider_id=provider_id, services=list(services), now=now)


async def note_missing(
    session: Session, provider_id: UUID, services: Collection[str], *, since: datetime
) -> None:
    await _MISSING.rows(session, provider_id=provider_id, services=list(services), since=since)


async def note_gone(
    session: Session, provider_id: UUID, services: Collection[str], *, now: datetime
) -> None:
    await _GONE.rows(session, provider_id=provider_id, services=list(services), now=now)


_WRITE_HISTORY: Final = Statement(
    """
    INSERT INTO provider_service_changes (provider_id, provider_service, at, what, before, after)
    SELECT :provider_id, service, :now, what, CAST(before AS jsonb), CAST(after AS jsonb)
    FROM unnest(
        CAST(:services AS text[]), CAST(:whats AS text[]), CAST(:befores AS text[]),
        CAST(:afters AS text[])
    ) AS item (service, what, before, after)
    """
)


async def write_history(
    session: Session, provider_id: UUID, verdicts: Sequence[Verdict], *, now: datetime
) -> None:
    """Append the changes of these services."""
    lines = [(verdict.service, change) for verdict in verdicts for change in verdict.changes]
    if not lines:
        return
    await _WRITE_HISTORY.rows(
        session,
        provider_id=provider_id,
        now=now,
        services=[service for service, _ in lines],
        whats=[change.what for _, change in lines],
        befores=[as_json(change.before) for _, change in lines],
        afters=[as_json(change.after) for _, change in lines],
    )


def as_json(facts: Facts) -> str:
    return orjson.dumps(facts).decode()


async def find(session: Session, provider_id: UUID, service: str) -> ProviderService | None:
    found: ProviderService | None = await session.scalar(
        select(ProviderService)
        .where(
            ProviderService.provider_id == provider_id, ProviderService.provider_service == service
        )
        .execution_options(populate_existing=True)
    )
    return found


async def page(
    session: Session,
    *,
    provider_id: UUID | None,
    gone: bool | None,
    after: int | None,
    limit: int,
) -> Sequence[ProviderService]:
    """What came to the mirror last comes first."""
    statement = select(ProviderService).order_by(ProviderService.id.desc()).limit(limit)
    if provider_id is not None:
        statement = statement.where(ProviderService.provider_id == provider_id)
    if gone is not None:
        is_gone = ProviderService.gone_at.is_not(None)
        statement = statement.where(is_gone if gone else ~is_gone)
    if after is not None:
        statement = statement.where(ProviderService.id < after)
    return (await session.scalars(statement)).all()


async def history_page(
    session: Session,
    *,
    provider_id: UUID | None,
    provider_service: str | None,
    after: int | None,
    limit: int,
) -> Sequence[ProviderServiceChange]:
    """Newest first."""
    table = ProviderServiceChange
    statement = select(table).order_by(table.id.desc()).limit(limit)
    if provider_id is not None:
        statement = statement.where(table.provider_id == provider_id)
    if provider_service is not None:
        statement = statement.where(table.provider_service == provider_service)
    if after is not None:
        statement = statement.where(table.id < after)
    return (await session.scalars(statement)).all()
