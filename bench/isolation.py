"""Orders a second for a sound provider while all calls to another hang, over the same without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.cli.context import opened
from app.cli.stack.assortment import ASSORTMENT
from app.cli.stack.processes import HOST
from app.cli.stack.seed import (
    RoutePlan,
    SeedProvider,
    ensure_operator,
    ensure_provider,
    ensure_services,
)
from app.supply import pausing
from bench.dispatch import (
    ORDERS,
    SERVICE,
    WARM_UP,
    ProviderLog,
    place_orders,
    provider_log,
    work,
)
from bench.stage import Stage

ROUNDS: Final = 4
HANGING_SERVICE: Final = 900_001
_LOOK_EVERY_SECONDS: Final = 0.05
_SECONDS_MAX: Final = 60.0

_PUT_POLLS_OFF: Final = "UPDATE work SET due_at = due_at + interval '1 day' WHERE kind = 'follow'"
_UNDER_WAY: Final = """
    SELECT count(*) FROM work WHERE kind = 'dispatch' AND lane = $1 AND lease_token IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Isolation:
    """Orders a second that the sound provider accepted, round by round."""

    alone: list[float]
    beside: list[float]
    hanging_calls: int

    @property
    def ratio(self) -> float:
        """The median over the rounds: 1 is a neighbour that is not felt at all."""
        pairs = zip(self.beside, self.alone, strict=True)
        return median(beside / alone for beside, alone in pairs)


async def measure(stage: Stage) -> Isolation:
    """The same orders in turn: by themselves, and while the neighbour's calls hang."""
    alone: list[float] = []
    beside: list[float] = []
    database = await asyncpg.connect(stage.plain_database_url)
    try:
        async with provider_log(stage) as log, _neighbour(stage, database) as neighbour:
            for number in range(ROUNDS):
                # Each goes first in half of the rounds: a machine may be slower by then.
                for hangs in (number % 2 == 0, number % 2 == 1):
                    rate = await _rate(stage, log, neighbour, hangs=hangs)
                    (beside if hangs else alone).append(rate)
    finally:
        await database.close()
    return Isolation(alone, beside, stage.in_flight_max)


async def _rate(stage: Stage, log: ProviderLog, neighbour: _Neighbour, *, hangs: bool) -> float:
    # Polls of the rounds before would be measured along, more of them each time.
    await neighbour.database.execute(_PUT_POLLS_OFF)
    await place_orders(stage, SERVICE, WARM_UP + ORDERS)
    if hangs:
        await neighbour.give_orders(stage)
    seen = await log.length()
    await work(stage, log, until=seen + WARM_UP + ORDERS, then=neighbour.hang_up)
    if hangs and neighbour.calls < stage.in_flight_max:
        raise SystemExit(f"Only {neighbour.calls} calls of the neighbour were hanging.")
    return await log.rate(since=seen)


@dataclass(slots=True)
class _Neighbour:
    """A provider that takes every call and answers none."""

    database: Any
    provider_id: UUID | None = None
    connections: set[asyncio.StreamWriter] = field(default_factory=set)
    calls: int = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.add(writer)
        self.calls += 1
        await reader.read()  # until the caller gives up

    async def give_orders(self, stage: Stage) -> None:
        """As many as may hang at once; what the last round taught of it is forgotten."""
        self.calls = 0
        if self.provider_id is None:
            raise SystemExit("The neighbour is not open yet.")
        async with opened(stage.settings) as runtime, runtime.uow.begin() as session:
            await pausing.resume(session, self.provider_id)
        await place_orders(stage, HANGING_SERVICE, stage.in_flight_max)

    async def hang_up(self) -> None:
        """End the calls, and see them recorded, so that the next round finds all places free."""
        for writer in self.connections:
            writer.close()
        self.connections.clear()
        async with asyncio.timeout(_SECONDS_MAX):
            while await self.database.fetchval(_UNDER_WAY, str(self.provider_id)):  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(_LOOK_EVERY_SECONDS)


@asynccontextmanager
async def _neighbour(stage: Stage, database: Any) -> AsyncIterator[_Neighbour]:
    neighbour = _Neighbour(database)
    server = await asyncio.start_server(neighbour.take, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with opened(stage.settings) as runtime, runtime.uow.begin() as session:
            operator = await ensure_operator(session, name="Bench", email="bench@example.com")
            wanted = SeedProvider("Hanging panel", f"http://{HOST}:{port}/api/v2", "none")
            provider = await ensure_provider(session, runtime.keys, wanted)
            [sold] = [service for service in ASSORTMENT if service.id == SERVICE]
            plan = RoutePlan(replace(sold, id=HANGING_SERVICE), [provider])
            await ensure_services(session, [plan], operator_id=operator.id)
        neighbour.provider_id = provider.id
        yield neighbour
