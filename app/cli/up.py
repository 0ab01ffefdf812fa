"""`smmos up`: the whole platform on this machine, kept running until it is told to stop."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.stack.development import StackOptions, development_stack
from app.cli.stack.interrupts import interruptible
from app.core.logging import configure_logging

commands = typer.Typer()


@commands.command()
def up(
    port: Annotated[
        int, typer.Option(help="Port of the API; 0 takes any free one.", min=0, max=65535)
    ] = 8000,
    data_dir: Annotated[
        Path, typer.Option(help="Folder for data, logs and secrets.", envvar="SMMOS_DATA_DIR")
    ] = Path(".smmos"),
    ready_file: Annotated[
        Path | None, typer.Option(help="Written, as JSON, whenever all is ready.")
    ] = None,
    simulator: Annotated[bool, typer.Option(help="Run and sell a simulated provider.")] = True,
    api_processes: Annotated[
        int, typer.Option(help="How many API processes, each on its own port.", min=1, max=16)
    ] = 1,
    workers: Annotated[int, typer.Option(help="How many worker processes.", min=1, max=16)] = 1,
    time_scale: Annotated[
        float,
        typer.Option(
            help="Divides the waits of simulated deliveries.",
            min=1,
            max=10_000,
            envvar="SMMOS_TIME_SCALE",
        ),
    ] = 60.0,
) -> None:
    """Run the whole platform here: servers, API, worker, simulated provider."""
    configure_logging("info", "console")
    options = StackOptions(
        port=port,
        data_dir=data_dir,
        ready_file=ready_file,
        simulator=simulator,
        api_processes=api_processes,
        workers=workers,
        time_scale=time_scale,
    )
    with interruptible(), development_stack(options) as stack:
        print(stack.greeting(), flush=True)
        try:
            stack.keep_running()
        except KeyboardInterrupt:
            print("stopping", flush=True)
    print("stopped", flush=True)
