"""Pauses: why a provider gets no orders, who lifts that, and when it is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.core import work
from app.core.db import Session
from app.core.uow import now_of
from app.supply import repository
from app.supply.models import Provider, ProviderState
from app.supply.service import PROBE

FUNDS_RELAPSE_WITHIN: Final = timedelta(hours=1)
"""Out of funds again so soon after a trial lifted that pause, the next trial is further off."""


class PauseReason(StrEnum):
    """Why no order is handed to a provider, from the weakest reason to the strongest.

    The first is over with its time; the next two are lifted by a probe, the last two by a person.
    """

    RATE_LIMITED = "rate_limited"
    MAINTENANCE = "maintenance"
    NO_FUNDS = "no_funds"
    CREDENTIALS = "credentials"
    OPERATOR = "operator"

    @property
    def strength(self) -> int:
        return tuple(PauseReason).index(self)


async def pause(
    session: Session, provider_id: UUID, reason: PauseReason, *, until: datetime | None = None
) -> None:
    """Hand no more orders to a provider.

    A weaker reason never replaces a stronger one: that one would be lifted too early. The reason
    that stands already only moves its end further away.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return
    standing = PauseReason(provider.pause_reason) if provider.pause_reason else None
    if standing is reason:
        await _prolong(session, provider, until)
        return
    if standing is not None and standing.strength > reason.strength:
        return
    values = {
        "state": ProviderState.PAUSED,
        "pause_reason": reason,
        "paused_at": now_of(session),
        "pause_until": until,
        "pause_balance_micros": None,
    }
    if reason is PauseReason.NO_FUNDS:
        values["funds_trials"] = _failed_funds_trials(provider, now_of(session))
    await repository.change(session, provider_id, values)
    if until is not None:
        await _probe_by(session, provider_id, until)
    elif reason is PauseReason.NO_FUNDS:
        # At once: a balance learned now is what a later one must exceed.
        await work.put(session, PROBE, str(provider_id))


async def _prolong(session: Session, provider: Provider, until: datetime | None) -> None:
    if until is None or (provider.pause_until is not None and until <= provider.pause_until):
        return
    await repository.change(session, provider.id, {"pause_until": until})
    await _probe_by(session, provider.id, until)


async def _probe_by(session: Session, provider_id: UUID, until: datetime) -> None:
    """Never later than promised: pauses that follow each other must not keep all probes away.

    One that is under way now promises the next by the end of the pause itself.
    """
    await work.hasten(session, PROBE, [str(provider_id)], due_at=until)


def _failed_funds_trials(provider: Provider, now: datetime) -> int:
    tried_at = provider.funds_trial_at
    return provider.funds_trials if tried_at and now - tried_at <= FUNDS_RELAPSE_WITHIN else 0


async def lift_pause(session: Session, provider_id: UUID) -> None:
    """End the pause, whatever its reason; the breaker is a matter of its own."""
    await repository.change(
        session,
        provider_id,
        {
            "state": ProviderState.ACTIVE,
            "pause_reason": None,
            "paused_at": None,
            "pause_until": None,
            "pause_balance_micros": None,
        },
    )


async def resume(session: Session, provider_id: UUID) -> None:
    """Let orders flow again, on a person's word; what was held against it is forgotten."""
    await lift_pause(session, provider_id)
    await repository.reset_breaker(session, provider_id)
    await repository.forget_bound(session, provider_id)
    forgotten = {"funds_trials": 0, "funds_trial_at": None, "reads_wait_until": None}
    await repository.change(session, provider_id, forgotten)
