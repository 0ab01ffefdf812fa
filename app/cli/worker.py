"""`smmos worker`: one process that hands orders over, follows them and keeps house."""

from __future__ import annotations

import typer

from app.core.logging import configure_logging
from app.core.settings import load_settings
from workers.main import run

commands = typer.Typer()


@commands.command()
def worker() -> None:
    """Hand orders to providers and follow them; SIGTERM sees calls under way through."""
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format)
    run(settings)
