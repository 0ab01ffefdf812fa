"""Prices that follow costs: which mark-up rule holds for a service, and what it makes of a cost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from app.catalog import price_repository, service
from app.catalog.markup import MarkupRule, markup_basis_points, selling_rate
from app.catalog.price_models import MarkupRuleRow, PriceReason, RuleScope, ServicePrice
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import NotFound
from app.core.logging import get_logger
from app.core.money import AMOUNT_MICROS_MAX, Money, charge_rounded_up, converted_rounded_up
from app.core.uow import now_of
from app.supply import service as supply

SERVICES_AT_ONCE_MAX: Final = 500
DEFAULT_SUBJECT: Final = "default"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule is for."""

    scope: RuleScope
    provider_id: UUID | None = None
    service_id: int | None = None


@dataclass(frozen=True, slots=True)
class NewPrice:
    """A service whose price was changed, from what to what."""

    service_id: int
    before: Money
    after: Money


async def subject_of(session: Session, text: str) -> Subject:
    """`default`, a provider's id or a service's number. Raises NotFound for none that is there."""
    if text == DEFAULT_SUBJECT:
        return Subject(RuleScope.DEFAULT)
    if text.isascii() and text.isdigit() and len(text) <= len(str(2**53)):
        found = await service.get(session, int(text))
        return Subject(RuleScope.SERVICE, service_id=found.id)
    provider = await supply.get_public(session, text)
    return Subject(RuleScope.PROVIDER, provider_id=provider.id)


def public_subject(row: MarkupRuleRow) -> str:
    """What `subject_of` reads."""
    if row.service_id is not None:
        return str(row.service_id)
    if row.provider_id is not None:
        return supply.public_provider_id(row.provider_id)
    return DEFAULT_SUBJECT


async def put_rule(
    session: Session, subject: Subject, rule: MarkupRule, *, automatic: bool
) -> MarkupRuleRow:
    """Let prices follow costs by this rule from the next sync on; not automatic, and the services
    that it is for keep the price that they have, whatever wider rules say.
    """
    await price_repository.put_rule(
        session,
        scope=subject.scope,
        provider_id=subject.provider_id,
        service_id=subject.service_id,
        values={
            "percent_basis_points": rule.percent_basis_points,
            "fixed_micros": rule.fixed.micros,
            "step_micros": rule.step.micros,
            "floor_micros": rule.floor.micros,
            "automatic": automatic,
            "changed_at": now_of(session),
        },
    )
    return await get_rule(session, subject)


async def get_rule(session: Session, subject: Subject) -> MarkupRuleRow:
    row = await price_repository.find_rule(
        session,
        scope=subject.scope,
        provider_id=subject.provider_id,
        service_id=subject.service_id,
    )
    if row is None:
        raise NotFound
    return row


async def remove_rule(session: Session, subject: Subject) -> None:
    """Wider rules hold again. Raises NotFound."""
    row = await get_rule(session, subject)
    await price_repository.remove_rule(session, row.id)


async def rule_page(session: Session, *, after: UUID | None, limit: int) -> Sequence[MarkupRuleRow]:
    return await price_repository.rule_page(session, after=after, limit=limit)


async def rule_for_new(session: Session, provider_id: UUID) -> MarkupRule | None:
    """What would price a new service of this provider, where anything would."""
    for scope, of in ((RuleScope.PROVIDER, provider_id), (RuleScope.DEFAULT, None)):
        row = await price_repository.find_rule(
            session, scope=scope, provider_id=of, service_id=None
        )
        if row is not None:
            return _rule(row) if row.automatic else None
    return None


def _rule(row: Any) -> MarkupRule:
    return MarkupRule(
        percent_basis_points=row.percent_basis_points,
        fixed=Money(row.fixed_micros),
        step=Money(row.step_micros),
        floor=Money(row.floor_micros),
    )


async def reprice(
    session: Session,
    service_ids: Collection[int],
    *,
    by: Actor,
    reason: PriceReason = PriceReason.REPRICED,
) -> list[NewPrice]:
    """Give those of these services that have an automatic rule the price it makes of their cost.

    A cost in a currency without a rate prices nothing. The prices that changed.
    """
    rows = await price_repository.priceable(session, service_ids, now=now_of(session))
    before = {row.id: row.rate_micros for row in rows}
    prices = {price[0]: price for price in map(_price, rows) if price is not None}
    changed = await price_repository.set_rates(
        session, list(prices.values()), reason=reason, actor=str(by), now=now_of(session)
    )
    return [NewPrice(one, Money(before[one]), Money(prices[one][1])) for one in changed]


def _price(row: Any) -> tuple[int, int, int, int] | None:
    """Number, rate, mark-up and cost of a service whose rate is to change."""
    if row.to_ours_micros is None:
        return None
    cost = converted_rounded_up(Money(row.cost_micros), rate_micros=row.to_ours_micros)
    rate = selling_rate(cost, _rule(row))
    if rate.micros == row.rate_micros:
        return None
    largest = charge_rounded_up(rate=rate, price_unit=row.price_unit, quantity=row.max_quantity)
    if max(largest, cost).micros > AMOUNT_MICROS_MAX:
        # What costs more than the old price by now is refused when it is ordered.
        log.warning("price_too_large_to_write", service_id=row.id)
        return None
    return row.id, rate.micros, markup_basis_points(rate=rate, cost=cost), cost.micros


async def reprice_some(
    session: Session, provider_id: UUID | None, *, after: int, by: Actor
) -> tuple[int | None, list[NewPrice]]:
    """Reprice the next services with a route to this provider, or to any.

    The number to go on after, None at the end, and the prices that changed.
    """
    ids = await price_repository.services_over(
        session, provider_id, after=after, limit=SERVICES_AT_ONCE_MAX
    )
    changed = await reprice(session, ids, by=by)
    return (ids[-1] if len(ids) == SERVICES_AT_ONCE_MAX else None), changed


async def price_page(
    session: Session, service_id: int, *, after: int | None, limit: int
) -> Sequence[ServicePrice]:
    """Every price that a service had, newest first. Raises NotFound for no service."""
    await service.get(session, service_id)
    return await price_repository.price_page(session, service_id, after=after, limit=limit)
