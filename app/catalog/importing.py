"""Taking services of a provider into our catalogue: off sale, routed and priced by a rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.catalog import finding_repository, mirror_repository, repricing, service, service_routes
from app.catalog.markup import MarkupRule, markup_basis_points, selling_rate
from app.catalog.mirror_models import ProviderService
from app.catalog.models import Service
from app.catalog.price_models import RuleScope
from app.catalog.quarantine import sellable_bounds
from app.catalog.repricing import Subject
from app.catalog.windows import HOURS, Tier
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput
from app.core.ids import parse_public_id
from app.core.money import Money, converted_rounded_up
from app.providers.forms import FORMS, ServiceType, Unit, type_of_wire
from app.supply import service as supply
from app.supply.models import Provider

PRIORITY: Final = 100
NAME_CHARS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """One service of a provider, and what it is to be in our catalogue."""

    provider_id: str
    provider_service: str
    platform: str
    kind: str
    tier: str
    name: str | None = None
    category: str | None = None
    rule: MarkupRule | None = None
    """A rule of its own; without one that of its provider holds, or the default."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """What an import needs to know, found."""

    wanted: Wanted
    provider: Provider
    found: ProviderService
    type: ServiceType
    rule: MarkupRule
    cost: Money
    """Of a price unit, in our currency."""


class _CannotImport(Exception):
    """The field at fault of one item, and the rule that it breaks."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(rule)
        self.field = field
        self.rule = rule


async def import_services(
    session: Session, wanted: Sequence[Wanted], *, selling_currency: str, by: Actor
) -> list[Service]:
    """Make a service of ours, with its route, of each: all of them, or none.

    They are off sale until they are attested and put on sale. Raises InvalidInput naming each item
    that cannot be taken, and why.
    """
    ready: list[_Ready] = []
    problems: list[FieldProblem] = []
    taken: set[tuple[str, str]] = set()
    for number, one in enumerate(wanted):
        try:
            _note_once(one, taken)
            ready.append(await _prepare(session, one, selling_currency))
        except _CannotImport as trouble:
            problems.append(FieldProblem(f"/services/{number}/{trouble.field}", trouble.rule))
    if problems:
        raise InvalidInput(errors=tuple(problems))
    return [await _make(session, one, by) for one in ready]


def _note_once(wanted: Wanted, taken: set[tuple[str, str]]) -> None:
    this = (wanted.provider_id, wanted.provider_service)
    if this in taken:
        raise _CannotImport("provider_service", "is named twice")
    taken.add(this)


async def _prepare(session: Session, wanted: Wanted, selling_currency: str) -> _Ready:
    provider_id = parse_public_id(supply.PREFIX, wanted.provider_id)
    if provider_id:
        # Whoever imports it at this moment has its row.
        await mirror_repository.lock_known(session, provider_id, [wanted.provider_service])
    found = provider_id and await mirror_repository.find(
        session, provider_id, wanted.provider_service
    )
    if not found or found.gone_at is not None:
        raise _CannotImport("provider_service", "is nothing that this provider sells")
    if await finding_repository.stands(session, found.provider_id, found.provider_service):
        raise _CannotImport("provider_service", "waits for a decision on a finding")
    if await finding_repository.sold_over(
        session, found.provider_id, found.provider_service, limit=1
    ):
        raise _CannotImport("provider_service", "is routed to already")
    our_type = type_of_wire(found.type)
    if our_type is None:
        raise _CannotImport("provider_service", f"is of a type that we do not sell: {found.type}")
    _refuse_unsellable(found, our_type)
    provider = await supply.get(session, found.provider_id)
    if not supply.takes(provider.adapter, our_type):
        raise _CannotImport("provider_service", f"is of a type that it cannot take: {our_type}")
    rule = wanted.rule or await repricing.rule_for_new(session, found.provider_id)
    if rule is None:
        raise _CannotImport("markup", "is needed: no rule holds for this provider")
    to_ours = await supply.rate_to_ours(session, provider.currency, selling_currency)
    if to_ours is None:
        raise _CannotImport("provider_id", f"bills in {provider.currency}, which has no rate yet")
    cost = converted_rounded_up(Money(found.rate_micros), rate_micros=to_ours)
    return _Ready(wanted, provider, found, our_type, rule, cost)


def _refuse_unsellable(found: ProviderService, our_type: ServiceType) -> None:
    least, most = found.min_quantity, found.max_quantity
    low, high = sellable_bounds(least, most)
    if FORMS[our_type].billable is not Unit.ONE and not least <= low <= high <= most:
        rule = f"takes {least} to {most}, which is nothing that can be sold"
        raise _CannotImport("provider_service", rule)


async def _make(session: Session, ready: _Ready, by: Actor) -> Service:
    made = await service.create(session, _columns(ready), by=by)
    await service_routes.add_route(
        session,
        made.id,
        provider_id=ready.provider.id,
        provider_service=ready.found.provider_service,
        cost=Money(ready.found.rate_micros),
        priority=PRIORITY,
    )
    if ready.wanted.rule is not None:
        subject = Subject(RuleScope.SERVICE, service_id=made.id)
        await repricing.put_rule(session, subject, ready.wanted.rule, automatic=True)
    return made


def _columns(ready: _Ready) -> dict[str, Any]:
    found, wanted = ready.found, ready.wanted
    by_piece = FORMS[ready.type].billable is Unit.ONE
    rate = selling_rate(ready.cost, ready.rule)
    hours_min, hours_max = HOURS[Tier(wanted.tier)]
    bounds = (1, 1) if by_piece else sellable_bounds(found.min_quantity, found.max_quantity)
    return {
        "name": wanted.name or _line(found.name) or f"Service {found.provider_service}",
        "description": "",
        "category": wanted.category or _line(found.category) or wanted.platform,
        "platform": wanted.platform,
        "kind": wanted.kind,
        "type": ready.type,
        "tier": wanted.tier,
        "min_quantity": bounds[0],
        "max_quantity": bounds[1],
        "rate_micros": rate.micros,
        "price_unit": 1 if by_piece else 1000,
        "markup_basis_points": markup_basis_points(rate=rate, cost=ready.cost),
        "package_units": None,
        "below_cost_allowed": False,
        "outreach_allowed": False,
        "refill": found.refill,
        "cancel": found.cancel,
        "deliver_hours_min": hours_min,
        "deliver_hours_max": hours_max,
        "risk_notice": "",
    }


def _line(text: str) -> str:
    """A provider's words on one line, as long as ours may be."""
    return " ".join(text.split())[:NAME_CHARS_MAX].strip()
