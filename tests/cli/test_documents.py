"""Documents made from the code: written, compared, and the command named that brings them back."""

from pathlib import Path

import pytest
import yaml

from app.cli import documents
from app.core.settings import Settings
from app.main import openapi_documents
from tests.cli.conftest import Shell


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty place to write documents to."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    return tmp_path


def test_the_openapi_files_say_what_the_app_says_without_any_setting(
    bare_shell: Shell, checkout: Path
) -> None:
    assert bare_shell("openapi").code == 0

    for name, document in openapi_documents().items():
        written = yaml.safe_load((checkout / name).read_text(encoding="utf-8"))
        assert written["paths"].keys() == document["paths"].keys()
        assert written["info"] == document["info"]


def test_an_openapi_file_that_was_left_behind_is_told_with_the_command_to_run(
    bare_shell: Shell, checkout: Path
) -> None:
    bare_shell("openapi")
    assert bare_shell("openapi", "--check").code == 0

    stale = checkout / "openapi-operator.yaml"
    stale.write_text(stale.read_text(encoding="utf-8") + "x: 1\n", encoding="utf-8")
    done = bare_shell("openapi", "--check")

    assert done.code == 1
    assert "openapi-operator.yaml" in done.err
    assert "./run smmos openapi" in done.err
    assert stale.read_text(encoding="utf-8").endswith("x: 1\n")


def test_the_table_of_settings_has_a_row_for_each_with_its_default_and_bounds(
    bare_shell: Shell, checkout: Path
) -> None:
    assert bare_shell("settings-table").code == 0

    table = (checkout / documents.SETTINGS_FILE).read_text(encoding="utf-8")
    for field, info in Settings.model_fields.items():
        assert f"| `SMMOS_{field.upper()}` |" in table
        assert str(info.description).replace("|", "\\|") in table
    assert "| `SMMOS_PORT` | whole number, 0 to 65535 | `8000` |" in table
    assert "| `SMMOS_DATABASE_URL` | text | required |" in table
    assert "| `SMMOS_LOG_LEVEL` | `debug`, `info`, `warning`, `error` | `info` |" in table


def test_a_table_of_settings_that_is_missing_is_told(bare_shell: Shell, checkout: Path) -> None:
    done = bare_shell("settings-table", "--check")

    assert done.code == 1
    assert "./run smmos settings-table" in done.err
    assert not (checkout / documents.SETTINGS_FILE).exists()


def test_the_committed_table_of_settings_is_what_the_code_says() -> None:
    committed = documents.ROOT / documents.SETTINGS_FILE

    assert committed.read_text(encoding="utf-8") == documents.settings_document()
