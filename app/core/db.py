"""The database: engine and its limits, the model base, and which errors may be tried again."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import BigInteger, DateTime, MetaData, Text, Uuid, event
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase

from app.core.settings import Settings

type_map: Final[dict[Any, Any]] = {
    int: BigInteger,
    str: Text,
    datetime: DateTime(timezone=True),
    UUID: Uuid(),
    dict[str, Any]: JSONB,
    list[str]: ARRAY(Text),
}

Session = AsyncSession
"""One transaction's handle. Services take it first and never commit."""

Sessions = async_sessionmaker[AsyncSession]

SERIALIZATION_FAILURE: Final = "40001"
DEADLOCK: Final = "40P01"
LOCK_NOT_AVAILABLE: Final = "55P03"
STATEMENT_CANCELED: Final = "57014"
_TRY_AGAIN: Final = {SERIALIZATION_FAILURE, DEADLOCK, LOCK_NOT_AVAILABLE}
_AWAY: Final = ("08", "53", "57P")
"""Connection trouble; out of disk, memory or connections; shutting down or starting up."""
_OUTDATED: Final = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
"""A migration changed what a prepared statement stood on; the driver has forgotten it by now."""


class Base(DeclarativeBase):
    """The base of all models: bigint numbers, text, UTC times, named constraints."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = type_map


def create_engine(
    settings: Settings, *, application_name: str, pool_size: int | None = None
) -> AsyncEngine:
    """A pool without overflow whose connections carry their own time-outs.

    A connection that the server closed while it lay in the pool is replaced when it is taken: after
    a restart of the database no transaction fails for what became of connections before it began.
    """
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        pool_size=pool_size or settings.pool_size,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_seconds,
        pool_recycle=1800,
        # The one given back last is taken first: its statements are prepared and its caches warm.
        pool_use_lifo=True,
        # What people send must not get into logs by way of an error's text.
        hide_parameters=True,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 5,
            "command_timeout": settings.statement_timeout_seconds + 5,
            "server_settings": {
                "application_name": application_name,
                "statement_timeout": f"{settings.statement_timeout_seconds}s",
                "lock_timeout": f"{settings.lock_timeout_seconds}s",
                "idle_in_transaction_session_timeout": "15s",
                "timezone": "UTC",
                # Compiling never pays for statements as short as ours.
                "jit": "off",
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_closed)
    return engine


def _refuse_closed(connection: Any, _record: object, _proxy: object) -> None:
    """Asks the driver, which has seen the end of the connection, and not the server."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def create_sessions(engine: AsyncEngine) -> Sessions:
    """Sessions that keep loaded rows readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=False)


def sqlstate_of(error: BaseException | None) -> str | None:
    """PostgreSQL's five-letter code of a database error, where it has one."""
    original = getattr(error, "orig", None)
    return getattr(original, "sqlstate", None)


def is_retryable(error: BaseException) -> bool:
    """Whether the transaction left nothing behind and may simply be run again."""
    if not isinstance(error, DBAPIError):
        return False
    return (
        error.connection_invalidated
        or sqlstate_of(error) in _TRY_AGAIN
        or isinstance(_as_told_by_driver(error), _OUTDATED)
    )


def _as_told_by_driver(error: DBAPIError) -> BaseException | None:
    """asyncpg's own error, around which SQLAlchemy puts one or two of its own."""
    return error.orig.__cause__ or error.orig if error.orig else None


def is_away(error: BaseException) -> bool:
    """Whether the database cannot serve for now: trying again at once would not help."""
    state = sqlstate_of(error) or ""
    return state == STATEMENT_CANCELED or state.startswith(_AWAY)
