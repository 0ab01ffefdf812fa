"""Our accounts with providers: opened, changed, their balances, what their money is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from app.core import work
from app.core.crypto import KeyRing, Place
from app.core.db import Session
from app.core.errors import FieldProblem, InvalidInput, NotFound
from app.core.ids import new_id, parse_public_id, public_id
from app.core.money import MICROS_PER_UNIT, Money
from app.core.uow import now_of
from app.providers.protocol import Capability, ProviderAccount, ServiceType, Timeouts
from app.providers.registry import ADAPTERS, dialect_of
from app.supply import repository
from app.supply.errors import ProviderNameTaken
from app.supply.models import ExchangeRate, Provider, ProviderState

PREFIX: Final = "prv"
PROBE: Final = "probe"
LEASE_MARGIN_SECONDS: Final = 15.0
PROBE_EVERY: Final = timedelta(minutes=10)
PROVIDERS_MAX: Final = 1000
CALLS_PER_MINUTE_DEFAULT: Final = 60
SIMULATOR_CALLS_PER_MINUTE: Final = 100_000


def public_provider_id(provider_id: UUID) -> str:
    return public_id(PREFIX, provider_id)


async def register(
    session: Session,
    keys: KeyRing,
    *,
    name: str,
    adapter: str,
    base_url: str | None,
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
    _refuse_credentials(adapter, credentials)
    if base_url is None and ADAPTERS[adapter].calls:
        raise InvalidInput(errors=(FieldProblem("/base_url", f"is required by {adapter}"),))
    await repository.lock_name(session, name)
    if await repository.find_by_name(session, name):
        raise ProviderNameTaken
    provider_id = new_id()
    provider = Provider(
        id=provider_id,
        name=name,
        adapter=adapter,
        base_url=base_url or "",
        credentials=keys.seal(orjson.dumps(dict(credentials)), _place(provider_id)),
        currency=currency,
        simulated=simulated,
        in_flight_max=in_flight_max,
        bound_cuts=0,
        bound_clean=0,
        calls_per_minute=calls_per_minute,
        state=ProviderState.ACTIVE,
        balance_is_proof=False,
        may_probe_ids=False,
        quiet_after_unknown=False,
        breaker_failures=0,
        breaker_read_failures=0,
        breaker_opens=0,
        funds_trials=0,
        budget_submits=0,
        budget_reads=0,
        created_at=now_of(session),
    )
    session.add(provider)
    await session.flush()  # the probe's row is found by the provider's id
    await work.put(session, PROBE, str(provider_id))
    return provider


def _refuse_credentials(adapter: str, credentials: Mapping[str, str]) -> None:
    """An account signs in with just what its dialect asks for, each by its name."""
    wanted = ADAPTERS[adapter].credentials
    problems = [
        FieldProblem(f"/credentials/{name}", f"is required by {adapter}")
        for name in wanted
        if name not in credentials
    ]
    if credentials.keys() - set(wanted):
        rule = f"must be only: {', '.join(wanted)}" if wanted else f"must be empty for {adapter}"
        problems.append(FieldProblem("/credentials", rule))
    if problems:
        raise InvalidInput(errors=tuple(problems))


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


def lease_seconds(account: ProviderAccount) -> float:
    """How long work is leased for a call: it begins within one time-out of the lease and ends
    within another, or makes several calls in the two; what was said is recorded in the rest.
    """
    return 2 * account.timeouts.total_seconds + LEASE_MARGIN_SECONDS


def scale_of(provider: Provider, time_scale: float) -> float:
    """By how much this provider's waits are divided: never, unless it is a simulator."""
    return time_scale if provider.simulated else 1.0


def can(provider: Provider, capability: Capability) -> bool:
    """Whether this provider's dialect has such a call at all."""
    return capability in dialect_of(provider.adapter).capabilities


def takes(adapter: str, service_type: ServiceType) -> bool:
    """Whether orders of this type can be given to a provider of this dialect."""
    if service_type is not ServiceType.SUBSCRIPTIONS:
        return True
    return Capability.SUBSCRIPTIONS in dialect_of(adapter).capabilities


def ids_per_status_call(provider: Provider) -> int:
    """How many orders one call tells of, by which polls are counted against the budget."""
    return dialect_of(provider.adapter).ids_per_status_call


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


async def watch_balance(session: Session, provider: Provider, low: Money | None) -> None:
    """Tell from now on when our balance there is below this; zero tells of debts only, and None
    of nothing.
    """
    micros = None if low is None else low.micros
    await repository.change(session, provider.id, {"low_balance_micros": micros})


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an operator declares of a provider, so that lost orders are looked for there; None
    leaves a declaration as it is.
    """

    balance_is_proof: bool | None = None
    """We alone spend from this account, and an order is charged when it is taken."""

    may_probe_ids: bool | None = None
    """The provider agrees to be asked about ids near ours, and numbers orders in sequence."""

    quiet_after_unknown: bool | None = None
    """After a lost order no other is sent until the balance is known, for 2 minutes at most."""


async def declare(session: Session, provider: Provider, evidence: Evidence) -> None:
    """Say by what lost orders may be looked for at this provider."""
    said = {name: value for name, value in asdict(evidence).items() if value is not None}
    if said:
        await repository.change(session, provider.id, said)


async def change_address(session: Session, provider: Provider, base_url: str) -> None:
    """Reach the provider elsewhere from the next call on; its orders keep their ids."""
    await repository.change(session, provider.id, {"base_url": base_url})


async def change_credentials(
    session: Session, keys: KeyRing, provider: Provider, credentials: Mapping[str, str]
) -> None:
    """Replace what we sign in with, sealed under the current master key."""
    _refuse_credentials(provider.adapter, credentials)
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


async def rate_page(
    session: Session, *, currency: str | None, after: tuple[datetime, str] | None, limit: int
) -> Sequence[ExchangeRate]:
    """What operators said that currencies are worth, by the moment from which it holds, the latest
    first: of each currency the first that is not in the future is in force.
    """
    return await repository.rate_page(session, currency=currency, after=after, limit=limit)


def balance_of(provider: Provider) -> Money | None:
    return None if provider.balance_micros is None else Money(provider.balance_micros)


def balance_is_low(provider: Provider, balance_micros: int | None) -> bool:
    """Whether such a balance is to be told; one that nobody watches, or knows, is not."""
    low = provider.low_balance_micros
    return low is not None and balance_micros is not None and balance_micros < low
