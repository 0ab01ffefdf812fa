"""Orders a second through `POST /v1/orders`, over the bare handler that does the same writes."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from app.cli.stack.processes import HOST, free_ports
from app.embedded import Supervisor
from app.ledger.models import HOUSE, AccountKind
from bench import bare_intake, load
from bench.load import Load
from bench.memory import Memory, memory_of
from bench.stage import HERE, Shop, Stage, await_port

ROUNDS: Final = {16: 3, 64: 7}
"""By the number of connections. Orders that arrive together share a transaction, so that the ratio
rises with the load."""
COMPARED: Final = 64
"""The number of connections at which the limit holds."""
REQUESTS: Final = 700
WARM_UP: Final = 300


@dataclass(frozen=True, slots=True)
class Level:
    """What both did with so many connections, round by round."""

    connections: int
    product: list[Load]
    bare: list[Load]

    @property
    def ratio(self) -> float:
        """The median over the rounds: a neighbour's burst spoils a round, not the figure."""
        pairs = zip(self.product, self.bare, strict=True)
        return median(ours.per_second / bare.per_second for ours, bare in pairs)


@dataclass(frozen=True, slots=True)
class Intake:
    """Every level of load, and what the API process then held."""

    levels: list[Level]
    api_memory: Memory | None


async def measure(stage: Stage) -> Intake:
    """Load product and bare handler in turn, with the same requests, on the same database."""
    api_port, bare_port = free_ports(2)
    levels = []
    with _serving(stage, api_port, bare_port) as supervisor:
        for connections, rounds in ROUNDS.items():
            for port in (api_port, bare_port):
                await _load(stage, port, WARM_UP, connections)
            level = Level(connections, [], [])
            for _ in range(rounds):
                level.product.append(await _load(stage, api_port, REQUESTS, connections))
                level.bare.append(await _load(stage, bare_port, REQUESTS, connections))
            levels.append(level)
        [api_pid] = supervisor.pids()["api"]
        return Intake(levels, memory_of(api_pid))


@contextmanager
def _serving(stage: Stage, api_port: int, bare_port: int) -> Iterator[Supervisor]:
    with stage.processes() as (supervisor, processes):
        processes.start_api(api_port)
        supervisor.spawn(
            "bare_intake",
            [sys.executable, "-m", "bench.bare_intake", str(bare_port)],
            env={
                **os.environ,
                bare_intake.DATABASE_VARIABLE: stage.plain_database_url,
                bare_intake.WORLD_VARIABLE: json.dumps(_world(stage)),
            },
            cwd=HERE,
        )
        await_port(api_port)
        await_port(bare_port)
        yield supervisor


def _world(stage: Stage) -> dict[str, object]:
    return {
        "books": {f"Bearer {shop.key}": shop.book_id for shop in stage.shops},
        "lane": stage.provider_id,
        "held_account": str(HOUSE[AccountKind.HELD]),
    }


async def _load(stage: Stage, port: int, count: int, connections: int) -> Load:
    requests = [_request(stage.shops[number % len(stage.shops)]) for number in range(count)]
    return await load.run(HOST, port, requests, connections=connections)


def _request(shop: Shop) -> bytes:
    """One order of its own: another key, another link."""
    key = str(uuid.uuid4())
    body = json.dumps(
        {"service_id": 2, "link": f"https://www.instagram.com/p/{key}", "quantity": 100}
    ).encode()
    head = (
        "POST /v1/orders HTTP/1.1\r\n"
        f"Host: {HOST}\r\n"
        f"Authorization: Bearer {shop.key}\r\n"
        f"Idempotency-Key: {key}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
