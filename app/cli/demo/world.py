"""Who takes part in the demo: two resellers, two providers, and the mischief of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.cli.context import opened
from app.cli.migrate import bring_to_head
from app.cli.stack.assortment import ASSORTMENT
from app.cli.stack.processes import control_url, provider_url
from app.cli.stack.secrets import StackSecrets
from app.cli.stack.seed import (
    RoutePlan,
    SeedProvider,
    SeedReseller,
    ensure_operator,
    ensure_operator_key,
    ensure_provider,
    ensure_reseller,
    ensure_reseller_key,
    ensure_services,
)
from app.core.money import Money
from app.core.settings import Settings

RESELLERS: Final = ("Harbour Reach", "Lantern Social")
PROVIDERS: Final = ("North panel", "South panel")
CREDIT_UNITS_PER_ORDER: Final = 6
"""No order of the mixture costs more, so that nobody runs out of money."""

# What becomes of the first orders that reach the second provider. From then on it behaves.
MISCHIEF: Final = (
    None,
    None,
    "partial",
    "cancel",
    None,
    "accept_then_timeout",
    None,
    "refuse",
    None,
    "partial",
    None,
    "cancel",
)
LOST_REPLIES: Final = MISCHIEF.count("accept_then_timeout")


@dataclass(frozen=True, slots=True)
class Account:
    """A reseller of the demo, as its own shop system knows itself."""

    name: str
    key: str
    credited: Money


@dataclass(frozen=True, slots=True)
class PretendProvider:
    """One simulator: where it is found, and where it keeps what it accepted."""

    name: str
    port: int
    key: str
    state_file: Path

    @property
    def control_url(self) -> str:
        return control_url(self.port)


@dataclass(frozen=True, slots=True)
class World:
    """Everybody's keys."""

    accounts: tuple[Account, ...]
    operator_key: str


async def plant(
    settings: Settings, kept: StackSecrets, providers: Sequence[PretendProvider], *, orders: int
) -> World:
    """An empty database becomes one with two funded resellers and a catalogue with two routes."""
    await bring_to_head(settings)
    credit = Money.parse(f"{CREDIT_UNITS_PER_ORDER * orders}.00")
    async with opened(settings) as runtime, runtime.uow.begin() as session:
        keys = runtime.keys
        operator = await ensure_operator(session, name="Demo Operator", email="ops@example.com")
        accounts = []
        for name in RESELLERS:
            email = f"{name.split()[0].lower()}@example.com"
            book = await ensure_reseller(session, SeedReseller(name, email, credit))
            key = await ensure_reseller_key(session, keys, book, None)
            accounts.append(Account(name, key, credit))
        north, south = [
            await ensure_provider(
                session, keys, SeedProvider(one.name, provider_url(one.port), one.key)
            )
            for one in providers
        ]
        await ensure_services(
            session,
            [
                RoutePlan(service, (south, north) if service.id % 2 == 0 else (north, south))
                for service in ASSORTMENT
            ],
            operator_id=operator.id,
        )
        operator_key = await ensure_operator_key(session, keys, operator, kept.operator_key)
    return World(tuple(accounts), operator_key)
