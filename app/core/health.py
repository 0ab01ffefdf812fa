"""Whether the parts that a process stands on answer: in words, within a second."""

from __future__ import annotations

import asyncio
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.core.migrating import current_revision, head_revision, is_known
from app.core.runtime import Runtime

ANSWER_SECONDS: Final = 1.0
OK: Final = "ok"
NEWER: Final = "newer than this process"
"""The schema of a later version, on which this one goes on serving until it is replaced."""


async def check_all(runtime: Runtime) -> dict[str, str]:
    """`database`, `migrations` and `redis`, each `ok` or what is wrong."""
    database, redis = await asyncio.gather(_check_database(runtime), _check_redis(runtime))
    return {**database, "redis": redis}


async def _check_database(runtime: Runtime) -> dict[str, str]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS), runtime.health_engine.connect() as connection:
            revision = await current_revision(connection)
    except (DBAPIError, PoolTimeout, OSError, TimeoutError) as error:
        return {"database": f"not reachable ({type(error).__name__})", "migrations": "unknown"}
    return {"database": OK, "migrations": _judged(revision)}


def _judged(revision: str | None) -> str:
    head = head_revision()
    if revision == head:
        return OK
    return f"at {revision}, not {head}" if revision is None or is_known(revision) else NEWER


async def _check_redis(runtime: Runtime) -> str:
    redis: Redis = Redis.from_url(
        runtime.settings.redis_url.get_secret_value(),
        socket_timeout=ANSWER_SECONDS,
        socket_connect_timeout=ANSWER_SECONDS,
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await redis.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return f"not reachable ({type(error).__name__})"
    finally:
        await redis.aclose()
    return OK
