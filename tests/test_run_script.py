"""The `run` script: what it offers and when it installs. A made-up `uv` stands for the real one."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

_CHECKOUT: Final = Path(__file__).resolve().parents[1]
_RUN_SECONDS_MAX = 30
# Notes its arguments, and makes an environment whose python prints what it was asked to run.
_UV: Final = """#!/bin/sh
case "$1" in --version) exit 0 ;; esac
echo "$@" >>"$UV_NOTES"
[ -z "${UV_FAILS:-}" ] || exit 3
if [ "$1" = venv ]; then
    for environment; do :; done
    mkdir -p "$environment/bin"
    printf '#!/bin/sh\\necho "$PWD: $@"\\n' >"$environment/bin/python"
    chmod +x "$environment/bin/python"
fi
"""


class Checkout:
    """A copy of what `run` works on, in a path with a space, with notes of what was installed."""

    def __init__(self, place: Path) -> None:
        self.path = place / "check out"
        (self.path / "requirements").mkdir(parents=True)
        (self.path / "tests").mkdir()
        shutil.copy(_CHECKOUT / "run", self.path)
        shutil.copy(_CHECKOUT / "pyproject.toml", self.path)
        for name in ("embedded", "dev"):
            (self.path / "requirements" / f"{name}.txt").write_text(f"{name}==1\n")
        self._programs = place / "bin"
        self._programs.mkdir()
        (self._programs / "uv").write_text(_UV)
        (self._programs / "uv").chmod(0o755)
        self._notes = place / "notes"

    def environment(self, **more: str) -> dict[str, str]:
        path = f"{self._programs}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "UV_NOTES": str(self._notes), **more}

    def run(
        self, *arguments: str, program: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - a copy of our own script
            [str(program or self.path / "run"), *arguments],
            cwd="/",
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS_MAX,
            check=False,
        )

    def installed(self) -> list[str]:
        """The requirements that were installed so far, each time they were."""
        notes = self._notes.read_text() if self._notes.exists() else ""
        return [line.rpartition("/")[2] for line in notes.splitlines() if " -r " in line]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_help_lists_every_command_of_the_table_that_has_its_files(checkout: Checkout) -> None:
    listed = checkout.run("--help").stdout

    for command in ("demo", "up", "test", "check", "smmos", "setup"):
        assert f"\n  {command} " in listed
    assert "faults" not in listed
    assert checkout.installed() == []


@pytest.mark.parametrize("command", ["nonsense", "de.*", "de", "-x"])
def test_an_unknown_command_exits_2_and_installs_nothing(checkout: Checkout, command: str) -> None:
    done = checkout.run(command)

    assert done.returncode == 2
    assert f"no command '{command}'" in done.stderr
    assert checkout.installed() == []


def test_no_command_shows_the_help_and_exits_2(checkout: Checkout) -> None:
    done = checkout.run()

    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_command_whose_files_are_absent_says_so_and_exits_2(checkout: Checkout) -> None:
    done = checkout.run("faults")

    assert done.returncode == 2
    assert "'faults' needs tests/faults" in done.stderr


def test_arguments_arrive_as_they_were_given_and_the_folder_is_the_checkout(
    checkout: Checkout,
) -> None:
    assert checkout.run("up", "--port", "0").stdout == (
        f"{checkout.path}: -m app.cli up --port 0\n"
    )
    assert checkout.run("smmos", "doctor").stdout == f"{checkout.path}: -m app.cli doctor\n"
    assert checkout.run("test", "-k", "a b").stdout == f"{checkout.path}: -m pytest -n 2 -k a b\n"


def test_the_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.run("demo")
    second = checkout.run("demo")

    assert checkout.installed() == ["embedded.txt"]
    assert second.stderr == ""


def test_the_development_environment_serves_every_command(checkout: Checkout) -> None:
    checkout.run("test")
    checkout.run("demo")

    assert checkout.installed() == ["dev.txt"]


def test_changed_requirements_are_installed(checkout: Checkout) -> None:
    checkout.run("demo")
    (checkout.path / "requirements" / "embedded.txt").write_text("embedded==2\n")
    checkout.run("demo")

    assert checkout.installed() == ["embedded.txt", "embedded.txt"]


def test_a_link_to_the_script_works_on_the_checkout_behind_it(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.run("demo")
    link = tmp_path / "link"
    link.symlink_to(checkout.path / "run")

    assert checkout.run("demo", program=link).stdout == f"{checkout.path}: -m app.cli demo\n"
    assert checkout.installed() == ["embedded.txt"]


def test_an_environment_that_came_with_a_copied_checkout_is_made_anew(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.run("demo")
    copy = tmp_path / "copy"
    shutil.copytree(checkout.path, copy)

    assert checkout.run("demo", program=copy / "run").stdout == f"{copy}: -m app.cli demo\n"
    assert checkout.installed() == ["embedded.txt", "embedded.txt"]


def test_a_failed_install_fails_the_command_and_is_tried_again(checkout: Checkout) -> None:
    assert checkout.run("demo", UV_FAILS="1").returncode != 0
    assert checkout.run("demo").returncode == 0

    assert checkout.installed() == ["embedded.txt"]


def test_starts_at_the_same_time_install_once(checkout: Checkout) -> None:
    starts = [
        subprocess.Popen(  # noqa: S603 - a copy of our own script
            [checkout.path / "run", "demo"],
            env=checkout.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]

    assert [start.wait(_RUN_SECONDS_MAX) for start in starts] == [0, 0, 0, 0]
    assert checkout.installed() == ["embedded.txt"]


def test_a_python_that_is_too_old_is_refused_with_what_to_install(
    checkout: Checkout, tmp_path: Path
) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)

    done = checkout.run("demo")

    assert done.returncode == 1
    assert "apt-get install python3 python3-venv" in done.stderr
