"""The SQL of syncs: their runs, how far prices may move by themselves, and who is to be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.catalog.mirror_models import ProviderService, SyncOutcome, SyncRule, SyncRun
from app.catalog.models import Route
from app.core.db import Session
from app.core.statements import Statement

_UNPROMISED: Final = Statement(
    """
    SELECT p.id FROM providers p
    WHERE p.state = 'active' AND NOT EXISTS (
        SELECT 1 FROM work w WHERE w.kind = :kind AND w.ref = CAST(p.id AS text))
    LIMIT :limit
    """
)


async def providers_without(session: Session, kind: str, *, limit: int) -> list[UUID]:
    """Active providers for which no work of this kind is promised."""
    return [row.id for row in await _UNPROMISED.rows(session, kind=kind, limit=limit)]


async def begin(session: Session, run_id: UUID, provider_id: UUID, *, now: datetime) -> bool:
    """False while another run of this provider has not ended."""
    statement = insert(SyncRun).values(
        id=run_id, provider_id=provider_id, started_at=now, counts={}
    )
    made = await session.execute(
        statement.on_conflict_do_nothing(
            index_elements=["provider_id"], index_where=SyncRun.ended_at.is_(None)
        ).returning(SyncRun.id)
    )
    return made.first() is not None


async def give_up_lost(
    session: Session, provider_id: UUID, *, begun_before: datetime, why: str, now: datetime
) -> None:
    """End a run whose worker died."""
    await session.execute(
        update(SyncRun)
        .where(
            SyncRun.provider_id == provider_id,
            SyncRun.ended_at.is_(None),
            SyncRun.started_at < begun_before,
        )
        .values(ended_at=now, outcome=SyncOutcome.FAILED, why=why)
    )


async def lock_running(session: Session, run_id: UUID) -> SyncRun | None:
    """The run, unless it has ended."""
    found: SyncRun | None = await session.scalar(
        select(SyncRun).where(SyncRun.id == run_id, SyncRun.ended_at.is_(None)).with_for_update()
    )
    return found


async def end(
    session: Session,
    run_id: UUID,
    outcome: SyncOutcome,
    *,
    why: str | None,
    counts: Mapping[str, int],
    now: datetime,
) -> None:
    await session.execute(
        update(SyncRun)
        .where(SyncRun.id == run_id, SyncRun.ended_at.is_(None))
        .values(ended_at=now, outcome=outcome, why=why, counts=dict(counts))
    )


async def page(
    session: Session, *, provider_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[SyncRun]:
    """Newest first."""
    statement = select(SyncRun).order_by(SyncRun.id.desc()).limit(limit)
    if provider_id is not None:
        statement = statement.where(SyncRun.provider_id == provider_id)
    if after is not None:
        statement = statement.where(SyncRun.id < after)
    return (await session.scalars(statement)).all()


async def last_successes(session: Session) -> Mapping[UUID, datetime]:
    """When each provider was last synced without fault."""
    rows = await session.execute(
        select(SyncRun.provider_id, func.max(SyncRun.ended_at))
        .where(SyncRun.outcome == SyncOutcome.OK)
        .group_by(SyncRun.provider_id)
    )
    return {provider_id: ended_at for provider_id, ended_at in rows if ended_at is not None}


async def drifts(session: Session) -> Mapping[UUID, float]:
    """By provider, how far the prices that we buy at stand from what a person last saw, at most."""
    mirror = ProviderService
    drift = func.abs(mirror.rate_micros - mirror.approved_rate_micros) / func.greatest(
        mirror.approved_rate_micros, 1.0
    )
    rows = await session.execute(
        select(mirror.provider_id, func.max(drift))
        .where(
            mirror.gone_at.is_(None),
            exists().where(
                Route.provider_id == mirror.provider_id,
                Route.provider_service == mirror.provider_service,
                Route.state == "open",
            ),
        )
        .group_by(mirror.provider_id)
    )
    return {provider_id: float(most) for provider_id, most in rows}


async def find_rule(session: Session, provider_id: UUID) -> SyncRule | None:
    return await session.get(SyncRule, provider_id, populate_existing=True)


async def put_rule(
    session: Session, provider_id: UUID, *, price_jump_basis_points: int, now: datetime
) -> None:
    values = {"price_jump_basis_points": price_jump_basis_points, "changed_at": now}
    statement = insert(SyncRule).values(provider_id=provider_id, **values)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["provider_id"], set_=values)
    )
