"""Our accounts with providers: opening, pausing, their balances, what their money is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

import orjson

from app.core import work
from app.core.crypto import KeyRing, Place
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.gauges import Sample, label_value
from app.core.ids import new_id, parse_public_id, public_id
from app.core.money import MICROS_PER_UNIT, Money
from app.core.uow import now_of
from app.providers.protocol import ProviderAccount, ProviderBalance, Timeouts
from app.providers.registry import ADAPTERS
from app.supply import repository
from app.supply.errors import ProviderNameTaken
from app.supply.models import Provider, ProviderState

PREFIX: Final = "prv"
PROBE: Final = "probe"
PROBE_EVERY: Final = timedelta(minutes=10)
PROVIDERS_MAX: Final = 1000
GAUGE_NAMES: Final = frozenset({"smmos_provider_open", "smmos_provider_balance"})
CALLS_PER_MINUTE_DEFAULT: Final = 60
SIMULATOR_CALLS_PER_MINUTE: Final = 100_000


class PauseReason(StrEnum):
    """Why no order is handed to a provider; the first three are lifted by a probe."""

    MAINTENANCE = "maintenance"
    NO_FUNDS = "no_funds"
    RATE_LIMITED = "rate_limited"
    CREDENTIALS = "credentials"
    OPERATOR = "operator"


def public_provider_id(provider_id: UUID) -> str:
    return public_id(PREFIX, provider_id)


async def register(
    session: Session,
    keys: KeyRing,
    *,
    name: str,
    adapter: str,
    base_url: str,
    credentials: Mapping[str, str],
    currency: str,
    in_flight_max: int,
    calls_per_minute: int,
    simulated: bool,
) -> Provider:
    """Open an account with a provider, its credentials sealed, and begin to watch its balance."""
    if adapter not in ADAPTERS:
        known = ", ".join(sorted(ADAPTERS))
        raise InvalidInput(errors=(FieldProblem("/adapter", f"must be one of: {known}"),))
    if await repository.find_by_name(session, name):
        raise ProviderNameTaken
    provider_id = new_id()
    provider = Provider(
        id=provider_id,
        name=name,
        adapter=adapter,
        base_url=base_url,
        credentials=keys.seal(orjson.dumps(dict(credentials)), _place(provider_id)),
        currency=currency,
        simulated=simulated,
        in_flight_max=in_flight_max,
        calls_per_minute=calls_per_minute,
        state=ProviderState.ACTIVE,
        breaker_failures=0,
        breaker_opens=0,
        budget_used=0,
        created_at=now_of(session),
    )
    session.add(provider)
    await session.flush()  # the probe's row is found by the provider's id
    await work.put(session, PROBE, str(provider_id))
    return provider


def _place(provider_id: UUID) -> Place:
    return Place("providers", "credentials", str(provider_id))


def account_of(provider: Provider, keys: KeyRing, *, time_scale: float) -> ProviderAccount:
    """What an adapter needs to call; waits are shortened for a simulator, and only for one."""
    scale = scale_of(provider, time_scale)
    waits = Timeouts()
    return ProviderAccount(
        provider_id=str(provider.id),
        adapter=provider.adapter,
        base_url=provider.base_url,
        credentials=orjson.loads(keys.open(provider.credentials, _place(provider.id))),
        currency=provider.currency,
        timeouts=Timeouts(
            connect_seconds=waits.connect_seconds,
            read_seconds=max(1.0, waits.read_seconds / scale),
            total_seconds=max(2.0, waits.total_seconds / scale),
        ),
    )


def scale_of(provider: Provider, time_scale: float) -> float:
    """By how much this provider's waits are divided: never, unless it is a simulator."""
    return time_scale if provider.simulated else 1.0


async def get(session: Session, provider_id: UUID) -> Provider:
    provider = await repository.find(session, provider_id)
    if provider is None:
        raise NotFound
    return provider


async def get_public(session: Session, text: str) -> Provider:
    """By the id that the API shows. Raises NotFound."""
    provider_id = parse_public_id(PREFIX, text)
    if provider_id is None:
        raise NotFound
    return await get(session, provider_id)


async def find_by_name(session: Session, name: str) -> Provider | None:
    return await repository.find_by_name(session, name)


async def page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Provider]:
    return await repository.page(session, after=after, limit=limit)


async def every(session: Session) -> Sequence[Provider]:
    """All providers; there are tens, and at most 1,000 are read."""
    return await repository.every(session, limit=PROVIDERS_MAX)


