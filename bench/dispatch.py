"""Orders a second that a worker hands over, over a bare httpx loop to the same provider."""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final, Literal
from uuid import UUID

from app.cli.context import actor, opened
from app.cli.stack.processes import free_ports
from app.core.errors import AppError
from app.core.http import AsyncClient, Bounds, bounded_client
from app.orders import placing
from app.orders.pricing import NewOrder
from app.providers.forms import OrderForm
from bench import bare_dispatch
from bench.memory import Memory, memory_of
from bench.stage import HERE, Stage

ROUNDS: Final = 4
SERVICE: Final = 2
WARM_UP: Final = 200
ORDERS: Final = 1_000
_BATCH: Final = 100
_SECONDS_MAX: Final = 60.0
_LOOK_EVERY_SECONDS: Final = 0.25
_BOUNDS: Final = Bounds(connect_seconds=5, read_seconds=10, connections_max=1, keep_alive=True)


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Orders a second, round by round, by the provider's own log."""

    product: list[float]
    bare: list[float]
    bare_kept: float
    worker_memory: Memory | None
    at_once: int

    @property
    def ratio(self) -> float:
        """The median over the rounds, over the loop that opens a connection per order as we do."""
        pairs = zip(self.product, self.bare, strict=True)
        return median(ours / bare for ours, bare in pairs)


async def measure(stage: Stage) -> Dispatch:
    """Let the worker and the bare loop place as many orders in turn."""
    product, bare = [], []
    memory: Memory | None = None
    async with provider_log(stage) as log:
        for _ in range(ROUNDS):
            await place_orders(stage, SERVICE, WARM_UP + ORDERS)
            seen = await log.length()
            memory = await work(stage, log, until=seen + WARM_UP + ORDERS)
            product.append(await log.rate(since=seen))
            bare.append(await _bare(stage, log, "fresh"))
        kept = await _bare(stage, log, "kept")
    return Dispatch(product, bare, kept, memory, stage.in_flight_max)


@asynccontextmanager
async def provider_log(stage: Stage) -> AsyncIterator[ProviderLog]:
    async with bounded_client(_BOUNDS) as client:
        yield ProviderLog(client, f"{stage.provider_control_url}/accepted")


@dataclass(frozen=True, slots=True)
class ProviderLog:
    """What the simulator has accepted, in order, with its own times."""

    client: AsyncClient
    url: str

    async def length(self) -> int:
        return len(await self._entries())

    async def rate(self, *, since: int) -> float:
        """Orders a second from the first to the last accepted after entry `since` and a warm-up."""
        entries = (await self._entries())[since:]
        if len(entries) != WARM_UP + ORDERS:
            raise SystemExit(f"{len(entries)} orders were accepted, not {WARM_UP + ORDERS}")
        times = [datetime.fromisoformat(entry["at"]) for entry in entries[WARM_UP:]]
        return (ORDERS - 1) / (max(times) - min(times)).total_seconds()

    async def _entries(self) -> Sequence[Any]:
        entries: Sequence[Any] = (await self.client.get(self.url)).json()
        return entries


async def place_orders(stage: Stage, service_id: int, count: int) -> None:
    """Before the clock starts, with no worker about."""
    async with opened(stage.settings) as runtime:
        for number, start in enumerate(range(0, count, _BATCH)):
            shop = stage.shops[number % len(stage.shops)]
            items = [
                NewOrder(
                    service_id,
                    OrderForm(link=f"https://www.instagram.com/p/{uuid.uuid4()}", quantity=100),
                )
                for _ in range(min(_BATCH, count - start))
            ]
            async with runtime.uow.begin() as session:
                placed = await placing.place_batch(
                    session, runtime.keys, UUID(shop.book_id), items, actor=actor()
                )
            if any(isinstance(one, AppError) for one in placed):
                raise SystemExit("An order to be handed over was refused.")


async def work(
    stage: Stage, log: ProviderLog, *, until: int, then: Callable[[], Awaitable[None]] | None = None
) -> Memory | None:
    """A worker process from its start until the provider has everything; `then` before it ends."""
    [metrics_port] = free_ports(1)
    deadline = time.monotonic() + _SECONDS_MAX
    with stage.processes() as (supervisor, processes):
        processes.start_worker(metrics_port)
        while await log.length() < until:
            if time.monotonic() > deadline:
                raise SystemExit("The worker did not hand over all orders.")
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        [pid] = supervisor.pids()["worker"]
        memory = memory_of(pid)
        if then is not None:
            await then()
        return memory


async def _bare(stage: Stage, log: ProviderLog, connections: Literal["fresh", "kept"]) -> float:
    seen = await log.length()
    arguments = [stage.provider_url, str(WARM_UP + ORDERS), str(stage.in_flight_max), connections]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.bare_dispatch", *arguments),
        env={**os.environ, bare_dispatch.KEY_VARIABLE: stage.provider_key},
        cwd=HERE,
    )
    if await process.wait():
        raise SystemExit("The bare loop failed.")
    return await log.rate(since=seen)
