"""Fixed statements of the hot paths: run by asyncpg itself, in the transaction of a session.

For a statement whose text never changes, SQLAlchemy's layers cost several times what asyncpg takes
to run it; here the text is numbered once, and each connection prepares it once.
"""

from __future__ import annotations

import re
from typing import Any, Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.db import Session

_NAME: Final = re.compile(r"(?<!:):([a-z_]+)")
_DRIVER: Final = "driver"
_BEGIN: Final = text("SELECT 1")
_TOLD_BY_DRIVER: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # The driver lost its place in the conversation, as it does when a backend is killed.
    asyncpg.InternalClientError,
    ConnectionError,
)


class Row(asyncpg.Record):  # type: ignore[misc]  # asyncpg has no types
    """A row whose columns are read as attributes, as those of SQLAlchemy are."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Statement:
    """SQL with `:names` for its values; casts are written `CAST(… AS …)`."""

    def __init__(self, sql: str) -> None:
        numbers: dict[str, int] = {}
        self._sql = _NAME.sub(
            lambda match: f"${numbers.setdefault(match[1], len(numbers) + 1)}", sql
        )
        self._names = tuple(numbers)

    def __str__(self) -> str:
        return self._sql

    async def rows(self, session: Session, **values: Any) -> list[Row]:
        """Run it in the session's transaction. Raises what SQLAlchemy would: a DBAPIError."""
        return await self._fetch(session, values, timeout_seconds=None)

    async def rows_within(self, session: Session, seconds: float, **values: Any) -> list[Row]:
        """The same for what may take long: a limit of its own, for the rest of the transaction."""
        driver = await _driver_of(session)
        await driver.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}")
        return await self._fetch(session, values, timeout_seconds=seconds)

    async def _fetch(
        self, session: Session, values: dict[str, Any], *, timeout_seconds: float | None
    ) -> list[Row]:
        driver = await _driver_of(session)
        try:
            rows: list[Row] = await driver.fetch(
                self._sql,
                *[values[name] for name in self._names],
                timeout=timeout_seconds,
                record_class=Row,
            )
        except _TOLD_BY_DRIVER as error:
            raise await self._as_told_by_sqlalchemy(session, driver, error) from error
        return rows

    async def _as_told_by_sqlalchemy(
        self, session: Session, driver: Any, error: Exception
    ) -> DBAPIError:
        lost = driver.is_closed() or _is_out_of_step(error)
        if lost:
            # The pool must not hand this connection out again.
            await session.invalidate()
        violated = isinstance(error, asyncpg.IntegrityConstraintViolationError)
        kind = IntegrityError if violated else DBAPIError
        return kind(self._sql, None, error, hide_parameters=True, connection_invalidated=lost)


def _is_out_of_step(error: Exception) -> bool:
    """Whether the driver cannot go on with its connection, though it has not seen its end yet."""
    if isinstance(error, asyncpg.OutdatedSchemaCacheError):
        return False
    return isinstance(error, asyncpg.InternalClientError | ConnectionError)


async def _driver_of(session: Session) -> Any:
    """asyncpg's connection, inside the transaction that the session has begun or begins now."""
    transaction = session.sync_session.get_transaction()
    known = session.info.get(_DRIVER)
    # Compared, because a session that goes on after a commit takes another connection.
    if known is not None and transaction is not None and known[0] is transaction:
        return known[1]
    connection = await session.connection()
    driver = (await connection.get_raw_connection()).driver_connection
    if driver is None:
        raise RuntimeError("The session's connection has no driver.")
    if not driver.is_in_transaction():
        # SQLAlchemy sends its BEGIN with the first statement that goes through it.
        await session.execute(_BEGIN)
    session.info[_DRIVER] = (session.sync_session.get_transaction(), driver)
    return driver
