"""Whether a provider may be called now: its pause, its breaker and its budget of calls.

Silence is counted by what was asked for. A provider may hang on `add` and still answer `status`:
so submits and reads (polls and all other questions) have a count each, an answer clears the count
of its own kind only, and either at the limit opens the breaker for both.

While it is open nothing is called. Once it is due one call is made, the probe: whichever of a
balance call and a poll comes first, never anything that a provider might take. An answered probe or
an answered submit closes it, and nothing else does. A probe is weak proof: after it the provider is
on trial, with one order at a time, until a submit is answered. Silence during the trial opens the
breaker at once; soon after the probe, for longer than last time.
Only an order that was leased on this very trial is judged by: what was under way before tells of
the trouble that opened the breaker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from app.core import work
from app.core.backoff import backed_off
from app.core.db import Session
from app.core.logging import get_logger
from app.core.metrics import PROVIDER_BREAKER_OPENS, PROVIDER_TURNED_AWAY
from app.core.uow import count_after_commit, now_of
from app.supply import bounds, repository
from app.supply.bounds import Bound, bound_of
from app.supply.models import Provider, ProviderState
from app.supply.pausing import PauseReason, lift_pause
from app.supply.service import PROBE, scale_of

log = get_logger(__name__)

BREAKER_FAILURES_MAX: Final = 5
BREAKER_OPEN_BASE: Final = timedelta(seconds=30)
BREAKER_OPEN_MAX: Final = timedelta(minutes=10)
RELAPSE_WITHIN: Final = timedelta(minutes=10)
"""Opened again so soon after a probe closed it, the breaker has not recovered: back-off goes on."""
BUDGET_SHARES: Final = 4
"""One share of the minute's calls is kept for submits and one for reads; the rest is for both.
A budget of fewer calls than shares keeps none back."""
CLOCKS_APART_MAX: Final = timedelta(minutes=5)
"""A minute of calls that begins further ahead was written by a clock that was wrong."""


class Closed(StrEnum):
    """Why a provider takes no calls now; an order that waits for it carries this as its reason."""

    GONE = "provider_gone"
    PAUSED = "provider_paused"
    BREAKER = "provider_unreachable"
    BUDGET = "provider_busy"
    QUIET = "provider_quiet"
    """Its balance is being read to find out whether it took a lost order."""
    RESTORED = "database_restored"


@dataclass(frozen=True, slots=True)
class Grant:
    """A provider that may be called, with the number of calls that its budget still allows, and
    the bound on orders that may be on their way to it at once.
    """

    provider: Provider
    calls: int
    bound: Bound

    @property
    def in_flight_max(self) -> int:
        """On trial there is one, whatever the bound."""
        return 1 if _is_on_trial(self.provider) else self.bound.at_once

    @property
    def is_for_probe(self) -> bool:
        """Whether what is called under it is the probe of a breaker that is open and due."""
        return self.provider.breaker_open_until is not None

    @property
    def trial(self) -> datetime | None:
        """The trial that orders leased now are sent on, named by when it began; None off trial."""
        return self.provider.breaker_closed_at


async def admit_submits(session: Session, provider_id: UUID) -> Grant | Closed:
    """Lock a provider for handing over orders. A breaker that has opened once stays closed to
    submits until a probe got through: an order is never the thing to try with. A pause for too
    many calls is over with its time, whether a probe has come by or not.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return Closed.GONE
    if provider.state == ProviderState.PAUSED:
        if not _has_waited_long_enough(session, provider):
            return _turned_away(provider, Closed.PAUSED)
        await lift_pause(session, provider.id)
    if provider.breaker_open_until is not None:
        return _turned_away(provider, Closed.BREAKER)
    if _is_quiet(session, provider):
        return _turned_away(provider, Closed.QUIET)
    spent = _spent_in_this_minute(session, provider)
    left = _calls_left(provider, spent.submits, others=spent.reads)
    if left <= 0:
        return _turned_away(provider, Closed.BUDGET)
    return Grant(provider, 1 if _is_on_trial(provider) else left, bound_of(provider))


