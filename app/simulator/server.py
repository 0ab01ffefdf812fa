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
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.simulator.application import create_app
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import OPENING_BALANCE_MICROS, Provider
from app.simulator.sending import ABORT

API_PATH: Final = "/api/v2"
_START_SECONDS_MAX: Final = 10.0
_NOBODY: Final = Response("Nobody is served here.", status_code=503)


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
        uvicorn.Server(_config(create_app(provider), host, port)).run()
    finally:
        provider.close()


class BackgroundServer:
    """A server in a thread beside a test. What it serves changes while it runs: each provider is a
    new one, but to start and stop a server for it would take longer than most tests.
    """

    def __init__(self, port: int) -> None:
        base = f"http://127.0.0.1:{port}"
        self._addresses = Addresses(f"{base}{API_PATH}", f"{base}/control")
        self._application: ASGIApp = _NOBODY

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._application(scope, receive, send)

    @contextmanager
    def serving(self, provider: Provider) -> Iterator[Addresses]:
        """Until the block ends it is this provider that answers."""
        self._application = create_app(provider)
        try:
            yield self._addresses
        finally:
            self._application = _NOBODY
            provider.close()


@contextmanager
def background_server() -> Iterator[BackgroundServer]:
    """Listen on a free loopback port until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    background = BackgroundServer(listener.getsockname()[1])
    server = uvicorn.Server(_config(background, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        _await_start(server)
        yield background
    finally:
        server.should_exit = server.force_exit = True
        thread.join(_START_SECONDS_MAX)
        listener.close()


@contextmanager
def in_background(provider: Provider) -> Iterator[Addresses]:
    """A server of its own for this provider, until the block ends."""
    with background_server() as background, background.serving(provider) as addresses:
        yield addresses


class _DroppableProtocol(HttpToolsProtocol):
    """Lets an application hang up without an answer, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][ABORT] = self.transport.abort


def _config(application: ASGIApp, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        application,
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
