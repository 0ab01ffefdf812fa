"""What must be true of the migrations as a whole: one head, equal to the models, and reversible."""

from __future__ import annotations

import io
from collections.abc import Callable

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.migrating import alembic_config


def heads() -> list[str]:
    """Every revision that nothing builds on; more than one and `upgrade head` is ambiguous."""
    return ScriptDirectory.from_config(alembic_config()).get_heads()


def offline_sql() -> str:
    """What an upgrade from nothing to head would execute, for linters."""
    config = alembic_config()
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


async def differences(database_url: str, metadata: MetaData) -> list[str]:
    """In what a migrated database differs from the models; empty when the two are in step."""

    def compare(connection: Connection) -> list[str]:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return [str(difference) for difference in compare_metadata(context, metadata)]

    return await _on_connection(database_url, compare)


async def downgrade_to_nothing(database_url: str) -> list[str]:
    """Undo every migration; the tables that are left over, besides Alembic's own."""

    def downgrade(connection: Connection) -> list[str]:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        left = MetaData()
        left.reflect(connection)
        return sorted(set(left.tables) - {"alembic_version"})

    return await _on_connection(database_url, downgrade)


async def _on_connection(database_url: str, work: Callable[[Connection], list[str]]) -> list[str]:
    engine = create_async_engine(database_url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(work)
    finally:
        await engine.dispose()
