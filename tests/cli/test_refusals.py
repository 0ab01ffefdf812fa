"""A command that cannot go on says why in words that a person can act on, and ends with 1."""

import pytest

from app.core.crypto import new_master_key
from tests.cli.conftest import Shell


def test_missing_settings_are_named_with_what_they_are_for(bare_shell: Shell) -> None:
    done = bare_shell("migrate")

    assert done.code == 1
    assert "SMMOS_DATABASE_URL is not set: PostgreSQL 15 or newer" in done.err
    assert "SMMOS_REDIS_URL is not set" in done.err
    assert "SMMOS_MASTER_KEYS is not set" in done.err
    assert "Traceback" not in done.err


def test_an_invalid_setting_is_named_and_its_value_is_not_shown(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMMOS_DATABASE_URL", "mysql://me:hush@db/x")
    monkeypatch.setenv("SMMOS_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("SMMOS_MASTER_KEYS", new_master_key())

    done = bare_shell("migrate")

    assert done.code == 1
    assert done.err == "SMMOS_DATABASE_URL is not valid: must be a postgresql:// URL.\n"


def test_a_master_key_that_is_none_is_refused_before_anything_is_sealed_with_it(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMMOS_DATABASE_URL", "postgresql://me@127.0.0.1:9/x")
    monkeypatch.setenv("SMMOS_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("SMMOS_MASTER_KEYS", "c2hvcnQ=")

    done = bare_shell("migrate")

    assert (done.code, done.err) == (1, "SMMOS_MASTER_KEYS: a master key must have 32 bytes.\n")


def test_a_database_that_is_away_is_said_to_be(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMMOS_DATABASE_URL", "postgresql://me:hush@127.0.0.1:9/x")
    monkeypatch.setenv("SMMOS_REDIS_URL", "redis://127.0.0.1:9/0")
    monkeypatch.setenv("SMMOS_MASTER_KEYS", new_master_key())

    for command in ("migrate", "ledger-check"):
        done = bare_shell(command)

        assert done.code == 1
        assert "reached" in done.err or "does not answer" in done.err
        assert "hush" not in done.err
        assert "Traceback" not in done.err


def test_one_server_of_ones_own_without_the_other_is_refused(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMMOS_REDIS_URL", "redis://127.0.0.1:9/0")

    done = bare_shell("up", "--port", "0")

    assert done.code == 1
    assert "SMMOS_REDIS_URL is set and SMMOS_DATABASE_URL is not" in done.err


def test_an_unknown_command_is_a_mistake_in_usage(bare_shell: Shell) -> None:
    done = bare_shell("ordres")

    assert done.code == 2
    assert "No such command" in done.err


def test_every_command_is_listed_with_what_it_does(bare_shell: Shell) -> None:
    done = bare_shell("--help")

    assert done.code == 0
    for name in ("up", "demo", "api", "worker", "doctor", "ledger-check", "orders", "openapi"):
        assert f" {name} " in done.out
