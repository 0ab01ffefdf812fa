"""The least that could hand orders over: a loop of httpx calls, so many at once, nothing kept."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from typing import Final

import httpx
import uvloop

KEY_VARIABLE: Final = "BENCH_PROVIDER_KEY"


async def place_all(url: str, key: str, *, orders: int, at_once: int, keep_alive: bool) -> None:
    """Place so many orders; a kept connection is what the product's submits may not use."""
    limits = httpx.Limits(
        max_connections=at_once, max_keepalive_connections=at_once if keep_alive else 0
    )
    waiting = iter(range(orders))
    async with httpx.AsyncClient(limits=limits, trust_env=False, timeout=30) as client:

        async def place() -> None:
            for _ in waiting:
                link = f"https://www.instagram.com/p/{uuid.uuid4()}"
                form = {"key": key, "action": "add", "service": "102", "link": link}
                answer = await client.post(url, data={**form, "quantity": "100"})
                if "order" not in answer.json():
                    raise SystemExit(f"The simulator answered {answer.text}")

        await asyncio.gather(*(place() for _ in range(at_once)))


if __name__ == "__main__":
    target, count, concurrency, connections = sys.argv[1:]
    uvloop.run(
        place_all(
            target,
            os.environ[KEY_VARIABLE],
            orders=int(count),
            at_once=int(concurrency),
            keep_alive=connections == "kept",
        )
    )
