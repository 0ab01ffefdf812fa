"""A worker that is stopped between its connection to a provider and the first byte, by itself.

All of it is the product's but the transport under its wire, which sends SIGSTOP to the process once
the connection stands: what a debugger, a suspended machine or a starved one can do at any moment.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.providers.wire import Wire
from workers.context import WorkerContext
from workers.dispatch import drain_dispatch

Trace = Callable[[str, Mapping[str, Any]], Awaitable[None]]


class StoppedOnceConnected(httpx.AsyncHTTPTransport):
    """Connects, stops the process, and goes on when it is woken: with this call, and no other."""

    def __init__(self, stopping: asyncio.Event) -> None:
        super().__init__(trust_env=False)
        self._stopping = stopping

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        trace: Trace = request.extensions["trace"]

        async def stop_once_connected(event: str, info: Mapping[str, Any]) -> None:
            # The last that is told before the first byte: the wire's own look at the deadline
            # comes with it, after the sleep.
            if event == "http11.send_request_headers.started":
                self._stopping.set()
                os.kill(os.getpid(), signal.SIGSTOP)
            await trace(event, info)

        request.extensions["trace"] = stop_once_connected
        return await super().handle_async_request(request)


async def hand_over(env_file: str, provider_id: str) -> None:
    """Drain one provider's lane, as a worker process would."""
    settings = Settings(_env_file=env_file)
    stopping = asyncio.Event()
    async with (
        open_runtime(settings, name="stopped", with_doorbell=False) as runtime,
        Wire(transport=StoppedOnceConnected(stopping)) as wire,
    ):
        await drain_dispatch(WorkerContext(runtime, wire, stopping), provider_id)


if __name__ == "__main__":
    asyncio.run(hand_over(*sys.argv[1:]))
