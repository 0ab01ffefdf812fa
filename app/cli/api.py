"""`smmos api`: one process that serves HTTP on one port."""

from __future__ import annotations

from typing import Annotated, Final

import typer
import uvicorn

from app.core.logging import configure_logging
from app.core.settings import Settings, load_settings
from app.main import create_app

GRACEFUL_SECONDS: Final = 30

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
    uvicorn.Server(_server_config(settings, host, port)).run()


def _server_config(settings: Settings, host: str | None, port: int | None) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings),
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
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
