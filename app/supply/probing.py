"""What a probe of a provider's balance does to it: its breaker, its balance, its pause."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.db import Session
from app.core.uow import now_of
from app.core.work import Lease
from app.providers.protocol import ProviderBalance
from app.supply import protection, repository
from app.supply.models import Provider
from app.supply.service import PROBE, PROBE_EVERY, PauseReason, lift_pause, scale_of

FUNDS_TRIAL_AFTER: Final = timedelta(hours=1)
FUNDS_TRIAL_AFTER_MAX: Final = timedelta(hours=24)
_DOUBLINGS_MAX: Final = 5


async def record_probe(
    session: Session,
    lease: Lease,
    provider_id: UUID,
    balance: ProviderBalance | None,
    *,
    time_scale: float,
) -> None:
    """Keep what a probe learned (None: it got no answer) and promise the next.

    A probe that was promised anew meanwhile is superseded: it records nothing, and so may be
    recorded again. The provider's row is locked before its probe's, as in all of supply.
    """
    provider = await repository.lock(session, provider_id)
    held = await work.lock_held(session, lease, [str(provider_id)])
    if provider is None or not held:
        return
    scale = scale_of(provider, time_scale)
    await work.put_back(session, PROBE, held, due_at=now_of(session) + PROBE_EVERY / scale)
    if balance is None:
        await protection.record_probe_failure(session, provider, time_scale=time_scale)
        return
    await protection.record_probe_answer(session, provider)
    await _record_balance(session, provider, balance, scale=scale)


async def _record_balance(
    session: Session, provider: Provider, balance: ProviderBalance, *, scale: float
) -> None:
    """Keep the balance, and lift the pause that such an answer disproves.

    Maintenance and a rate limit are disproved by an answer once their time is up; refused
    credentials and an operator's pause by a person only; want of funds by a balance that rose.

    Rose against what: the lowest figure learned since the pause began, whose first probe is made
    at once. What was known before the pause is no yardstick, for we spent since then. Where our
    figures are off all the same (topped up before that first probe was answered), a positive
    balance lifts the pause on trial, after an hour, and when orders are refused again after 2, 4
    and at most 24: no operator is needed for it.
    """
    now, micros = now_of(session), balance.amount_micros
    values: dict[str, object] = {"balance_micros": micros, "balance_at": now}
    match provider.pause_reason:
        case PauseReason.MAINTENANCE | PauseReason.RATE_LIMITED:
            lifted = provider.pause_until is None or provider.pause_until <= now
        case PauseReason.NO_FUNDS:
            lowest, lifted = provider.pause_balance_micros, True
            if lowest is not None and micros > max(lowest, 0):
                values |= {"funds_trials": 0, "funds_trial_at": None}
            elif micros > 0 and _funds_trial_is_due(provider, now, scale):
                values |= {"funds_trials": provider.funds_trials + 1, "funds_trial_at": now}
            else:
                lifted = False
                values["pause_balance_micros"] = micros if lowest is None else min(lowest, micros)
        case _:  # not paused, or by what only a person lifts
            lifted = False
    await repository.change(session, provider.id, values)
    if lifted:
        await lift_pause(session, provider.id)


def _funds_trial_is_due(provider: Provider, now: datetime, scale: float) -> bool:
    doublings = min(provider.funds_trials, _DOUBLINGS_MAX)
    wait = min(FUNDS_TRIAL_AFTER * 2**doublings, FUNDS_TRIAL_AFTER_MAX)
    return provider.paused_at is not None and now - provider.paused_at >= wait / scale
