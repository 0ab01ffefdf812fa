"""An operator's word on findings: believe what a provider says, or keep its routes closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from app.catalog import (
    finding_repository,
    mirror_repository,
    price_repository,
    repricing,
    service,
    service_routes,
)
from app.catalog.comparison import (
    Change,
    Facts,
    FindingKind,
    Known,
    Verdict,
    What,
    with_facts,
)
from app.catalog.errors import FindingDecided, NothingToAccept
from app.catalog.mirror_models import Finding, FindingState
from app.catalog.models import Service
from app.catalog.price_models import PriceReason
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import NotFound
from app.core.ids import parse_public_id, public_id
from app.core.uow import now_of
from app.providers.forms import type_of_wire

FINDING_PREFIX: Final = "fnd"
SERVICES_OVER_ONE_MAX: Final = 1_000
_QUANTITY_MAX: Final = 100_000_000

_HISTORY: Final = {
    FindingKind.PRICE_JUMP: What.PRICE,
    FindingKind.BOUNDS: What.BOUNDS,
    FindingKind.TYPE: What.TYPE,
}


def public_finding_id(finding_id: UUID) -> str:
    return public_id(FINDING_PREFIX, finding_id)


async def accept(session: Session, text: str, *, by: Actor, note: str | None) -> Finding:
    """Believe the provider: its new facts hold, and the routes over its service open again.

    A service that is gone keeps its routes closed, and so does one of another type than ours.
    Raises FindingDecided, and NothingToAccept for an id that is listed more than once.
    """
    finding = await _lock(session, text)
    if finding.state not in {FindingState.OPEN, FindingState.REJECTED}:
        raise FindingDecided
    kind = FindingKind(finding.kind)
    if kind is FindingKind.DUPLICATED:
        raise NothingToAccept
    await _decide(session, finding, FindingState.ACCEPTED, by=by, note=note)
    if kind is FindingKind.VANISHED:
        await finding_repository.close_vanished(
            session, finding.provider_id, finding.provider_service
        )
    else:
        await _take_over(session, finding, kind, by)
    return await _get(session, finding.id)


async def reject(session: Session, text: str, *, by: Actor, note: str | None) -> Finding:
    """Keep the routes closed for as long as the provider says the same. Raises FindingDecided."""
    finding = await _lock(session, text)
    if finding.state != FindingState.OPEN:
        raise FindingDecided
    await _decide(session, finding, FindingState.REJECTED, by=by, note=note)
    await finding_repository.settle_routes(session, finding.provider_id, [finding.provider_service])
    return await _get(session, finding.id)


async def page(
    session: Session,
    *,
    provider_id: UUID | None,
    state: FindingState | None,
    after: UUID | None,
    limit: int,
) -> Sequence[Finding]:
    """Findings, newest first."""
    return await finding_repository.page(
        session, provider_id=provider_id, state=state, after=after, limit=limit
    )


async def _lock(session: Session, text: str) -> Finding:
    """The mirror's row is locked before the finding, as a sync does."""
    finding_id = parse_public_id(FINDING_PREFIX, text)
    seen = finding_id and await finding_repository.find(session, finding_id)
    if not seen:
        raise NotFound
    await mirror_repository.lock_known(session, seen.provider_id, [seen.provider_service])
    finding = await finding_repository.lock(session, seen.id)
    if finding is None:
        raise NotFound
    return finding


async def _get(session: Session, finding_id: UUID) -> Finding:
    finding = await finding_repository.find(session, finding_id)
    if finding is None:
        raise NotFound
    return finding


async def _decide(
    session: Session, finding: Finding, state: FindingState, *, by: Actor, note: str | None
) -> None:
    await finding_repository.decide(
        session, finding.id, state, by=str(by), note=note, now=now_of(session)
    )


async def _take_over(session: Session, finding: Finding, kind: FindingKind, by: Actor) -> None:
    """Go by the finding's facts: in the mirror, in what routes cost, in what we sell."""
    provider_id, name, now = finding.provider_id, finding.provider_service, now_of(session)
    known = (await mirror_repository.lock_known(session, provider_id, [name]))[name]
    believed = _believing(known, kind, finding.after)
    change = Change(_HISTORY[kind], finding.before, finding.after)
    verdict = Verdict(name, known=believed, changes=(change,))
    await mirror_repository.change_facts(session, provider_id, believed, now=now)
    await mirror_repository.write_history(session, provider_id, [verdict], now=now)
    await finding_repository.settle_routes(session, provider_id, [name])
    match kind:
        case FindingKind.PRICE_JUMP:
            costs = {name: believed.entry.rate_micros}
            concerned = await price_repository.set_costs(session, provider_id, costs)
            await repricing.reprice(session, concerned, by=by, reason=PriceReason.ACCEPTED)
        case FindingKind.BOUNDS:
            await _fit_bounds(session, finding, by)
        case FindingKind.TYPE:
            type_now = type_of_wire(believed.entry.service_type)
            await finding_repository.close_misfits(session, provider_id, name, type_now=type_now)
        case FindingKind.VANISHED | FindingKind.DUPLICATED:
            pass  # neither has facts to go by


def _believing(known: Known, kind: FindingKind, facts: Facts) -> Known:
    entry = with_facts(known.entry, facts)
    approved = entry.rate_micros if kind is FindingKind.PRICE_JUMP else known.approved_rate_micros
    return Known(entry, approved, known.missing_since, known.gone)


async def _fit_bounds(session: Session, finding: Finding, by: Actor) -> None:
    """What we sell over a service must lie within what its provider takes, and its others."""
    found = await finding_repository.sold_over(
        session, finding.provider_id, finding.provider_service, limit=SERVICES_OVER_ONE_MAX
    )
    for number in [one.id for one in found]:
        one = await service.lock(session, number)
        theirs = fitted_bounds(one, finding.before, finding.after)
        fitted = await service_routes.within_routes(session, one.id, theirs)
        if fitted != (one.min_quantity, one.max_quantity):
            bounds: dict[str, Any] = {"min_quantity": fitted[0], "max_quantity": fitted[1]}
            await service.change(session, one.id, bounds, by=by)


def fitted_bounds(ours: Service, before: Facts, after: Facts) -> tuple[int, int]:
    """A bound that was the provider's own follows it; one that we set stays where it may.

    Where nothing is left between the two, the provider's bounds are taken as they are. What is sold
    by the piece has no bounds to fit.
    """
    if (ours.min_quantity, ours.max_quantity) == (1, 1):
        return 1, 1
    lowest, highest = sellable_bounds(after["min"], after["max"])
    follows_min = ours.min_quantity == max(1, before["min"])
    follows_max = ours.max_quantity == min(_QUANTITY_MAX, before["max"])
    least = lowest if follows_min else max(ours.min_quantity, lowest)
    most = highest if follows_max else min(ours.max_quantity, highest)
    return (least, most) if least <= most else (lowest, highest)


def sellable_bounds(least: int, most: int) -> tuple[int, int]:
    """A provider's bounds, within what a service of ours may have."""
    lowest = min(max(1, least), _QUANTITY_MAX)
    return lowest, max(lowest, min(most, _QUANTITY_MAX))
