"""The SQL of findings, and of the routes that are closed while one stands."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import exists, func, select, update

from app.catalog.comparison import Verdict
from app.catalog.mirror_models import Finding, FindingState
from app.catalog.mirror_repository import as_json
from app.catalog.models import Route, Service
from app.core.db import Session
from app.core.ids import new_id
from app.core.statements import Statement

_STANDS: Final = (FindingState.OPEN, FindingState.REJECTED)

_OPEN: Final = Statement(
    """
    INSERT INTO catalogue_findings (
        id, provider_id, provider_service, kind, before, after, state, opened_at)
    SELECT id, :provider_id, service, kind, CAST(before AS jsonb), CAST(after AS jsonb), 'open',
           :now
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:services AS text[]), CAST(:kinds AS text[]),
        CAST(:befores AS text[]), CAST(:afters AS text[])
    ) AS item (id, service, kind, before, after)
    """
)
_WITHDRAW: Final = Statement(
    """
    UPDATE catalogue_findings SET state = 'withdrawn', withdrawn_at = :now
    WHERE id = ANY(CAST(:ids AS uuid[])) AND state IN ('open', 'rejected')
    """
)


async def open_findings(
    session: Session, provider_id: UUID, verdicts: Sequence[Verdict], *, now: datetime
) -> None:
    """Open what waits for an operator; findings in their place are withdrawn before."""
    found = [(verdict.service, opening) for verdict in verdicts for opening in verdict.opened]
    if not found:
        return
    await _OPEN.rows(
        session,
        provider_id=provider_id,
        now=now,
        ids=[new_id() for _ in found],
        services=[service for service, _ in found],
        kinds=[opening.kind for _, opening in found],
        befores=[as_json(opening.before) for _, opening in found],
        afters=[as_json(opening.after) for _, opening in found],
    )


async def withdraw_findings(session: Session, ids: Sequence[UUID], *, now: datetime) -> None:
    if ids:
        await _WITHDRAW.rows(session, ids=list(ids), now=now)


_CLOSE: Final = Statement(
    """
    UPDATE service_routes r SET state = 'closed', closed_reason = standing.reason
    FROM (
        SELECT provider_service,
               CASE WHEN bool_or(state = 'open') THEN 'quarantine' ELSE 'rejected' END AS reason
        FROM catalogue_findings
        WHERE provider_id = :provider_id AND provider_service = ANY(CAST(:services AS text[]))
          AND state IN ('open', 'rejected')
        GROUP BY provider_service
    ) AS standing
    WHERE r.provider_id = :provider_id AND r.provider_service = standing.provider_service
      AND (r.state = 'open' OR (
          r.closed_reason IN ('quarantine', 'rejected') AND r.closed_reason <> standing.reason))
    """
)
_REOPEN: Final = Statement(
    """
    UPDATE service_routes r SET state = 'open', closed_reason = NULL
    WHERE r.provider_id = :provider_id AND r.provider_service = ANY(CAST(:services AS text[]))
      AND r.state = 'closed' AND r.closed_reason IN ('quarantine', 'rejected')
      AND NOT EXISTS (
          SELECT 1 FROM catalogue_findings f
          WHERE f.provider_id = r.provider_id AND f.provider_service = r.provider_service
            AND f.state IN ('open', 'rejected'))
    """
)


async def settle_routes(session: Session, provider_id: UUID, services: Collection[str]) -> None:
    """Close the routes over what stands in quarantine or was rejected, reopen those it is over for.

    A route that was closed for another reason stays closed.
    """
    asked = {"provider_id": provider_id, "services": list(services)}
    await _CLOSE.rows(session, **asked)
    await _REOPEN.rows(session, **asked)


async def stands(session: Session, provider_id: UUID, provider_service: str) -> bool:
    """Whether a finding on this service is open or was rejected."""
    standing = exists().where(
        Finding.provider_id == provider_id,
        Finding.provider_service == provider_service,
        Finding.state.in_(_STANDS),
    )
    return bool(await session.scalar(select(standing)))


async def find(session: Session, finding_id: UUID) -> Finding | None:
    return await session.get(Finding, finding_id, populate_existing=True)


async def lock(session: Session, finding_id: UUID) -> Finding | None:
    found: Finding | None = await session.scalar(
        select(Finding)
        .where(Finding.id == finding_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found


async def decide(
    session: Session,
    finding_id: UUID,
    state: FindingState,
    *,
    by: str,
    note: str | None,
    now: datetime,
) -> None:
    await session.execute(
        update(Finding)
        .where(Finding.id == finding_id)
        .values(state=state, decided_at=now, decided_by=by, note=note)
    )


async def page(
    session: Session,
    *,
    provider_id: UUID | None,
    state: FindingState | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Finding]:
    """Newest first."""
    statement = select(Finding).order_by(Finding.id.desc()).limit(limit)
    if provider_id is not None:
        statement = statement.where(Finding.provider_id == provider_id)
    if state is not None:
        statement = statement.where(Finding.state == state)
    if after is not None:
        statement = statement.where(Finding.id < after)
    return (await session.scalars(statement)).all()


async def open_counts(session: Session) -> dict[tuple[UUID, str], int]:
    """How many findings are open, by provider and kind."""
    rows = await session.execute(
        select(Finding.provider_id, Finding.kind, func.count())
        .where(Finding.state == FindingState.OPEN)
        .group_by(Finding.provider_id, Finding.kind)
    )
    return {(provider_id, kind): count for provider_id, kind, count in rows}


async def sold_over(
    session: Session, provider_id: UUID, provider_service: str, *, limit: int
) -> Sequence[Service]:
    """The services of ours that have a route over this one, by their numbers."""
    return (
        await session.scalars(
            select(Service)
            .where(
                exists().where(
                    Route.service_id == Service.id,
                    Route.provider_id == provider_id,
                    Route.provider_service == provider_service,
                )
            )
            .order_by(Service.id)
            .limit(limit)
            .execution_options(populate_existing=True)
        )
    ).all()


_CLOSE_MISFITS: Final = Statement(
    """
    UPDATE service_routes r SET state = 'closed', closed_reason = 'type_changed'
    FROM services s
    WHERE r.provider_id = :provider_id AND r.provider_service = :provider_service
      AND s.id = r.service_id AND s.type IS DISTINCT FROM CAST(:type AS text)
      AND (r.state = 'open' OR r.closed_reason IN ('quarantine', 'rejected'))
    """
)
_CLOSE_VANISHED: Final = Statement(
    """
    UPDATE service_routes SET state = 'closed', closed_reason = 'vanished'
    WHERE provider_id = :provider_id AND provider_service = :provider_service
      AND (state = 'open' OR closed_reason IN ('quarantine', 'rejected'))
    """
)


async def close_misfits(
    session: Session, provider_id: UUID, provider_service: str, *, type_now: str | None
) -> None:
    """Close the routes whose service is of another type than what the provider sells now."""
    await _CLOSE_MISFITS.rows(
        session, provider_id=provider_id, provider_service=provider_service, type=type_now
    )


async def close_vanished(session: Session, provider_id: UUID, provider_service: str) -> None:
    """Close the routes to what the provider sells no more, until an operator opens them."""
    await _CLOSE_VANISHED.rows(session, provider_id=provider_id, provider_service=provider_service)
