"""The doctor: a line for each check, the right verdict, and what to do."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.cli.doctor.contents import check_contents
from app.cli.doctor.findings import Finding, Verdict
from app.cli.doctor.storage import check_files
from app.cli.doctor.surroundings import check_database, check_redis, check_settings
from app.core import work
from app.core.clock import Clock
from app.core.inspection import DatabaseFacts
from app.core.migrating import head_revision
from app.core.runtime import Runtime
from app.core.settings import ENV_FILE_NAME, Settings
from app.orders.service import DISPATCH
from tests.cli.conftest import Shell
from tests.fixtures.world import World

WELL = DatabaseFacts(180_001, "18.1", timedelta(seconds=0.01), timedelta(), head_revision())


def failures(findings: list[Finding]) -> dict[str, str]:
    return {one.subject: one.told for one in findings if one.verdict is Verdict.FAIL}


async def contents(runtime: Runtime) -> list[Finding]:
    return [finding async for finding in check_contents(runtime)]


def test_a_database_as_it_should_be_has_nothing_to_put_right() -> None:
    assert failures(list(check_database(WELL))) == {}


@pytest.mark.parametrize(
    ("facts", "subject", "advice"),
    [
        (replace(WELL, version_number=140_009, version="14.9"), "database", "15 or newer"),
        (replace(WELL, skew=timedelta(seconds=-3)), "clock", "NTP"),
        (replace(WELL, revision="0001"), "migrations", "smmos migrate"),
        (replace(WELL, revision=None), "migrations", "smmos migrate"),
    ],
)
def test_what_is_wrong_with_a_database_is_said_with_what_to_do(
    facts: DatabaseFacts, subject: str, advice: str
) -> None:
    [(found, told)] = failures(list(check_database(facts))).items()

    assert found == subject
    assert advice in told


def test_production_is_refused_what_development_is_allowed(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / ENV_FILE_NAME).touch()
    live = settings.model_copy(
        update={"environment": "production", "metrics_token": None, "data_dir": tmp_path}
    )

    found = [one.told for one in check_settings(live) if one.verdict is Verdict.FAIL]

    for name in ("SMMOS_HOST", "SMMOS_METRICS_TOKEN", "development stack"):
        assert any(name in told for told in found)


async def test_the_redis_that_tests_run_on_is_fit_and_one_that_is_away_is_not(
    settings: Settings,
) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})

    assert failures(list(await check_redis(settings))) == {}
    assert "SMMOS_REDIS_URL" in failures(list(await check_redis(away)))["redis"]


async def test_a_folder_that_takes_files_is_fit_and_is_left_as_it_was(
    settings: Settings, tmp_path: Path
) -> None:
    local = settings.model_copy(update={"files_dir": tmp_path, "environment": "production"})

    assert failures(await check_files(local)) == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []  # noqa: ASYNC240


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"files_dir": None, "environment": "production"}, "SMMOS_FILES_DIR is not set"),
        ({"files_dir": Path("files"), "environment": "production"}, "from its root"),
        ({"files_dir": Path("/dev/null/files")}, "cannot be written"),
        (
            {
                "files_backend": "s3",
                "files_s3_endpoint": "http://127.0.0.1:9",
                "files_s3_bucket": "evidence",
                "files_s3_key_id": "id",
                "files_s3_secret": SecretStr("secret"),
            },
            "SMMOS_FILES_S3_",
        ),
    ],
    ids=["unset", "relative", "unwritable", "s3 away"],
)
async def test_storage_that_takes_no_files_is_told_with_what_to_do(
    settings: Settings, changed: dict[str, object], advice: str
) -> None:
    found = failures(await check_files(settings.model_copy(update=changed)))

    assert advice in found["files"]


async def test_a_database_at_work_is_in_order(runtime: Runtime, world: World) -> None:
    await world.provider()

    assert failures(await contents(runtime)) == {}


async def test_another_currency_is_told_with_the_one_that_stands(
    runtime: Runtime, settings: Settings
) -> None:
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE installation SET currency = 'EUR'"))

    assert "set it to EUR" in failures(await contents(runtime))["currency"]


async def test_credentials_that_no_master_key_opens_are_told_by_provider(
    runtime: Runtime, world: World
) -> None:
    provider = await world.provider()
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE providers SET credentials = 'not sealed by anyone'"))

    assert provider.name in failures(await contents(runtime))["master keys"]


@pytest.mark.violates("work-in-wrong-lane")
async def test_work_that_nobody_does_is_told(runtime: Runtime, clock: Clock) -> None:
    async with runtime.uow.begin() as session:
        await session.execute(
            text("INSERT INTO gauges (name, labels, value, at) VALUES ('x', '', 1, now())")
        )
        await work.put(session, DISPATCH, "1", lane="nobody")
    clock.move(timedelta(minutes=2))

    assert "dispatch work has been due for 120 s" in failures(await contents(runtime))["workers"]


@pytest.mark.committing
async def test_the_command_says_all_and_ends_with_0_when_nothing_fails(shell: Shell) -> None:
    done = await asyncio.to_thread(shell, "doctor")

    assert "FAIL" not in done.out
    assert "OK    ledger        clean" in done.out
    assert "OK    files         can be stored, read and removed" in done.out


def test_settings_that_are_missing_are_the_first_thing_told(bare_shell: Shell) -> None:
    done = bare_shell("doctor")

    assert done.code == 1
    assert "FAIL  settings      SMMOS_DATABASE_URL is not set" in done.out
