"""What the servers under a deployment say of themselves: versions, clock, schema, settings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.core.clock import Clock
from app.core.migrating import current_revision
from app.core.runtime import Runtime

SKEW_MAX: Final = timedelta(seconds=2)
"""Clocks that are further apart need a person."""
_ANSWER_SECONDS: Final = 5.0
_DATABASE: Final = text(
    """
    SELECT current_setting('server_version_num')::int AS number,
           current_setting('server_version') AS name, clock_timestamp() AS clock
    """
)
_TABLES: Final = text("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")


class Unreachable(Exception):
    """A server does not answer; the text is the reason, without any secret."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """`skew` is by how much its clock is ahead of this machine's, and `took` how long it was asked
    for it; the revision is None before migrating.
    """

    version_number: int
    version: str
    skew: timedelta
    took: timedelta
    revision: str | None


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """`product` is Redis or Valkey; the policy says what it drops when its memory is full."""

    product: str
    version: str
    policy: str


async def look_at_database(runtime: Runtime) -> DatabaseFacts:
    """Raises Unreachable."""
    clock = Clock()
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), runtime.engine.connect() as connection:
            # Before the clocks are compared: connecting takes time, a warm round trip hardly any.
            revision = await current_revision(connection)
            before = clock.now()
            row = (await connection.execute(_DATABASE)).one()
            took = clock.now() - before
    except (SQLAlchemyError, OSError) as error:
        raise Unreachable(_reason(error)) from error
    theirs: datetime = row.clock
    return DatabaseFacts(row.number, row.name, theirs - (before + took / 2), took, revision)


async def is_empty(runtime: Runtime) -> bool:
    """Whether the database has no table yet. Raises Unreachable."""
    try:
        async with runtime.engine.connect() as connection:
            tables = await connection.scalar(_TABLES)
    except (SQLAlchemyError, OSError) as error:
        raise Unreachable(_reason(error)) from error
    return not tables


async def look_at_redis(redis_url: str) -> RedisFacts:
    """Raises Unreachable."""
    try:
        redis: Redis = Redis.from_url(
            redis_url,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
        )
    except ValueError as error:
        raise Unreachable(_reason(error)) from error
    try:
        said: dict[str, Any] = await redis.info()
    except (RedisError, OSError) as error:
        raise Unreachable(_reason(error)) from error
    finally:
        await redis.aclose()
    is_valkey = "valkey_version" in said
    return RedisFacts(
        product="Valkey" if is_valkey else "Redis",
        version=str(said["valkey_version" if is_valkey else "redis_version"]),
        policy=str(said.get("maxmemory_policy", "unknown")),
    )


def _reason(error: Exception) -> str:
    """The first line that the server or the system said."""
    said = str(getattr(error, "orig", None) or error).strip().splitlines()
    return said[0] if said else type(error).__name__
