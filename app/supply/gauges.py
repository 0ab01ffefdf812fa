"""The gauges of providers: whether orders may be handed to each, and what our account holds."""

from __future__ import annotations

from typing import Final

from app.core.db import Session
from app.core.gauges import Sample, label_value
from app.core.money import MICROS_PER_UNIT
from app.supply import service
from app.supply.bounds import bound_of
from app.supply.models import ProviderState

NAMES: Final = frozenset(
    {
        "smmos_provider_open",
        "smmos_provider_in_flight_bound",
        "smmos_provider_in_flight_max",
        "smmos_provider_balance",
        "smmos_provider_low_balance",
    }
)


async def samples(session: Session) -> list[Sample]:
    """Per provider; a balance that was never learned is left out, and one that nobody watches is
    never low.
    """
    found: list[Sample] = []
    for provider in await service.every(session):
        label = f'provider="{label_value(provider.name)}"'
        usable = provider.state == ProviderState.ACTIVE and provider.breaker_open_until is None
        found.append(Sample("smmos_provider_open", label, int(usable)))
        at_once = bound_of(provider).at_once
        found.append(Sample("smmos_provider_in_flight_bound", label, at_once))
        found.append(Sample("smmos_provider_in_flight_max", label, provider.in_flight_max))
        if provider.balance_micros is not None:
            units = provider.balance_micros / MICROS_PER_UNIT
            found.append(Sample("smmos_provider_balance", label, units))
        low = service.balance_is_low(provider, provider.balance_micros)
        found.append(Sample("smmos_provider_low_balance", label, int(low)))
    return found