async def change_limits(
    session: Session, provider: Provider, *, in_flight_max: int | None, calls_per_minute: int | None
) -> None:
    """Set how many orders may be on the wire at once, and how many calls a minute are made."""
    values = {"in_flight_max": in_flight_max, "calls_per_minute": calls_per_minute}
    changed = {name: value for name, value in values.items() if value is not None}
    if changed:
        await repository.change(session, provider.id, changed)


async def change_address(session: Session, provider: Provider, base_url: str) -> None:
    """Reach the provider elsewhere from the next call on; its orders keep their ids."""
    await repository.change(session, provider.id, {"base_url": base_url})


async def change_credentials(
    session: Session, keys: KeyRing, provider: Provider, credentials: Mapping[str, str]
) -> None:
    """Replace what we sign in with, sealed under the current master key."""
    sealed = keys.seal(orjson.dumps(dict(credentials)), _place(provider.id))
    await repository.change(session, provider.id, {"credentials": sealed})


async def reseal_credentials(session: Session, keys: KeyRing, *, limit: int) -> int:
    """Seal under the current master key what an older one sealed; how many accounts that were."""
    found = await repository.sealed_otherwise(session, bytes.fromhex(keys.current_id), limit=limit)
    for provider in found:
        plain = keys.open(provider.credentials, _place(provider.id))
        await repository.change(
            session, provider.id, {"credentials": keys.seal(plain, _place(provider.id))}
        )
    return len(found)


async def pause(
    session: Session, provider_id: UUID, reason: PauseReason, *, until: datetime | None = None
) -> None:
    """Hand no more orders to a provider. An operator's pause outlasts every other reason."""
    provider = await repository.lock(session, provider_id)
    if provider is None or provider.pause_reason == PauseReason.OPERATOR:
        return
    await repository.change(
        session,
        provider_id,
        {
            "state": ProviderState.PAUSED,
            "pause_reason": reason,
            "paused_at": now_of(session),
            "pause_until": until,
        },
    )
    if until is not None:
        await work.put(session, PROBE, str(provider_id), due_at=until)


async def resume(session: Session, provider_id: UUID) -> None:
    """Let orders flow again, and start with those that wait."""
    await repository.change(
        session,
        provider_id,
        {
            "state": ProviderState.ACTIVE,
            "pause_reason": None,
            "paused_at": None,
            "pause_until": None,
            "breaker_failures": 0,
            "breaker_opens": 0,
            "breaker_open_until": None,
        },
    )


async def record_balance(session: Session, provider_id: UUID, balance: ProviderBalance) -> None:
    """Keep what a probe learned, and lift the pauses that such an answer disproves.

    Want of funds is disproved by a balance that rose; maintenance and a rate limit by an answer
    once their time is up; refused credentials and an operator's pause by a person only.
    """
    provider = await repository.lock(session, provider_id)
    if provider is None:
        return
    now = now_of(session)
    waited = provider.pause_until is None or provider.pause_until <= now
    rose = provider.balance_micros is None or balance.amount_micros > provider.balance_micros
    lifted = {
        PauseReason.NO_FUNDS: rose and balance.amount_micros > 0,
        PauseReason.MAINTENANCE: waited,
        PauseReason.RATE_LIMITED: waited,
    }
    values: dict[str, object] = {"balance_micros": balance.amount_micros, "balance_at": now}
    await repository.change(session, provider_id, values)
    if provider.pause_reason and lifted.get(PauseReason(provider.pause_reason), False):
        await resume(session, provider_id)


async def set_rate(
    session: Session, currency: str, rate_micros: int, *, valid_from: datetime
) -> None:
    """What one unit of a currency is worth in ours, in micros, from a moment on."""
    await repository.put_rate(session, currency, rate_micros, valid_from=valid_from)


async def rate_to_ours(session: Session, currency: str, selling_currency: str) -> int | None:
    """The rate in force now, in micros of ours per unit; None when no operator has set one."""
    if currency == selling_currency:
        return MICROS_PER_UNIT
    return await repository.rate_at(session, currency, now_of(session))


def balance_of(provider: Provider) -> Money | None:
    return None if provider.balance_micros is None else Money(provider.balance_micros)


async def gauge_samples(session: Session) -> list[Sample]:
    """Per provider: whether orders may be handed to it, and what its account holds."""
    samples: list[Sample] = []
    for provider in await every(session):
        label = f'provider="{label_value(provider.name)}"'
        usable = provider.state == ProviderState.ACTIVE and provider.breaker_open_until is None
        samples.append(Sample("smmos_provider_open", label, int(usable)))
        if provider.balance_micros is not None:
            units = provider.balance_micros / MICROS_PER_UNIT
            samples.append(Sample("smmos_provider_balance", label, units))
    return samples
