"""How migrations run: on a connection handed in, each in a transaction of its own."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

from app.schema import metadata

# Below the wait for a lock of those who serve: they queue behind a migration that waits.
LOCK_TIMEOUT_SECONDS = 1
STATEMENT_TIMEOUT_SECONDS = 60


def run_offline() -> None:
    """Print the SQL, for linters and for people who run it by hand."""
    context.configure(
        dialect_name="postgresql",
        # Any other style would double the percent signs of our functions.
        dialect_opts={"paramstyle": "named"},
        target_metadata=metadata,
        literal_binds=True,
    )
    with context.begin_transaction():
        context.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        context.execute(f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'")
        context.run_migrations()


def run_online(connection: Connection) -> None:
    """Upgrade under time-outs; `app.cli` holds the advisory lock on another connection."""
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
    connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT_SECONDS}s'"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_server_default=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
else:
    run_online(context.config.attributes["connection"])
