"""Settings: a contradiction is refused at the start, in words, and secrets do not show."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.core.crypto import new_master_key
from app.core.settings import Settings, load_settings

KEY = new_master_key()
GOOD: dict[str, Any] = {
    "database_url": "postgresql://u:hunter2@db/smmos",
    "redis_url": "redis://:hunter3@redis:6379/0",
    "master_keys": KEY,
}


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **(GOOD | changes))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_common_spelling_of_the_database_url_gets_our_driver(scheme: str) -> None:
    url = settings(database_url=f"{scheme}://u:p@db/smmos").database_url
    assert url.get_secret_value() == "postgresql+asyncpg://u:p@db/smmos"


def test_the_first_master_key_of_the_list_is_first() -> None:
    other = new_master_key()
    keys = settings(master_keys=f"{other}, {KEY},").master_keys
    assert [key.get_secret_value() for key in keys] == [other, KEY]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"database_url": "mysql://u:p@db/smmos"}, "postgresql://"),
        ({"database_url": "smmos"}, "postgresql://"),
        ({"migration_database_url": "sqlite:///x"}, "postgresql://"),
        ({"master_keys": ""}, "at least one master key"),
        ({"master_keys": "c2hvcnQ="}, "32 bytes"),
        ({"master_keys": "?"}, "base64"),
        ({"poll_seconds_min": 5, "poll_seconds_max": 1}, "POLL_SECONDS_MAX"),
        ({"forwarded_allow_ips": " * "}, "must name the proxies"),
        ({"environment": "production", "time_scale": 60}, "development only"),
        ({"environment": "staging"}, "production"),
        ({"currency": "usd"}, "pattern"),
        (
            {"files_backend": "s3", "files_s3_bucket": "evidence"},
            "SMMOS_FILES_S3_ENDPOINT, SMMOS_FILES_S3_KEY_ID, SMMOS_FILES_S3_SECRET",
        ),
        ({"files_s3_endpoint": "https://s3.example/evidence"}, "pattern"),
        ({"files_s3_bucket": "../evidence"}, "pattern"),
        ({"time_scale": 0.5}, "greater than or equal to 1"),
        ({"pool_size": 0}, "greater than or equal to 1"),
        ({"port": 70_000}, "65535"),
    ],
)
def test_a_contradiction_is_refused_by_its_rule(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        settings(**changes)


@pytest.mark.parametrize("missing", list(GOOD))
def test_what_has_no_default_must_be_given(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"SMMOS_{missing.upper()}", raising=False)
    rest = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(ValidationError, match=missing):
        Settings(_env_file=None, **rest)


def test_settings_are_frozen_and_print_no_secret() -> None:
    made = settings()
    with pytest.raises(ValidationError, match="frozen"):
        made.port = 1  # type: ignore[misc]  # what is tested
    assert "hunter" not in repr(made)
    assert KEY not in repr(made)


def test_the_environment_is_read_when_asked_and_wins_over_a_stacks_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"SMMOS_{name.upper()}='{value}'\n" for name, value in GOOD.items()]
    (tmp_path / "env").write_text("".join([*lines, "SMMOS_CURRENCY='EUR'\n", "SMMOS_PORT='1'\n"]))
    for name in ("DATABASE_URL", "REDIS_URL", "MASTER_KEYS", "CURRENCY"):
        monkeypatch.delenv(f"SMMOS_{name}", raising=False)
    monkeypatch.setenv("SMMOS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SMMOS_PORT", "2")
    loaded = load_settings()
    assert (loaded.currency, loaded.port) == ("EUR", 2)
