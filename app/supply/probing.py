"""What a probe of a provider's balance does to it: its breaker, its balance, its pause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.backoff import backed_off
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.logging import get_logger
from app.core.money import Money
from app.core.uow import now_of
from app.core.work import Lease
from app.providers.protocol import Capability, ProviderAccount, ProviderBalance
from app.supply import bounds, protection, repository, sampling
from app.supply.models import Provider
from app.supply.pausing import PauseReason, lift_pause
from app.supply.sampling import Asking
from app.supply.service import PROBE, PROBE_EVERY, account_of, balance_is_low, can, get, scale_of

log = get_logger(__name__)

LOOK_AGAIN_AFTER: Final = timedelta(seconds=5)
CALL_MARGIN_SECONDS: Final = 15.0
FUNDS_TRIAL_AFTER: Final = timedelta(hours=1)
FUNDS_TRIAL_AFTER_MAX: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Probe:
    """A provider whose balance is to be asked, and the name of the call; None where there is no
    such call to make.
    """

    provider_name: str
    account: ProviderAccount
    call: datetime | None
    asking: Asking


async def begin_probe(
    session: Session, keys: KeyRing, lease: Lease, provider_id: UUID, *, time_scale: float
) -> Probe | None:
    """One balance call at a time, and none through a breaker that is not due or that a poll is
    trying: then it is promised for later, and the answer is None. Counted against the budget, and
    never refused by it: there is one in ten minutes.
    """
    provider = await repository.lock(session, provider_id) or await get(session, provider_id)
    account = account_of(provider, keys, time_scale=time_scale)
    asking = await sampling.begin_asking(session, provider_id)
    if not can(provider, Capability.BALANCE):
        return Probe(provider.name, account, None, asking)
    if not bounds.probe_is_free(session, provider):
        now, opens = now_of(session), provider.breaker_open_until
        soon = now + LOOK_AGAIN_AFTER / scale_of(provider, time_scale)
        held = await work.lock_held(session, lease, [str(provider_id)])
        due_at = soon if opens is None else max(opens, soon)
        await work.put_back(session, PROBE, held, due_at=due_at)
        return None
    seconds = account.timeouts.total_seconds + CALL_MARGIN_SECONDS
    call = await bounds.begin_probe(session, provider, seconds=seconds)
    await protection.spend_reads(session, provider, 1)
    return Probe(provider.name, account, call, asking)


async def record_probe(
    session: Session,
    lease: Lease,
    provider_id: UUID,
    balance: ProviderBalance | None,
    *,
    time_scale: float,
    call: datetime | None = None,
    answered: bool = False,
    retry_after_seconds: float | None = None,
    asking: Asking | None = None,
) -> None:
    """Keep what a probe learned and promise the next. `asking` makes a sample of it; `answered` is
    whether the provider said anything at all where it told no balance.

    A probe that was promised anew meanwhile is superseded: it records nothing, and so may be
    recorded again. The provider's row is locked before its probe's, as in all of supply.
    """
    provider = await repository.lock(session, provider_id)
    if provider is not None:
        await bounds.end_probe(session, provider, call)
        await protection.record_asked_to_wait(session, provider_id, retry_after_seconds)
    held = await work.lock_held(session, lease, [str(provider_id)])
    if provider is None or not held:
        return
    now, scale = now_of(session), scale_of(provider, time_scale)
    asked_for = now + timedelta(seconds=retry_after_seconds or 0)
    next_at = max(_next_probe(provider, now, scale), asked_for)
    await work.put_back(session, PROBE, held, due_at=next_at)
    if balance is None:
        if provider.pause_reason == PauseReason.RATE_LIMITED and _is_up(provider, now):
            await lift_pause(session, provider.id)
        if answered:
            await protection.record_probe_answer(session, provider)
        else:
            await protection.record_probe_failure(session, provider, time_scale=time_scale)
        return
    await protection.record_probe_answer(session, provider)
    await _record_balance(session, provider, balance, scale=scale)
    if asking is not None:
        await sampling.keep(session, provider, asking, balance, time_scale=time_scale)


async def record_unasked(
    session: Session, lease: Lease, provider_id: UUID, *, time_scale: float
) -> None:
    """The probe of a provider whose dialect tells no balance: time heals what a balance would.

    An open breaker closes on trial once it is due; a pause for maintenance or a rate limit ends
    with its time, one for want of funds on trial as where the balance tells nothing. May be run
    again, as `record_probe`.
    """
    provider = await repository.lock(session, provider_id)
    held = await work.lock_held(session, lease, [str(provider_id)])
    if provider is None or not held:
        return
    now, scale = now_of(session), scale_of(provider, time_scale)
    await work.put_back(session, PROBE, held, due_at=_next_probe(provider, now, scale))
    if provider.breaker_open_until is not None and provider.breaker_open_until <= now:
        await protection.record_probe_answer(session, provider)
    match provider.pause_reason:
        case PauseReason.MAINTENANCE | PauseReason.RATE_LIMITED:
            lifted = _is_up(provider, now)
        case PauseReason.NO_FUNDS:
            lifted = _funds_trial_is_due(provider, now, scale)
            if lifted:
                values = {"funds_trials": provider.funds_trials + 1, "funds_trial_at": now}
                await repository.change(session, provider.id, values)
        case _:  # not paused, or by what only a person lifts
            lifted = False
    if lifted:
        await lift_pause(session, provider.id)


async def _record_balance(
    session: Session, provider: Provider, balance: ProviderBalance, *, scale: float
) -> None:
    """Keep the balance, and lift the pause that such an answer disproves.

    Maintenance is disproved by an answer once its time is up, a rate limit by the time; refused
    credentials and an operator's pause by a person only; want of funds by a balance that rose.

    Rose against what: the lowest figure learned since the pause began, whose first probe is made
    at once. What was known before the pause is no yardstick, for we spent since then. Where our
    figures are off all the same (topped up before that first probe was answered), a positive
    balance lifts the pause on trial, after an hour, and when orders are refused again after 2, 4
    and at most 24: no operator is needed for it.
    """
    now, micros = now_of(session), balance.amount_micros
    told = _in_its_currency(provider, balance)
    values: dict[str, object] = {"balance_micros": told, "balance_at": now}
    if told is not None:
        _tell_when_low(provider, told)
    match provider.pause_reason:
        case PauseReason.MAINTENANCE | PauseReason.RATE_LIMITED:
            lifted = _is_up(provider, now)
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


def _in_its_currency(provider: Provider, balance: ProviderBalance) -> int | None:
    """What is kept as our balance: a figure in another currency than the account's is none."""
    if balance.currency == provider.currency:
        return balance.amount_micros
    log.warning(
        "provider_balance_in_another_currency",
        provider=provider.name,
        told=balance.currency,
        account=provider.currency,
    )
    return None


def _next_probe(provider: Provider, now: datetime, scale: float) -> datetime:
    """When all is quiet, or at the end of a pause that comes before."""
    quiet, ends = now + PROBE_EVERY / scale, provider.pause_until
    return min(quiet, ends) if ends is not None and ends > now else quiet


def _is_up(provider: Provider, now: datetime) -> bool:
    """Whether a pause of known length is over; one of unknown length may be tried at any time."""
    return provider.pause_until is None or provider.pause_until <= now


def _tell_when_low(provider: Provider, micros: int) -> None:
    """Once on the way down and once on the way up; the gauge tells it for as long as it is so."""
    was, now = balance_is_low(provider, provider.balance_micros), balance_is_low(provider, micros)
    if now and not was:
        log.warning("provider_balance_low", provider=provider.name, balance=str(Money(micros)))
    elif was and not now:
        log.info("provider_balance_restored", provider=provider.name, balance=str(Money(micros)))


def _funds_trial_is_due(provider: Provider, now: datetime, scale: float) -> bool:
    wait = backed_off(FUNDS_TRIAL_AFTER, provider.funds_trials, at_most=FUNDS_TRIAL_AFTER_MAX)
    return provider.paused_at is not None and now - provider.paused_at >= wait / scale
