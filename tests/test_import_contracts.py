"""The import contracts hold, and a planted upward import breaks them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LINTER = Path(sys.executable).parent / "lint-imports"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [str(LINTER), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The source alone, where it can be spoiled."""
    for package in ("app", "workers"):
        ignored = shutil.ignore_patterns("__pycache__", "*.js")
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def plant(folder: Path, module: str, line: str) -> None:
    file = folder / module
    text = file.read_text()
    marker = "from __future__ import annotations\n"
    file.write_text(text.replace(marker, f"{marker}{line}\n", 1))
    assert line in file.read_text()


def test_the_contracts_hold(copy: Path) -> None:
    verdict = lint(copy)
    assert verdict.returncode == 0, verdict.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("app/ledger/service.py", "from app.orders import service as planted"),
        ("app/orders/repository.py", "from app.orders import service as planted"),
        ("app/orders/service.py", "from app.ledger import repository as planted"),
        ("app/core/work.py", "import fastapi"),
        ("app/orders/dispatch.py", "import sqlalchemy"),
    ],
    ids=["upward", "sql-over-rules", "anothers-sql", "http-in-the-core", "sql-in-a-rule"],
)
def test_a_planted_import_breaks_them(copy: Path, module: str, line: str) -> None:
    plant(copy, module, line)
    verdict = lint(copy)
    assert verdict.returncode == 1, verdict.stdout
    assert "BROKEN" in verdict.stdout
