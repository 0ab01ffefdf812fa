"""Bringing the schema to head, one process at a time, and telling whether it is there."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from app.core.db import LOCK_NOT_AVAILABLE, sqlstate_of
from app.core.logging import get_logger

log = get_logger(__name__)

SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"
# Tried again and again, never waited for: a statement that waits has a snapshot, for the end of
# which an index that is built concurrently by the holder would wait in turn.
_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtextextended('smmos-migrate', 0))")
LOCK_EVERY_SECONDS: Final = 0.2
TRIES_MAX: Final = 30
PAUSE_SECONDS: Final = 1.0


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


def is_known(revision: str) -> bool:
    """Whether this code has that revision; one that it lacks is of a later version."""
    scripts = ScriptDirectory.from_config(alembic_config())
    return any(one.revision == revision for one in scripts.walk_revisions())


async def current_revision(connection: AsyncConnection) -> str | None:
    """The revision of the database, None before the first migration."""

    def read(sync_connection: Connection) -> str | None:
        return MigrationContext.configure(sync_connection).get_current_revision()

    return await connection.run_sync(read)


async def upgrade(database_url: str) -> None:
    """Upgrade to head. A second one waits for the first, on an advisory lock of its own session.

    A migration gives up soon where it must wait for a lock, as everybody else waits behind it, and
    is tried again: long transactions let it pass in the end.
    """
    engine = create_async_engine(database_url, poolclass=NullPool)
    try:
        async with engine.connect() as lock, engine.connect() as connection:
            autocommit = await lock.execution_options(isolation_level="AUTOCOMMIT")
            while not await autocommit.scalar(_LOCK):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(LOCK_EVERY_SECONDS)
            await _upgrade_patiently(connection)
    finally:
        await engine.dispose()


async def _upgrade_patiently(connection: AsyncConnection) -> None:
    for _ in range(1, TRIES_MAX):
        try:
            await connection.run_sync(_upgrade_on)
        except DBAPIError as error:
            if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
                raise
            log.info("migration_waits_for_a_lock")
            await connection.rollback()
            await asyncio.sleep(PAUSE_SECONDS)
        else:
            return
    await connection.run_sync(_upgrade_on)


def _upgrade_on(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
