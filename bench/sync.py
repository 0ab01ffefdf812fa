"""Provider services a second that a sync takes over, over a bare upsert of the same rows."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg
import httpx
import orjson

from app.cli.context import opened
from app.core.logging import configure_logging
from app.core.runtime import Runtime
from app.providers.wire import Wire
from bench.stage import Stage
from workers.sync import sync_provider

SERVICES: Final = 5_000
ROUNDS: Final = 4
_BARE_PROVIDER: Final = uuid4()

_BARE_TABLE: Final = """
    CREATE TABLE bare_services (
        provider_id uuid, service text, name text, type text, category text, rate bigint,
        min bigint, max bigint, refill boolean, cancel boolean, dripfeed boolean,
        PRIMARY KEY (provider_id, service))
"""
_BARE_UPSERT: Final = """
    INSERT INTO bare_services
    SELECT $1, * FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[],
        $9::boolean[], $10::boolean[], $11::boolean[])
    ON CONFLICT (provider_id, service) DO UPDATE
    SET name = excluded.name, type = excluded.type, category = excluded.category,
        rate = excluded.rate, min = excluded.min, max = excluded.max, refill = excluded.refill,
        cancel = excluded.cancel, dripfeed = excluded.dripfeed
"""


@dataclass(frozen=True, slots=True)
class Sync:
    """Seconds that each way took, round by round: every round changes every price."""

    product: list[float]
    bare: list[float]

    @property
    def ratio(self) -> float:
        """The median over the rounds: 1 is as fast as a statement that judges nothing."""
        pairs = zip(self.product, self.bare, strict=True)
        return median(bare / ours for ours, bare in pairs)


class _List(httpx.AsyncBaseTransport):
    """A provider on no wire at all, whose prices a round has set."""

    def __init__(self) -> None:
        self.body = b"[]"

    async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=_OneChunk(self.body))


class _OneChunk(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


async def measure(stage: Stage) -> Sync:
    """Let a sync and a bare statement take over the same list in turn."""
    configure_logging("warning", "console")
    listed = _List()
    connection = await asyncpg.connect(stage.plain_database_url)
    product, bare = [], []
    try:
        await connection.execute(_BARE_TABLE)
        async with opened(stage.settings) as runtime, Wire(transport=listed) as wire:
            for number in range(ROUNDS + 1):
                entries = _entries(number)
                listed.body = orjson.dumps(entries)
                ours = await _sync(runtime, wire, UUID(stage.provider_id))
                theirs = await _upsert(connection, listed.body)
                if number:  # the first one fills both tables and warms up
                    product.append(ours)
                    bare.append(theirs)
    finally:
        await connection.close()
    return Sync(product, bare)


def _entries(number: int) -> list[dict[str, Any]]:
    """Ids of no other measurement; prices that move in every round, too little to be found."""
    return [
        {
            "service": f"bench-{service}",
            "name": f"Service {service} of a long list",
            "type": "Default",
            "category": "Measured",
            "rate": f"1.{number:02}",
            "min": "10",
            "max": "100000",
            "refill": True,
            "cancel": False,
            "dripfeed": False,
        }
        for service in range(SERVICES)
    ]


async def _sync(runtime: Runtime, wire: Wire, provider_id: UUID) -> float:
    started = time.perf_counter()
    synced = await sync_provider(runtime, wire, provider_id)
    if synced.failure or synced.counts["listed"] != SERVICES:
        raise SystemExit(f"The sync did not take the list over: {synced}")
    return time.perf_counter() - started


async def _upsert(connection: Any, body: bytes) -> float:
    """The least that could keep a list: read it, and put it into a table as it is."""
    started = time.perf_counter()
    entries = orjson.loads(body)
    columns = [[entry[name] for entry in entries] for name in ("service", "name", "type")]
    columns.append([entry["category"] for entry in entries])
    columns.append([int(float(entry["rate"]) * 1_000_000) for entry in entries])
    columns += [[int(entry[name]) for entry in entries] for name in ("min", "max")]
    columns += [[entry[name] for entry in entries] for name in ("refill", "cancel", "dripfeed")]
    await connection.execute(_BARE_UPSERT, _BARE_PROVIDER, *columns)
    return time.perf_counter() - started
