"""What our balances were, and when: samples by which it is judged what a provider charged for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.clock import CLOCKS_APART_MAX
from app.core.db import Session
from app.core.uow import now_of
from app.providers.protocol import Capability, ProviderBalance
from app.supply import repository
from app.supply.models import BalanceSample, Provider
from app.supply.service import PROBE, can, scale_of

SAMPLES_KEPT: Final = timedelta(days=7)
SAMPLES_MAX: Final = 1000
FORGOTTEN_AT_ONCE_MAX: Final = 10_000
QUIET_MAX: Final = timedelta(minutes=2)
QUIET_APART: Final = timedelta(minutes=10)
"""From one beginning of quiet to the next: a provider that loses order after order still works."""

QUIET_LOOK_EVERY: Final = timedelta(seconds=5)
SENT_AS: Final = "dispatch"
"""The kind of work, in the provider's lane, whose lease covers each order's way to a provider."""


@dataclass(frozen=True, slots=True)
class Asking:
    """When a balance was asked for, and how many orders were on the wire then."""

    at: datetime
    in_flight: int


async def begin_asking(session: Session, provider_id: UUID) -> Asking:
    """Before the call: what is on the wire now."""
    return Asking(now_of(session), await _in_flight(session, provider_id))


async def _in_flight(session: Session, provider_id: UUID) -> int:
    return await work.leased_count(session, SENT_AS, str(provider_id))


async def keep(
    session: Session,
    provider: Provider,
    asking: Asking,
    balance: ProviderBalance,
    *,
    time_scale: float,
) -> None:
    """Keep a sample. One with nothing on the wire, asked for so long after the quiet began that it
    surely is from after the loss, ends that quiet; after any other the next is made soon. The
    caller holds the rows of the provider and of its probe.
    """
    in_flight = max(asking.in_flight, await _in_flight(session, provider.id))
    session.add(
        BalanceSample(
            provider_id=provider.id,
            balance_micros=balance.amount_micros,
            currency=balance.currency,
            in_flight=in_flight,
            asked_at=asking.at,
            at=now_of(session),
        )
    )
    await session.flush()  # the next judgement in this transaction must see it
    now = now_of(session)
    if provider.quiet_until is None or provider.quiet_until <= now:
        return
    scale = scale_of(provider, time_scale)
    proves_from = provider.quiet_until - QUIET_MAX / scale + CLOCKS_APART_MAX
    if in_flight == 0 and asking.at > proves_from:
        await repository.change(session, provider.id, {"quiet_until": now})
    else:
        soon = max(now + QUIET_LOOK_EVERY / scale, proves_from)
        await work.hasten(session, PROBE, [str(provider.id)], due_at=soon)


async def after_unknown(session: Session, provider_id: UUID, *, time_scale: float) -> None:
    """An order sent there became unknown: learn the balance now, before it changes for others.

    Where the operator wants it, nothing more is sent meanwhile, for two minutes at most.
    """
    provider = await repository.find(session, provider_id)
    if provider is None or not can_prove(provider):
        return
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return
    now, scale = now_of(session), scale_of(provider, time_scale)
    begun = provider.quiet_until and provider.quiet_until - QUIET_MAX / scale
    if provider.quiet_after_unknown and (begun is None or now - begun >= QUIET_APART / scale):
        await repository.change(session, provider.id, {"quiet_until": now + QUIET_MAX / scale})
    await ask_soon(session, provider_id)


async def ask_soon(session: Session, provider_id: UUID) -> None:
    """The next probe is made now; one that is under way is one just as well."""
    await work.hasten(session, PROBE, [str(provider_id)], due_at=now_of(session))


def can_prove(provider: Provider) -> bool:
    """Whether this provider's balance may be believed to tell what it took."""
    return provider.balance_is_proof and can(provider, Capability.BALANCE)


async def between(
    session: Session, provider_id: UUID, since: datetime, until: datetime
) -> Sequence[BalanceSample]:
    """The samples of a time, oldest first."""
    return await repository.samples_between(session, provider_id, since, until, limit=SAMPLES_MAX)


async def forget_old(session: Session) -> None:
    """Drop samples that no open question is older than."""
    await repository.forget_samples(
        session, before=now_of(session) - SAMPLES_KEPT, limit=FORGOTTEN_AT_ONCE_MAX
    )
