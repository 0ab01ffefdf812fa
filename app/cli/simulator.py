"""`smmos simulator`: a pretend provider over real HTTP, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.simulator import server
from app.simulator.orders import Pace

commands = typer.Typer()
_PACE = Pace()


@commands.command()
def simulator(
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    state_file: Annotated[
        Path | None, typer.Option(help="Where it keeps its orders between starts.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(help="The only key it lets in; any by default.", envvar="SIMULATOR_KEY"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Start of its pseudo-random faults.")] = 0,
    units_per_second: Annotated[
        float, typer.Option(help="Speed of delivery, of each order.", min=0)
    ] = _PACE.units_per_second,
    start_delay: Annotated[
        float, typer.Option(help="Seconds before an order starts.", min=0)
    ] = _PACE.start_delay_seconds,
) -> None:
    """Pretend to be a provider: sells, delivers, misbehaves on demand, keeps an oracle."""
    pace = Pace(units_per_second=units_per_second, start_delay_seconds=start_delay)
    server.run(host, port, state_file=state_file, pace=pace, key=key, seed=seed)