async def admit_reads(
    session: Session, provider_id: UUID, *, may_probe: bool = False
) -> Grant | Closed:
    """Lock a provider for asking it anything: no pause stops that, an open breaker does.

    `may_probe` is for what changes nothing at the provider, a question how things stand: one such
    call goes through a breaker that is due, and whoever makes it says so by `bounds.begin_probe`.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return Closed.GONE
    if provider.breaker_open_until is not None and not (
        may_probe and bounds.probe_is_free(session, provider)
    ):
        return _turned_away(provider, Closed.BREAKER)
    if provider.reads_wait_until is not None and provider.reads_wait_until > now_of(session):
        return _turned_away(provider, Closed.BUDGET)
    spent = _spent_in_this_minute(session, provider)
    left = _calls_left(provider, spent.reads, others=spent.submits)
    if left <= 0:
        return _turned_away(provider, Closed.BUDGET)
    grant = Grant(provider, left, bound_of(provider))
    return replace(grant, calls=1) if grant.is_for_probe else grant


def _turned_away(provider: Provider, why: Closed) -> Closed:
    PROVIDER_TURNED_AWAY.labels(provider.name, why).inc()
    return why


async def look_again_after(session: Session, provider_id: UUID, *, at_most: timedelta) -> timedelta:
    """How long orders wait for a provider that is closed: not past the end of a known pause."""
    provider = await repository.find(session, provider_id)
    if provider is None or provider.pause_reason != PauseReason.RATE_LIMITED:
        return at_most
    ends_in = (provider.pause_until or now_of(session)) - now_of(session)
    return max(timedelta(), min(ends_in, at_most))


def _has_waited_long_enough(session: Session, provider: Provider) -> bool:
    return (
        provider.pause_reason == PauseReason.RATE_LIMITED
        and provider.pause_until is not None
        and provider.pause_until <= now_of(session)
    )


def _is_quiet(session: Session, provider: Provider) -> bool:
    return provider.quiet_until is not None and provider.quiet_until > now_of(session)


@dataclass(frozen=True, slots=True)
class _Spent:
    """The calls made in the minute that began at `window`."""

    window: datetime
    submits: int
    reads: int


def _spent_in_this_minute(session: Session, provider: Provider) -> _Spent:
    """Of the later minute, ours or the stored one: another worker's clock may be ahead of ours, and
    ours is as of the start of a transaction that may have waited.
    """
    mine, stored = now_of(session).replace(second=0, microsecond=0), provider.budget_window
    if stored is None or not mine <= stored <= mine + CLOCKS_APART_MAX:
        return _Spent(mine, 0, 0)
    return _Spent(stored, provider.budget_submits, provider.budget_reads)


def _calls_left(provider: Provider, mine: int, *, others: int) -> int:
    """The others' share is kept for them, whether they have asked for it yet or not."""
    kept = provider.calls_per_minute // BUDGET_SHARES
    return provider.calls_per_minute - mine - max(others, kept)


async def spend_calls(session: Session, provider: Provider, calls: int) -> None:
    """Take submits off the budget of this minute; the caller holds the provider's row."""
    spent = _spent_in_this_minute(session, provider)
    await repository.spend(
        session,
        provider.id,
        window=spent.window,
        submits=spent.submits + calls,
        reads=spent.reads,
    )


async def spend_reads(session: Session, provider: Provider, calls: int) -> None:
    """Take reads off the budget of this minute; the caller holds the provider's row."""
    spent = _spent_in_this_minute(session, provider)
    await repository.spend(
        session,
        provider.id,
        window=spent.window,
        submits=spent.submits,
        reads=spent.reads + calls,
    )


async def record_answers(
    session: Session, provider_id: UUID, *, trial: datetime | None = None
) -> None:
    """Submits were answered, whatever the answer: the provider is as good as new.

    `trial` is that of the grant under which they were sent; a trial is ended by its own alone.
    """
    await repository.forget_failures(session, provider_id, trial=trial)


