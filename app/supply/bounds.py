"""What may be under way to a provider at once: orders, questions of each kind, and one probe.

Each is counted by itself, across all workers: questions take no place from orders, nor orders from
them. How many orders that may be is halved in trouble and regained slowly. What was leased before
a halving tells of the time before it: it neither halves again nor regains, so that one trouble
which hits many calls is answered once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import PROVIDER_BOUND_CUTS
from app.core.uow import count_after_commit, now_of
from app.supply import repository
from app.supply.models import Provider

log = get_logger(__name__)

REGAINED_BY: Final = 20
"""So many orders, answered without trouble, win one more place."""
STATUS_CALLS_MAX: Final = 2
REFILL_STATUS_CALLS_MAX: Final = 1
CANCEL_CALLS_MAX: Final = 1
REFILLS_ASKED_MAX: Final = 8
"""How many questions of a kind there may be; of balance calls there is one, by `begin_probe`."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The bound under which orders were leased; `cuts` is how often it had been halved by then."""

    at_once: int
    cuts: int
    is_narrowed: bool


def bound_of(provider: Provider) -> Bound:
    """The bound in force: never above what an operator allows, though that was lowered since."""
    narrowed = provider.in_flight_bound
    allowed = provider.in_flight_max
    at_once = allowed if narrowed is None else min(narrowed, allowed)
    return Bound(at_once, provider.bound_cuts, narrowed is not None)


async def record_trouble(session: Session, provider_id: UUID, leased_under: Bound) -> None:
    """Half as many at once from now on, unless that was done since these orders were leased."""
    cut = await repository.halve_bound(session, provider_id, cuts=leased_under.cuts)
    if cut is not None:
        count_after_commit(session, PROVIDER_BOUND_CUTS.labels(cut.name).inc)
        log.warning("provider_bound_halved", provider=cut.name, at_once=cut.in_flight_bound)


async def record_clean(
    session: Session, provider_id: UUID, leased_under: Bound, answered: int
) -> None:
    """Orders were answered without trouble. Nothing is written where nothing is to be regained."""
    if leased_under.is_narrowed:
        await repository.regain_bound(
            session, provider_id, cuts=leased_under.cuts, answered=answered, per_place=REGAINED_BY
        )


def probe_is_free(session: Session, provider: Provider) -> bool:
    """Whether a probe may be made now: nobody makes one, and an open breaker is due."""
    now, opens, others = now_of(session), provider.breaker_open_until, provider.probe_until
    return (opens is None or opens <= now) and (others is None or others <= now)


async def begin_probe(session: Session, provider: Provider, *, seconds: float) -> datetime:
    """Make this call the only probe until it is recorded, at the latest until `seconds` are over;
    the time that is returned names it. The caller holds the provider's row.
    """
    until = now_of(session) + timedelta(seconds=seconds)
    await repository.change(session, provider.id, {"probe_until": until})
    return until


async def end_probe(session: Session, provider: Provider, probe: datetime | None) -> bool:
    """Make room for the next probe; whether this one was still the one that counts. The caller
    holds the provider's row.
    """
    if probe is None or provider.probe_until != probe:
        return False
    await repository.change(session, provider.id, {"probe_until": None})
    return True
