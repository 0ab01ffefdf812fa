"""The stage of all measurements: embedded servers, a seeded database, a simulated provider."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg
import uvloop

from app.cli.context import opened
from app.cli.migrate import bring_to_head
from app.cli.stack import secrets
from app.cli.stack.environment import settings_from, stack_variables
from app.cli.stack.processes import HOST, Processes, control_url, free_ports, provider_url
from app.cli.stack.secrets import StackSecrets
from app.cli.stack.seed import (
    SIMULATOR_IN_FLIGHT_MAX,
    SeedProvider,
    SeedReseller,
    ensure_operator,
    ensure_provider,
    ensure_reseller,
    ensure_reseller_key,
    ensure_services,
    routed_to,
)
from app.core.money import Money
from app.core.settings import Settings
from app.embedded import EmbeddedStack, Supervisor, temporary_stack
from app.ledger import service as ledger
from app.ledger.service import Violation

RESELLERS: Final = 8
"""Several, as a platform has them: with one, its wallet's row lock would be what is measured."""

_CREDIT: Final = Money.parse("1000000.00")
_PER_MINUTE: Final = 10_000_000
_START_SECONDS_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Shop:
    """A reseller with money: its key, and the book behind it."""

    key: str
    book_id: str


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything runs, and what the processes under measurement are told."""

    servers: EmbeddedStack
    variables: dict[str, str]
    shops: tuple[Shop, ...]
    provider_id: str
    provider_url: str
    provider_control_url: str
    provider_key: str
    in_flight_max: int

    @property
    def settings(self) -> Settings:
        return settings_from(self.variables)

    @property
    def plain_database_url(self) -> str:
        """As asyncpg itself takes it."""
        return self.servers.database_url.replace("postgresql+asyncpg://", "postgresql://")

    @contextmanager
    def processes(self) -> Iterator[tuple[Supervisor, Processes]]:
        """Child processes of one measurement; they are stopped at its end."""
        with Supervisor(self.servers.data_dir, on_change=_nothing) as supervisor:
            yield supervisor, Processes(supervisor, self.variables)

    async def violations(self) -> Sequence[Violation]:
        """The ledger check over all that was measured."""
        async with opened(self.settings) as runtime, runtime.uow.begin() as session:
            return await ledger.violations(session)


def _nothing() -> None:
    """A measurement in which a process died is void; nobody is told of a restart."""


@contextmanager
def raised() -> Iterator[Stage]:
    """Servers and simulator run inside the `with`; their folder vanishes with them."""
    with temporary_stack() as servers:
        kept = secrets.recall(servers.data_dir)
        variables = stack_variables(servers, kept, time_scale=1.0)
        # As in production: the stack for development lets its workers look more often.
        variables |= {
            "SMMOS_ENVIRONMENT": "production",
            "SMMOS_POLL_SECONDS_MIN": "1",
            "SMMOS_POLL_SECONDS_MAX": "5",
        }
        [port] = free_ports(1)
        with Supervisor(servers.data_dir, on_change=_nothing) as supervisor:
            Processes(supervisor, variables).start_simulator(
                port,
                key=kept.provider_key,
                state_file=servers.data_dir / "simulator.jsonl",
                seed=0,
            )
            yield uvloop.run(_planted(servers, variables, kept, port))


async def _planted(
    servers: EmbeddedStack, variables: dict[str, str], kept: StackSecrets, port: int
) -> Stage:
    settings = settings_from(variables)
    await bring_to_head(settings)
    shops = []
    async with opened(settings) as runtime, runtime.uow.begin() as session:
        operator = await ensure_operator(session, name="Bench", email="bench@example.com")
        for number in range(RESELLERS):
            wanted = SeedReseller(f"Shop {number}", f"shop{number}@example.com", _CREDIT)
            book = await ensure_reseller(session, wanted)
            key = await ensure_reseller_key(session, runtime.keys, book, None)
            shops.append(Shop(key, str(book.id)))
        wanted_provider = SeedProvider("Bench panel", provider_url(port), kept.provider_key)
        provider = await ensure_provider(session, runtime.keys, wanted_provider)
        await ensure_services(session, routed_to(provider), operator_id=operator.id)
    stage = Stage(
        servers=servers,
        variables=variables,
        shops=tuple(shops),
        provider_id=str(provider.id),
        provider_url=provider_url(port),
        provider_control_url=control_url(port),
        provider_key=kept.provider_key,
        in_flight_max=SIMULATOR_IN_FLIGHT_MAX,
    )
    await _raise_limits(stage)
    await_port(port)
    return stage


async def _raise_limits(stage: Stage) -> None:
    """By the plan, as for a large customer: the limiter works, and refuses nobody here."""
    limits = json.dumps({"orders-write": _PER_MINUTE})
    connection = await asyncpg.connect(stage.plain_database_url)
    try:
        await connection.execute("UPDATE plans SET limits_per_minute = $1::jsonb", limits)
    finally:
        await connection.close()


def await_port(port: int) -> None:
    """Return once somebody listens there."""
    deadline = time.monotonic() + _START_SECONDS_MAX
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


HERE: Final = Path(__file__).parent.parent
"""Where the processes of the bench itself are started, so that they find their modules."""
