"""`smmos api`: one process that serves HTTP on one port."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final

import typer
import uvicorn

from app.core.garbage import spare_what_is_loaded
from app.core.logging import configure_logging
from app.core.settings import Settings, load_settings
from app.main import create_app, stop_soon

GRACEFUL_SECONDS: Final = 30
KEEP_ALIVE_SECONDS: Final = 75
"""Longer than common proxies keep a connection idle: the side that reuses it should close it."""
_LOOK_EVERY_SECONDS: Final = 0.05

commands = typer.Typer()


@commands.command()
def api(
    port: Annotated[
        int | None, typer.Option(help="Port to listen on; SMMOS_PORT by default.", min=0, max=65535)
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; SMMOS_HOST by default.")
    ] = None,
) -> None:
    """Serve the HTTP API: one process on one port; put more of them behind a proxy."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    app = create_app(settings)
    config = server_config(app, settings, host=host, port=port)
    spare_what_is_loaded()
    DrainingServer(config, partial(stop_soon, app), settings.unready_seconds).run()


class DrainingServer(uvicorn.Server):
    """Told to stop, it first says so: /readyz turns 503 and answers close their connections, while
    all requests are still served. What a proxy had on its way by then is answered, too.
    """

    def __init__(
        self, config: uvicorn.Config, say_so: Callable[[], None], unready_seconds: float
    ) -> None:
        super().__init__(config)
        self._say_so = say_so
        self._unready_seconds = unready_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._say_so()
        until = time.monotonic() + self._unready_seconds
        # A second Ctrl-C asks for haste.
        while time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110 - a signal's flag
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
        await super().shutdown(sockets)


def server_config(
    app: Any, settings: Settings, *, host: str | None = None, port: int | None = None
) -> uvicorn.Config:
    """How uvicorn serves it; where a setting says so unless an argument says otherwise."""
    return uvicorn.Config(
        app,
        host=settings.host if host is None else host,
        port=settings.port if port is None else port,
        loop="uvloop",
        http="httptools",
        ws="none",
        proxy_headers=True,
        forwarded_allow_ips=settings.forwarded_allow_ips,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
