"""`smmos backup`, `restore`, `restored`: a copy of the database, and what follows its return."""

from __future__ import annotations

import asyncio
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import typer

from app.cli.context import actor, opened, transaction
from app.cli.migrate import bring_to_head
from app.cli.refusals import CommandFailed
from app.core import audit, lineage
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.inspection import Unreachable, is_empty
from app.core.settings import Settings, load_settings
from app.embedded.binaries import find_client
from app.orders import restored as after_restore
from app.orders.restored import Doubted
from app.schedules import starting

_HOURS_MAX: Final = 12
_STATEMENT_SECONDS_MAX: Final = 600
_SSL: Final = {"ssl": "PGSSLMODE", "sslmode": "PGSSLMODE"}

commands = typer.Typer()


@commands.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A new file, in pg_dump's custom format.")],
) -> None:
    """Write the database to a file, as it is at this moment, while all goes on.

    The file holds what the database holds: keep it as safe. Keep the master keys elsewhere.
    """
    if file.exists():
        raise CommandFailed(f"{file} exists already.")
    # Nobody else is to read it, from its first byte on.
    file.touch(mode=0o600)
    try:
        _run("pg_dump", "--format=custom", f"--file={file}")
    except BaseException:
        file.unlink()
        raise
    print(f"written to {file}, {file.stat().st_size} bytes")


@commands.command()
def restore(
    file: Annotated[
        Path, typer.Argument(help="What `smmos backup` or pg_dump wrote.", exists=True)
    ],
) -> None:
    """Bring a backup into an empty database, and doubt all that waits in it.

    Stop every API and worker first. All is restored, or nothing. Then it is brought to this
    version's schema.
    """
    settings = load_settings()
    asyncio.run(_refuse_filled(settings))
    _run(
        "pg_restore",
        "--single-transaction",
        "--exit-on-error",
        "--no-owner",
        f"--dbname={_environment()['PGDATABASE']}",
        str(file),
    )
    asyncio.run(bring_to_head(settings))
    _tell(asyncio.run(_vouch(settings, None, whole=False)))


@commands.command()
def restored(
    since: Annotated[
        datetime | None,
        typer.Option(
            help="When the backup was made, in UTC; by default when the last order was sent that"
            " the database knows of.",
            formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"],
        ),
    ] = None,
    nothing_lost: Annotated[
        bool,
        typer.Option(
            help="It was only moved: not one transaction is missing. Nothing is doubted then."
        ),
    ] = False,
) -> None:
    """Say that this database was restored by other means than `smmos restore`.

    All that waits in it is doubted, as it may have been sent after the backup; then work goes on.
    """
    if since is not None and nothing_lost:
        raise CommandFailed("--since and --nothing-lost contradict each other.")
    if since is None and not nothing_lost:
        asyncio.run(_refuse_at_home())
    moment = None if since is None else since.replace(tzinfo=UTC)
    _tell(asyncio.run(_vouch(load_settings(), moment, whole=nothing_lost)))


async def _refuse_filled(settings: Settings) -> None:
    async with opened(settings) as runtime:
        try:
            empty = await is_empty(runtime)
        except Unreachable as error:
            raise CommandFailed(f"The database does not answer: {error}.") from error
    if not empty:
        raise CommandFailed("The database is not empty. Restore into a new one.")


async def _refuse_at_home() -> None:
    async with transaction() as (_, session):
        if not await lineage.is_restored(session):
            raise CommandFailed(
                "Nothing says that this database was restored. If it was all the same, such as by a"
                " snapshot of its disk, name with --since the moment that it was brought back to."
            )


async def _vouch(settings: Settings, since: datetime | None, *, whole: bool) -> Doubted | None:
    patient = settings.model_copy(update={"statement_timeout_seconds": _STATEMENT_SECONDS_MAX})
    async with opened(patient) as runtime:

        async def transaction(session: Session) -> Doubted:
            if not whole:
                await starting.start_missed(session, runtime.keys, time_scale=settings.time_scale)
            doubted = await after_restore.doubt_waiting(
                session, since=since, actor=actor(), whole=whole
            )
            data = {"since": rfc3339(doubted.since), "orders": doubted.orders, "whole": whole}
            await audit.record(session, actor(), "database.restored", "database", data)
            return doubted

        doubted = await runtime.uow.run(transaction)
    return None if whole else doubted


def _tell(doubted: Doubted | None) -> None:
    if doubted is None:
        print("the database is taken for whole; work goes on")
        return
    print(f"restored to {rfc3339(doubted.since)}")
    print(f"{doubted.orders} orders were waiting and may have been sent since: under review")
    print(f"{doubted.refills} refills may have been asked for since: unknown")
    print("next: `smmos providers reconcile` for each provider; docs/operate/database-restored.md")


def _run(program: str, *arguments: str) -> None:
    """One of PostgreSQL's own programs on the configured database, its password in no argument."""
    done = subprocess.run(  # noqa: S603 - argv is ours, no shell
        [str(find_client(program)), "--no-password", *arguments],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=_HOURS_MAX * 3600,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed(f"{program} ended with {done.returncode}: {done.stderr.strip()}")


def _environment() -> dict[str, str]:
    """How libpq is told where the database is, by the role that may change its schema."""
    settings = load_settings()
    url = urlsplit((settings.migration_database_url or settings.database_url).get_secret_value())
    told = {
        "PGHOST": url.hostname,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.path.removeprefix("/"),
    }
    for name, value in parse_qsl(url.query):
        if name in _SSL:
            told[_SSL[name]] = value
    return os.environ | {name: unquote(value) for name, value in told.items() if value}
