"""Makes a PostgreSQL data folder: all of it, or none that a later start could mistake for one."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.embedded.errors import BinaryMissing, ServerDidNotStart
from app.embedded.plan import ServerPlan
from app.embedded.privileges import give
from app.embedded.process import Account, run_as

# The role that owns everything, and the one database that the application uses.
NAME: Final = "smmos"
# Minimal on purpose: PG… variables of the person who starts us must not reach the server.
ENV: Final[Mapping[str, str]] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_OLDEST_MAJOR = 15
_STEP_SECONDS_MAX = 120.0


def major_version(postgres: Path) -> int:
    """A data folder belongs to one major version, so that its name carries the number."""
    told = run_as([str(postgres), "--version"], account=None, env=ENV, timeout_seconds=10).stdout
    match = re.search(r"\(PostgreSQL\) (\d+)", told)
    if match is None:
        raise BinaryMissing(f"{postgres} does not tell its version.")
    major = int(match[1])
    if major < _OLDEST_MAJOR:
        raise BinaryMissing(f"{postgres} is PostgreSQL {major}; {_OLDEST_MAJOR} is the oldest.")
    return major


def make_cluster(data: Path, plan: ServerPlan) -> None:
    """Make the folder with one superuser, who has a password, and one empty database."""
    fresh = data.with_name(f"{data.name}.new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    give(fresh, plan.account)
    _initdb(fresh, plan)
    _create_database(fresh, plan)
    fresh.rename(data)


def _initdb(folder: Path, plan: ServerPlan) -> None:
    # A file, because an inherited descriptor cannot be opened again after the change of account.
    password_file = folder.with_name(f"{folder.name}.password")
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    give(password_file, plan.account)
    try:
        password_file.write_text(plan.password)
        options = ["--pgdata", str(folder), "--username", NAME, f"--pwfile={password_file}"]
        # No locale: sorting must not depend on the machine.
        options += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-instructions"]
        options += [] if plan.durable else ["--no-sync"]
        _must_succeed([str(plan.program.with_name("initdb")), *options], plan.account)
    finally:
        password_file.unlink()


def _create_database(folder: Path, plan: ServerPlan) -> None:
    """In single-user mode, which needs neither a port nor a client."""
    options = ["--single", "-D", str(folder), "-c", "exit_on_error=on"]
    options += [] if plan.durable else ["-c", "fsync=off"]
    argv = [str(plan.program), *options, "postgres"]
    _must_succeed(argv, plan.account, f"CREATE DATABASE {NAME}\n")


def _must_succeed(argv: list[str], account: Account | None, told: str = "") -> None:
    done = run_as(argv, account=account, env=ENV, timeout_seconds=_STEP_SECONDS_MAX, told=told)
    if done.returncode != 0:
        raise ServerDidNotStart(
            f"{Path(argv[0]).name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}"
        )
