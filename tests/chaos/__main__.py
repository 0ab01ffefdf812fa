"""`./run chaos`: break the platform at random, seed after seed, and say what did not hold."""

import shlex
import sys
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from tests.chaos.run import Outcome, run_seed

SHOWN_MAX: Final = 10

_console = Console(width=None if sys.stdout.isatty() else 110)


def chaos(
    seeds: Annotated[int, typer.Option(help="How many seeds, one after the other.", min=1)] = 1,
    minutes: Annotated[
        float, typer.Option(help="How long each is under load.", min=0.1, max=60)
    ] = 1.0,
    first: Annotated[int, typer.Option(help="The first seed; the same seed breaks the same.")] = 1,
    naive: Annotated[
        bool, typer.Option("--naive", help="With workers that send again: this must fail.")
    ] = False,
) -> None:
    """Kill, stop, restart and flush whatever the platform stands on while resellers order through
    two API processes and two workers deliver; then judge every promise.
    """
    outcomes = []
    for seed in range(first, first + seeds):
        _console.print(f"[bold]seed {seed}[/]: {minutes:g} min of trouble")
        outcome = run_seed(seed, minutes * 60, naive=naive, say=_console.out)
        _tell(outcome)
        outcomes.append(outcome)
    _console.print(_table(outcomes))
    failed = [outcome.seed for outcome in outcomes if not outcome.passed]
    for seed in failed:
        again = ["./run", "chaos", "--first", str(seed), "--minutes", f"{minutes:g}"]
        again += ["--naive"] if naive else []
        _console.print(f"again: {shlex.join(again)}")
    raise typer.Exit(1 if failed else 0)


def _tell(outcome: Outcome) -> None:
    for found in outcome.found[:SHOWN_MAX]:
        _console.out(f"  {found}")
    if len(outcome.found) > SHOWN_MAX:
        _console.out(f"  and {len(outcome.found) - SHOWN_MAX} more")


def _table(outcomes: list[Outcome]) -> Table:
    table = Table("seed", "blows", "acknowledged", "answers", "states", "sent twice", "verdict")
    for one in outcomes:
        table.add_row(
            str(one.seed),
            str(one.blows),
            str(one.acknowledged),
            ", ".join(f"{code or 'broken'}: {n}" for code, n in sorted(one.answers.items())),
            ", ".join(f"{state}: {n}" for state, n in sorted(one.states.items())),
            str(one.duplicates),
            "[green]kept[/]" if one.passed else f"[red]{len(one.found)} broken[/]",
        )
    return table


if __name__ == "__main__":
    typer.run(chaos)
