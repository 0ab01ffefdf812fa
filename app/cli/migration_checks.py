"""`smmos check-migrations`: one head, equal to the models, reversible, and safe by the linter."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer

from app.cli.refusals import CommandFailed
from app.core.migrating import upgrade
from app.core.migration_checks import differences, downgrade_to_nothing, heads, offline_sql
from app.embedded import temporary_stack
from app.schema import metadata

_RULES: Final = Path(__file__).resolve().parents[2] / ".squawk.toml"
_LINT_SECONDS_MAX: Final = 60

commands = typer.Typer()


@commands.command("check-migrations")
def check_migrations() -> None:
    """Run all migrations forth and back on a new database, and compare them with the models."""
    with temporary_stack() as stack:
        found = list(_problems(stack.database_url))
    for problem in found:
        print(problem)
    if found:
        raise typer.Exit(1)
    print("the migrations are in step with the models")


def _problems(database_url: str) -> Iterator[str]:
    found = heads()
    if len(found) != 1:
        yield f"there is not one head but {len(found)}: {', '.join(found)}"
        return
    yield from asyncio.run(_forth_and_back(database_url))
    yield from _lint(offline_sql())


async def _forth_and_back(database_url: str) -> list[str]:
    await upgrade(database_url)
    found = [f"the models differ: {one}" for one in await differences(database_url, metadata)]
    left = await downgrade_to_nothing(database_url)
    found.extend(f"downgrading leaves the table {table}" for table in left)
    # What a downgrade leaves behind besides tables makes this fail.
    await upgrade(database_url)
    return found


def _lint(sql: str) -> list[str]:
    """What squawk finds under the rules of `.squawk.toml`."""
    # Beside this Python first: the environment need not be on the PATH.
    beside = str(Path(sys.executable).parent)
    squawk = shutil.which("squawk", path=beside) or shutil.which("squawk")
    if squawk is None:
        raise CommandFailed("squawk is not installed; `./run check` brings it along.")
    done = subprocess.run(  # noqa: S603 - argv is ours, no shell
        [squawk, "--config", str(_RULES), "--reporter", "gcc"],
        input=sql,
        capture_output=True,
        text=True,
        timeout=_LINT_SECONDS_MAX,
        check=False,
    )
    return [] if done.returncode == 0 else [done.stdout + done.stderr]
