"""A shell for tests: runs a command as a person would, and hands back what it printed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.cli.main import main
from app.core.settings import Settings
from tests.orders.conftest import desk

__all__ = ["bare_shell", "desk", "shell"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Shell = Callable[..., Done]


@pytest.fixture
def bare_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Shell:
    """A shell in an environment without a single setting."""
    for field in Settings.model_fields:
        monkeypatch.delenv(f"SMMOS_{field.upper()}", raising=False)
    monkeypatch.setenv("SMMOS_DATA_DIR", str(tmp_path))

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        code = ended.value.code
        printed = capsys.readouterr()
        return Done(code if isinstance(code, int) else int(code is not None), *printed)

    return run


@pytest.fixture
def shell(bare_shell: Shell, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell with the settings of this test; its commands commit, so mark it `committing`."""
    monkeypatch.setenv("SMMOS_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("SMMOS_REDIS_URL", settings.redis_url.get_secret_value())
    keys = ",".join(key.get_secret_value() for key in settings.master_keys)
    monkeypatch.setenv("SMMOS_MASTER_KEYS", keys)
    return bare_shell
