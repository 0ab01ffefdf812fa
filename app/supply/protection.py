"""Whether a provider may be called now: its pause, its breaker and its budget of calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.core import work
from app.core.db import Session
from app.core.uow import now_of
from app.supply import repository
from app.supply.models import Provider, ProviderState
from app.supply.service import PROBE, scale_of

BREAKER_FAILURES_MAX: Final = 5
BREAKER_OPEN_BASE: Final = timedelta(seconds=30)
BREAKER_OPEN_MAX: Final = timedelta(minutes=10)
_DOUBLINGS_MAX: Final = 5


class Closed(StrEnum):
    """Why a provider takes no calls now; an order that waits for it carries this as its reason."""

    GONE = "provider_gone"
    PAUSED = "provider_paused"
    BREAKER = "provider_unreachable"
    BUDGET = "provider_busy"


@dataclass(frozen=True, slots=True)
class Grant:
    """A provider that may be called, with the number of calls that its budget still allows."""

    provider: Provider
    calls: int


async def admit_submits(session: Session, provider_id: UUID) -> Grant | Closed:
    """Lock a provider for handing over orders. A breaker that has opened once stays closed to
    submits until a probe got through: an order is never the thing to try with.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return Closed.GONE
    if provider.state == ProviderState.PAUSED:
        return Closed.PAUSED
    if provider.breaker_open_until is not None:
        return Closed.BREAKER
    return _within_budget(session, provider)


async def admit_reads(session: Session, provider_id: UUID) -> Grant | Closed:
    """Lock a provider for polling: no pause stops it, an open breaker does until it is due."""
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return Closed.GONE
    if provider.breaker_open_until is not None and provider.breaker_open_until > now_of(session):
        return Closed.BREAKER
    return _within_budget(session, provider)


def _within_budget(session: Session, provider: Provider) -> Grant | Closed:
    window = now_of(session).replace(second=0, microsecond=0)
    used = provider.budget_used if provider.budget_window == window else 0
    left = provider.calls_per_minute - used
    return Grant(provider, left) if left > 0 else Closed.BUDGET


async def spend_calls(session: Session, provider: Provider, calls: int) -> None:
    """Take calls off the budget of this minute; the caller holds the provider's row."""
    window = now_of(session).replace(second=0, microsecond=0)
    used = provider.budget_used if provider.budget_window == window else 0
    await repository.spend(session, provider.id, window=window, used=used + calls)


async def record_answers(session: Session, provider_id: UUID) -> None:
    """The provider answered: the breaker closes."""
    await repository.close_breaker(session, provider_id)


async def record_failures(
    session: Session, provider_id: UUID, failures: int, *, time_scale: float
) -> None:
    """Calls that got no answer; at five in a row the breaker opens."""
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return
    total = provider.breaker_failures + failures
    await repository.change(session, provider_id, {"breaker_failures": total})
    if total >= BREAKER_FAILURES_MAX and provider.breaker_open_until is None:
        await _open(session, provider, time_scale=time_scale)


async def record_probe_failure(session: Session, provider_id: UUID, *, time_scale: float) -> None:
    """The probe got no answer either: an open breaker stays open, for longer each time."""
    provider = await repository.lock(session, provider_id)
    if provider is not None and provider.breaker_open_until is not None:
        await _open(session, provider, time_scale=time_scale)


async def _open(session: Session, provider: Provider, *, time_scale: float) -> None:
    doublings = min(provider.breaker_opens, _DOUBLINGS_MAX)
    wait = min(BREAKER_OPEN_BASE * 2**doublings, BREAKER_OPEN_MAX)
    until = now_of(session) + wait / scale_of(provider, time_scale)
    await repository.change(
        session,
        provider.id,
        {"breaker_open_until": until, "breaker_opens": provider.breaker_opens + 1},
    )
    await work.put(session, PROBE, str(provider.id), due_at=until)
