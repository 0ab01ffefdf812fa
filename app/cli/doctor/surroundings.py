"""Checks of what a deployment stands on: its settings, PostgreSQL, Redis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.cli.doctor.findings import Finding, fail, ok, warn
from app.core.inspection import (
    SKEW_MAX,
    DatabaseFacts,
    RedisFacts,
    Unreachable,
    look_at_redis,
)
from app.core.migrating import head_revision
from app.core.settings import ENV_FILE_NAME, Settings

_POSTGRES_OLDEST: Final = 15
_OLDEST: Final = {"Redis": 7, "Valkey": 8}


def check_settings(settings: Settings) -> Iterator[Finding]:
    """What is allowed and yet unfit for the environment that is set."""
    if settings.environment != "production":
        yield warn(
            "settings", "valid, for development: set SMMOS_ENVIRONMENT=production to go live"
        )
        return
    found = list(_unfit_for_production(settings))
    yield from found
    if not found:
        yield ok("settings", "valid, for production")


def _unfit_for_production(settings: Settings) -> Iterator[Finding]:
    if "host" not in settings.model_fields_set:
        yield fail(
            "settings",
            "SMMOS_HOST is not set, so that only this machine reaches the API. Say which address"
            " to listen on, be it 127.0.0.1 behind a proxy here or 0.0.0.0 in a container.",
        )
    if settings.metrics_token is None:
        yield fail(
            "settings",
            "SMMOS_METRICS_TOKEN is not set, so that nobody can watch /metrics. Set a long random"
            " token and give it to Prometheus.",
        )
    joined = settings.data_dir / ENV_FILE_NAME
    if joined.exists():
        yield fail(
            "settings",
            f"{joined} belongs to a development stack and is read beneath the environment. Start"
            " elsewhere, or point SMMOS_DATA_DIR to an empty folder.",
        )


def check_database(facts: DatabaseFacts) -> Iterator[Finding]:
    """Version, clock and schema of a database that answers."""
    if facts.version_number // 10_000 < _POSTGRES_OLDEST:
        yield fail(
            "database",
            f"PostgreSQL {facts.version} is too old: {_POSTGRES_OLDEST} or newer is needed.",
        )
    else:
        yield ok("database", f"PostgreSQL {facts.version} answers")
    seconds = facts.skew.total_seconds()
    if abs(facts.skew) >= SKEW_MAX:
        yield fail(
            "clock",
            f"the database's clock is {seconds:+.1f} s off ours, by which certificates and"
            " signatures are judged. Run NTP on both machines.",
        )
    else:
        yield ok("clock", f"the database's clock is {seconds:+.2f} s off ours")
    head = head_revision()
    if facts.revision == head:
        yield ok("migrations", f"at {head}")
    else:
        at = f"at {facts.revision}" if facts.revision else "none has run"
        yield fail("migrations", f"{at}, and this version needs {head}. Run `smmos migrate`.")


async def check_redis(settings: Settings) -> Iterator[Finding]:
    """Without Redis orders flow all the same, slower, and operators' money moves are refused."""
    try:
        facts = await look_at_redis(settings.redis_url.get_secret_value())
    except Unreachable as error:
        return iter(
            [fail("redis", f"does not answer: {error}. Start it, or correct SMMOS_REDIS_URL.")]
        )
    return _judge_redis(facts)


def _judge_redis(facts: RedisFacts) -> Iterator[Finding]:
    named = f"{facts.product} {facts.version}"
    oldest = _OLDEST[facts.product]
    if int(facts.version.partition(".")[0]) < oldest:
        yield fail("redis", f"{named} is too old: {oldest} or newer is needed.")
    else:
        yield ok("redis", f"{named} answers")
    if facts.policy == "noeviction":
        yield ok("redis", "maxmemory-policy is noeviction")
    else:
        yield fail(
            "redis",
            f"maxmemory-policy is {facts.policy}: under pressure it would drop queue entries and"
            " rate limits. Set maxmemory-policy noeviction.",
        )
