"""Runs the simulator: as a process of its own, or from a thread beside a test."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.simulator.application import create_app
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import OPENING_BALANCE_MICROS, Provider
from app.simulator.sending import ABORT

API_PATH: Final = "/api/v2"
_START_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running simulator is found."""

    provider_url: str
    control_url: str


def run(
    host: str,
    port: int,
    *,
    state_file: Path | None = None,
    pace: Pace | None = None,
    key: str | None = None,
    seed: int = 0,
    balance_micros: int = OPENING_BALANCE_MICROS,
) -> None:
    """Serve until a signal ends the process; with a state file it goes on where it was killed."""
    provider = Provider(
        Journal(state_file), pace=pace, key=key, seed=seed, balance_micros=balance_micros
    )
    try:
        uvicorn.Server(_config(provider, host, port)).run()
    finally:
        provider.close()


@contextmanager
def in_background(provider: Provider) -> Iterator[Addresses]:
    """Serve on a free loopback port from a thread, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(_config(provider, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        _await_start(server)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield Addresses(f"{base}{API_PATH}", f"{base}/control")
    finally:
        server.should_exit = server.force_exit = True
        thread.join(_START_SECONDS_MAX)
        listener.close()
        provider.close()


class _DroppableProtocol(HttpToolsProtocol):
    """Lets an application hang up without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][ABORT] = self.transport.abort


def _config(provider: Provider, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(provider),
        host=host,
        port=port,
        http=_DroppableProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )


def _await_start(server: uvicorn.Server) -> None:
    deadline = time.monotonic() + _START_SECONDS_MAX
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("The simulator did not start.")
        time.sleep(0.002)
