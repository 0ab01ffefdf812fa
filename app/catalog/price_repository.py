"""The SQL of prices: mark-up rules, what they apply to, and the history of what things sold for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from app.catalog.price_models import MarkupRuleRow, PriceReason, RuleScope, ServicePrice
from app.core.db import Session
from app.core.ids import new_id
from app.core.statements import Row, Statement

_SET_COSTS: Final = Statement(
    """
    UPDATE service_routes r SET cost_micros = item.cost
    FROM unnest(CAST(:services AS text[]), CAST(:costs AS bigint[])) AS item (service, cost)
    WHERE r.provider_id = :provider_id AND r.provider_service = item.service
      AND r.cost_micros <> item.cost
    RETURNING r.service_id
    """
)
# What a service is priced by: the route that orders take first, by priority or by its cost in ours,
# also while it is in quarantine, so that waiting for an operator moves no price. Below, its rule.
_PRICED_BY: Final = """
    services s
    CROSS JOIN installation i
    JOIN LATERAL (
        SELECT r.provider_id, r.cost_micros, exchange.to_ours_micros
        FROM service_routes r
        JOIN providers p ON p.id = r.provider_id
        CROSS JOIN LATERAL (
            SELECT CASE WHEN p.currency = i.currency THEN 1000000 ELSE (
                SELECT x.rate_micros FROM exchange_rates x
                WHERE x.currency = p.currency AND x.valid_from <= :now
                ORDER BY x.valid_from DESC LIMIT 1) END AS to_ours_micros
        ) AS exchange
        WHERE r.service_id = s.id AND (r.state = 'open' OR r.closed_reason = 'quarantine')
        ORDER BY CASE WHEN s.routing = 'cost'
                     THEN CAST(r.cost_micros AS numeric) * exchange.to_ours_micros END,
                 r.priority, r.cost_micros, r.id
        LIMIT 1
    ) AS route ON true"""
_PRICEABLE: Final = Statement(
    f"""
    SELECT s.id, s.rate_micros, s.price_unit, s.max_quantity, route.cost_micros,
           route.to_ours_micros, rule.percent_basis_points, rule.fixed_micros,
           rule.step_micros, rule.floor_micros
    FROM {_PRICED_BY}
    JOIN LATERAL (
        SELECT m.percent_basis_points, m.fixed_micros, m.step_micros, m.floor_micros, m.automatic
        FROM markup_rules m
        WHERE m.service_id = s.id OR m.provider_id = route.provider_id OR m.scope = 'default'
        ORDER BY CASE m.scope WHEN 'service' THEN 1 WHEN 'provider' THEN 2 ELSE 3 END LIMIT 1
    ) AS rule ON rule.automatic
    WHERE s.id = ANY(CAST(:ids AS bigint[]))
    ORDER BY s.id
    """  # noqa: S608 - the constant above
)
_BELOW_COST: Final = Statement(
    f"""
    SELECT count(*) AS count FROM {_PRICED_BY}
    WHERE s.state = 'on_sale' AND NOT s.below_cost_allowed
      AND s.rate_micros < ceil(CAST(route.cost_micros AS numeric) * route.to_ours_micros / 1000000)
    """  # noqa: S608 - the constant above
)
_SET_RATES: Final = Statement(
    """
    WITH changed AS (
        UPDATE services s SET rate_micros = item.rate, markup_basis_points = item.markup
        FROM unnest(
            CAST(:ids AS bigint[]), CAST(:rates AS bigint[]), CAST(:markups AS integer[]),
            CAST(:costs AS bigint[])
        ) AS item (id, rate, markup, cost)
        WHERE s.id = item.id AND s.rate_micros <> item.rate
        RETURNING s.id, item.rate, item.cost
    )
    INSERT INTO service_prices (service_id, at, rate_micros, cost_micros, reason, actor)
    SELECT id, :now, rate, cost, :reason, :actor FROM changed ORDER BY id
    RETURNING service_id
    """
)
_SERVICES_OVER: Final = Statement(
    """
    SELECT DISTINCT service_id FROM service_routes
    WHERE service_id > :after
      AND (CAST(:provider_id AS uuid) IS NULL OR provider_id = CAST(:provider_id AS uuid))
    ORDER BY service_id LIMIT :limit
    """
)


async def set_costs(session: Session, provider_id: UUID, costs: Mapping[str, int]) -> set[int]:
    """What routes over these services cost from now on; the services of ours that it concerns."""
    if not costs:
        return set()
    rows = await _SET_COSTS.rows(
        session, provider_id=provider_id, services=list(costs), costs=list(costs.values())
    )
    return {row.service_id for row in rows}


async def services_over(
    session: Session, provider_id: UUID | None, *, after: int, limit: int
) -> list[int]:
    """The numbers of our services with a route to this provider, or to any, in order."""
    rows = await _SERVICES_OVER.rows(session, provider_id=provider_id, after=after, limit=limit)
    return [row.service_id for row in rows]


async def priceable(session: Session, ids: Collection[int], *, now: datetime) -> Sequence[Row]:
    """Those of these services that have an open route and an automatic rule, with both."""
    return await _PRICEABLE.rows(session, ids=list(ids), now=now)


async def below_cost_count(session: Session, *, now: datetime) -> int:
    """How many services on sale cost more by their first route than they sell for."""
    [row] = await _BELOW_COST.rows(session, now=now)
    count: int = row.count
    return count


async def set_rates(
    session: Session,
    prices: Sequence[tuple[int, int, int, int]],
    *,
    reason: PriceReason,
    actor: str,
    now: datetime,
) -> list[int]:
    """Give services a rate and a mark-up, with the cost behind it; those whose rate is new."""
    if not prices:
        return []
    ids, rates, markups, costs = (list(column) for column in zip(*prices, strict=True))
    rows = await _SET_RATES.rows(
        session,
        ids=ids,
        rates=rates,
        markups=markups,
        costs=costs,
        reason=reason,
        actor=actor,
        now=now,
    )
    return sorted(row.service_id for row in rows)


async def append_price(
    session: Session, service_id: int, rate_micros: int, *, reason: str, actor: str, now: datetime
) -> None:
    """A price that a person set."""
    await session.execute(
        insert(ServicePrice).values(
            service_id=service_id, at=now, rate_micros=rate_micros, reason=reason, actor=actor
        )
    )


async def price_page(
    session: Session, service_id: int, *, after: int | None, limit: int
) -> Sequence[ServicePrice]:
    """Newest first."""
    statement = (
        select(ServicePrice)
        .where(ServicePrice.service_id == service_id)
        .order_by(ServicePrice.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(ServicePrice.id < after)
    return (await session.scalars(statement)).all()


async def put_rule(
    session: Session,
    *,
    scope: RuleScope,
    provider_id: UUID | None,
    service_id: int | None,
    values: Mapping[str, object],
) -> None:
    """The rule of this scope from now on."""
    statement = insert(MarkupRuleRow).values(
        id=new_id(), scope=scope, provider_id=provider_id, service_id=service_id, **values
    )
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["scope", "provider_id", "service_id"], set_=dict(values)
        )
    )


async def find_rule(
    session: Session, *, scope: RuleScope, provider_id: UUID | None, service_id: int | None
) -> MarkupRuleRow | None:
    found: MarkupRuleRow | None = await session.scalar(
        select(MarkupRuleRow)
        .where(
            MarkupRuleRow.scope == scope,
            MarkupRuleRow.provider_id.is_not_distinct_from(provider_id),
            MarkupRuleRow.service_id.is_not_distinct_from(service_id),
        )
        .execution_options(populate_existing=True)
    )
    return found


async def remove_rule(session: Session, rule_id: UUID) -> None:
    await session.execute(delete(MarkupRuleRow).where(MarkupRuleRow.id == rule_id))


async def rule_page(session: Session, *, after: UUID | None, limit: int) -> Sequence[MarkupRuleRow]:
    """Newest first."""
    statement = select(MarkupRuleRow).order_by(MarkupRuleRow.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(MarkupRuleRow.id < after)
    return (await session.scalars(statement)).all()
