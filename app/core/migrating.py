"""Bringing the schema to head, one process at a time, and telling whether it is there."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"
_LOCK: Final = text("SELECT pg_advisory_lock(hashtextextended('smmos-migrate', 0))")


def alembic_config() -> Config:
    """The configuration without alembic.ini, which only developers' own `alembic` calls need."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    return config


@lru_cache(maxsize=1)
def head_revision() -> str:
    """The newest revision that this code knows."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    if head is None:
        raise RuntimeError("there are no migrations beside this code")
    return head


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision of the database, None before the first migration."""

    def read(sync_connection: Connection) -> str | None:
        return MigrationContext.configure(sync_connection).get_current_revision()

    return await connection.run_sync(read)


async def upgrade(database_url: str) -> None:
    """Upgrade to head. A second one waits for the first on an advisory lock of its own session."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    try:
        async with engine.connect() as lock, engine.connect() as connection:
            autocommit = await lock.execution_options(isolation_level="AUTOCOMMIT")
            await autocommit.execute(_LOCK)
            await connection.run_sync(_upgrade_on)
    finally:
        await engine.dispose()


def _upgrade_on(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
