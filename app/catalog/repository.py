"""The SQL of services, attestations and routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select, update

from app.catalog.models import Attestation, Route, Service, ServiceState
from app.core.db import Session
from app.core.statements import Row, Statement

# One round trip prices an order: the service, whether it may be sold, and where it may go.
_OFFERS: Final = Statement(
    """
    SELECT s.id, s.name, s.platform, s.kind, s.type,
           s.min_quantity, s.max_quantity, s.rate_micros, s.price_unit,
           s.markup_basis_points, s.package_units, s.below_cost_allowed,
           s.tier, s.deliver_hours_min, s.deliver_hours_max, s.bulk_units, s.bulk_hours,
           s.state, s.routing, s.busy_link,
           r.id AS route_id, r.provider_id, r.provider_service, r.cost_micros, r.link_exclusive,
           p.adapter, p.currency, p.simulated, p.state AS provider_state, p.pause_reason,
           p.breaker_open_until,
           CASE WHEN p.currency = i.currency THEN 1000000 ELSE (
               SELECT x.rate_micros FROM exchange_rates x
               WHERE x.currency = p.currency AND x.valid_from <= :now
               ORDER BY x.valid_from DESC LIMIT 1) END AS rate_to_ours_micros
    FROM services s
    CROSS JOIN installation i
    LEFT JOIN service_routes r ON r.service_id = s.id AND r.state = 'open'
    LEFT JOIN providers p ON p.id = r.provider_id
    WHERE s.id = ANY(:ids) AND EXISTS (
        SELECT 1 FROM service_attestations a WHERE a.service_id = s.id AND a.withdrawn_at IS NULL)
    ORDER BY s.id, r.priority, r.cost_micros, r.id
    """
)


async def offers(session: Session, ids: Sequence[int], *, now: datetime) -> Sequence[Row]:
    """A row per open route of each attested service, by priority."""
    return await _OFFERS.rows(session, ids=list(ids), now=now)


async def find(session: Session, service_id: int) -> Service | None:
    return await session.get(Service, service_id, populate_existing=True)


async def lock(session: Session, service_id: int) -> Service | None:
    """For a change: orders may be placed meanwhile."""
    found: Service | None = await session.scalar(
        select(Service)
        .where(Service.id == service_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found


def _attested() -> Any:
    return exists().where(Attestation.service_id == Service.id, Attestation.withdrawn_at.is_(None))


async def on_sale_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    """Attested services on sale, newest first."""
    statement = (
        select(Service)
        .where(Service.state == ServiceState.ON_SALE, _attested())
        .order_by(Service.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(Service.id < after)
    return (await session.scalars(statement)).all()


async def find_on_sale(session: Session, service_id: int) -> Service | None:
    found: Service | None = await session.scalar(
        select(Service).where(
            Service.id == service_id, Service.state == ServiceState.ON_SALE, _attested()
        )
    )
    return found


async def every_page(session: Session, *, after: int | None, limit: int) -> Sequence[Service]:
    """All services, newest first, for operators."""
    statement = select(Service).order_by(Service.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(Service.id < after)
    return (await session.scalars(statement)).all()


async def change(session: Session, service_id: int, values: dict[str, Any]) -> None:
    await session.execute(update(Service).where(Service.id == service_id).values(values))


async def forget_estimates(session: Session, *, besides: Sequence[int]) -> None:
    await session.execute(
        update(Service)
        .where(Service.delivered_p50_seconds.is_not(None), Service.id.not_in(besides))
        .values(delivered_p50_seconds=None, delivered_p90_seconds=None)
    )


async def find_attestation(session: Session, service_id: int) -> Attestation | None:
    found: Attestation | None = await session.scalar(
        select(Attestation).where(
            Attestation.service_id == service_id, Attestation.withdrawn_at.is_(None)
        )
    )
    return found


async def withdraw_attestation(session: Session, service_id: int, *, now: datetime) -> None:
    await session.execute(
        update(Attestation)
        .where(Attestation.service_id == service_id, Attestation.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )


async def routes_of(session: Session, service_id: int, *, limit: int) -> Sequence[Route]:
    """By priority, then cost."""
    return (
        await session.scalars(
            select(Route)
            .where(Route.service_id == service_id)
            .order_by(Route.priority, Route.cost_micros, Route.id)
            .limit(limit)
        )
    ).all()


async def insert_route(session: Session, route: Route) -> bool:
    """False when the service has that route already."""
    twin = exists().where(
        Route.service_id == route.service_id,
        Route.provider_id == route.provider_id,
        Route.provider_service == route.provider_service,
    )
    if await session.scalar(select(twin)):
        return False
    session.add(route)
    await session.flush()
    return True


async def find_route(session: Session, service_id: int, route_id: UUID) -> Route | None:
    found: Route | None = await session.scalar(
        select(Route).where(Route.id == route_id, Route.service_id == service_id)
    )
    return found


async def change_route(session: Session, route_id: UUID, values: dict[str, Any]) -> None:
    await session.execute(update(Route).where(Route.id == route_id).values(values))


_END_SALE: Final = Statement(
    """
    UPDATE services s SET state = 'off_sale'
    FROM service_routes closed
    WHERE closed.id = :route_id AND s.id = closed.service_id AND s.state = 'on_sale'
      AND NOT EXISTS (
          SELECT 1 FROM service_routes r WHERE r.service_id = s.id AND r.state = 'open')
    RETURNING s.id
    """
)


async def end_sale_without_routes(session: Session, route_id: UUID) -> list[int]:
    """Take the service of this route off sale if none of its routes is open; its id, if so."""
    return [row.id for row in await _END_SALE.rows(session, route_id=route_id)]
