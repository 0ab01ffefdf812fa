"""`smmos doctor`: a line for each check, and exit code 1 when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import typer
from pydantic import ValidationError

from app.cli.context import opened
from app.cli.doctor.contents import check_contents
from app.cli.doctor.findings import Finding, Verdict, fail, warn
from app.cli.doctor.storage import check_files
from app.cli.doctor.surroundings import check_database, check_redis, check_settings
from app.cli.refusals import settings_problems
from app.core.inspection import Unreachable, look_at_database
from app.core.settings import Settings, load_settings

_STATEMENT_SECONDS_MAX: Final = 120

commands = typer.Typer()


@commands.command()
def doctor() -> None:
    """Say what is wrong with this deployment, and what to do about it."""
    failed = asyncio.run(_tell())
    if failed:
        print(f"{failed} of these must be put right")
        raise typer.Exit(1)


async def _tell() -> int:
    """Print findings as they come; how many are failures."""
    failed = 0
    async for finding in _diagnosis():
        print(finding.line(), flush=True)
        failed += finding.verdict is Verdict.FAIL
    return failed


async def _diagnosis() -> AsyncIterator[Finding]:
    try:
        settings = load_settings()
    except ValidationError as invalid:
        for problem in settings_problems(invalid):
            yield fail("settings", problem)
        yield warn("servers", "not looked at before the settings are valid")
        return
    for finding in check_settings(settings):
        yield finding
    for finding in await check_redis(settings):
        yield finding
    for finding in await check_files(settings):
        yield finding
    async for finding in _look_into_database(settings):
        yield finding


async def _look_into_database(settings: Settings) -> AsyncIterator[Finding]:
    # The ledger check reads everything, which no request would be given the time for.
    patient = settings.model_copy(update={"statement_timeout_seconds": _STATEMENT_SECONDS_MAX})
    async with opened(patient) as runtime:
        try:
            facts = await look_at_database(runtime)
        except Unreachable as error:
            yield fail(
                "database", f"does not answer: {error}. Start it, or correct SMMOS_DATABASE_URL."
            )
            return
        found = list(check_database(facts))
        for finding in found:
            yield finding
        if any(finding.verdict is Verdict.FAIL for finding in found):
            yield warn("contents", "not looked at before the database is as it should be")
            return
        async for finding in check_contents(runtime):
            yield finding