async def record_failures(
    session: Session,
    provider_id: UUID,
    failures: int,
    *,
    time_scale: float,
    trial: datetime | None = None,
) -> None:
    """Submits that got no answer: the breaker opens at five in a row, on trial at the first.

    `trial` as in `record_answers`.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None or (_is_on_trial(provider) and provider.breaker_closed_at != trial):
        return
    total = provider.breaker_failures + failures
    await repository.change(session, provider_id, {"breaker_failures": total})
    limit = 1 if _is_on_trial(provider) else BREAKER_FAILURES_MAX
    if total >= limit and provider.breaker_open_until is None:
        await _open(session, provider, time_scale=time_scale)


async def record_read_answers(
    session: Session, provider_id: UUID, *, probe: datetime | None = None
) -> None:
    """Reads were answered: their failures are forgotten, those of submits are not, unless it was
    the probe that was answered.
    """
    if probe is not None:
        provider = await repository.lock(session, provider_id)
        if provider is not None and await bounds.end_probe(session, provider, probe):
            await record_probe_answer(session, provider)
            return
    await repository.forget_read_failures(session, provider_id)


async def record_read_failures(
    session: Session,
    provider_id: UUID,
    failures: int,
    *,
    time_scale: float,
    probe: datetime | None = None,
) -> None:
    """Reads that got no answer: the breaker opens at five in a row, and goes on to be open when it
    was the probe that got none.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return
    if await bounds.end_probe(session, provider, probe):
        await record_probe_failure(session, provider, time_scale=time_scale)
        return
    total = provider.breaker_read_failures + failures
    await repository.change(session, provider_id, {"breaker_read_failures": total})
    if total >= BREAKER_FAILURES_MAX and provider.breaker_open_until is None:
        await _open(session, provider, time_scale=time_scale)


async def record_asked_to_wait(session: Session, provider_id: UUID, seconds: float | None) -> None:
    """The provider named a time before which it wants no more questions; orders have their own."""
    if seconds:
        until = now_of(session) + timedelta(seconds=seconds)
        await repository.prolong_reads_wait(session, provider_id, until)


async def record_probe_answer(session: Session, provider: Provider) -> None:
    """A probe is a read; answered, it also closes an open breaker, and the trial begins. The
    caller holds the provider's row.
    """
    values: dict[str, object] = {"breaker_read_failures": 0}
    if provider.breaker_open_until is not None:
        values |= {
            "breaker_failures": 0,
            "breaker_open_until": None,
            "breaker_closed_at": now_of(session),
        }
    await repository.change(session, provider.id, values)


async def record_probe_failure(session: Session, provider: Provider, *, time_scale: float) -> None:
    """The probe got no answer either: an open breaker stays open, for longer each time. The
    caller holds the provider's row.
    """
    if provider.breaker_open_until is not None:
        await _open(session, provider, time_scale=time_scale)


def _is_on_trial(provider: Provider) -> bool:
    return provider.breaker_closed_at is not None


async def _open(session: Session, provider: Provider, *, time_scale: float) -> None:
    now, scale = now_of(session), scale_of(provider, time_scale)
    closed_at = provider.breaker_closed_at
    goes_on = provider.breaker_open_until is not None or (
        closed_at is not None and now - closed_at <= RELAPSE_WITHIN / scale
    )
    opens = provider.breaker_opens if goes_on else 0
    wait = backed_off(BREAKER_OPEN_BASE, opens, at_most=BREAKER_OPEN_MAX)
    until = now + wait / scale
    await repository.change(
        session,
        provider.id,
        {"breaker_open_until": until, "breaker_opens": opens + 1, "breaker_closed_at": None},
    )
    count_after_commit(session, PROVIDER_BREAKER_OPENS.labels(provider.name).inc)
    log.warning("provider_breaker_open", provider=provider.name, until=until.isoformat())
    # A provider's row is locked before the row of its probe, here and wherever both are needed.
    await work.put(session, PROBE, str(provider.id), due_at=until)
