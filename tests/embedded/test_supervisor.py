"""The supervisor: what dies is started again, what is told to stop stops, nothing outlives it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.embedded import Supervisor
from app.embedded.supervisor import delay_seconds

_WAIT_SECONDS_MAX = 10.0
_SLEEP = ("sleep", "60")
_STUBBORN = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
_ENV = {"PATH": os.environ["PATH"]}
_HOLD_A_CHILD = """
import sys, time
from pathlib import Path
from app.embedded import Supervisor
supervisor = Supervisor(Path(sys.argv[1]), on_change=lambda: None)
print(supervisor.spawn("api", ["sleep", "60"], env={}, cwd=Path("/")), flush=True)
time.sleep(60)
"""


class Noted:
    """Counts calls of `on_change`."""

    def __init__(self) -> None:
        self.changes = 0

    def __call__(self) -> None:
        self.changes += 1


@pytest.fixture
def noted() -> Noted:
    return Noted()


@pytest.fixture
def supervisor(tmp_path: Path, noted: Noted) -> Iterator[Supervisor]:
    with Supervisor(tmp_path, on_change=noted) as running:
        yield running


def runs(pid: int) -> bool:
    """A zombie, which nobody may be left to reap, does not run."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def eventually(condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.01)
    return False


def eventually_says_ready(log: Path) -> bool:
    return eventually(lambda: log.read_text() == "ready\n")


def test_a_killed_child_is_started_again_and_the_change_is_told(
    supervisor: Supervisor, noted: Noted
) -> None:
    pid = supervisor.spawn("api", _SLEEP, env=_ENV, cwd=Path("/"))
    assert supervisor.poll() == []
    os.kill(pid, signal.SIGKILL)

    assert eventually(lambda: supervisor.poll() == ["api"])

    (again,) = supervisor.pids()["api"]
    assert again != pid
    assert runs(again)
    assert noted.changes == 1


def test_a_name_may_have_several_children(supervisor: Supervisor) -> None:
    pids = [supervisor.spawn("worker", _SLEEP, env=_ENV, cwd=Path("/")) for _ in range(2)]

    assert supervisor.pids() == {"worker": pids}


def test_a_child_that_is_down_has_no_pid(supervisor: Supervisor) -> None:
    supervisor.spawn("api", ["false"], env=_ENV, cwd=Path("/"))

    assert eventually(lambda: supervisor.pids() == {"api": []})


def test_delays_double_up_to_five_seconds() -> None:
    assert [delay_seconds(n) for n in (1, 2, 3, 5, 6, 1000)] == [0.2, 0.4, 0.8, 3.2, 5.0, 5.0]


def test_children_are_stopped_in_the_given_order_and_the_rest_after(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    order = tmp_path / "order"
    for name in ("worker", "simulator", "api"):
        note_its_end = f"trap 'echo {name} >>{order}; exit' TERM; echo ready; sleep 60 & wait"
        supervisor.spawn(name, ["sh", "-c", note_its_end], env=_ENV, cwd=Path("/"))
        assert eventually_says_ready(tmp_path / f"{name}.log")

    supervisor.stop(["api", "worker"])

    assert order.read_text().split() == ["api", "worker", "simulator"]
    assert supervisor.pids() == {}


def test_a_child_that_will_not_stop_is_killed_after_its_grace(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    pid = supervisor.spawn("api", _STUBBORN, env=_ENV, cwd=Path("/"), grace_seconds=0.1)
    assert eventually_says_ready(tmp_path / "api.log")

    supervisor.stop()

    assert not runs(pid)


def test_output_goes_to_the_log_and_with_echo_to_stderr(
    tmp_path: Path, noted: Noted, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "api.log").write_text("from an earlier run\n")
    with Supervisor(tmp_path, on_change=noted, echo=True) as supervisor:
        supervisor.spawn("api", ["sh", "-c", "echo one; sleep 60"], env=_ENV, cwd=Path("/"))
        assert eventually(lambda: (tmp_path / "api.log").read_text().endswith("one\n"))
        supervisor.poll()

    assert (tmp_path / "api.log").read_text() == "from an earlier run\none\n"
    assert capsys.readouterr().err == "api: one\n"


def test_what_others_revive_is_a_change_too(tmp_path: Path, noted: Noted) -> None:
    answers = iter([[], ["postgres"]])
    with Supervisor(tmp_path, on_change=noted, revive=lambda: next(answers)) as supervisor:
        assert supervisor.poll() == []
        assert supervisor.poll() == ["postgres"]

    assert noted.changes == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_a_signal_and_then_leaves_signals_as_they_were(
    supervisor: Supervisor, signum: signal.Signals
) -> None:
    pid = supervisor.spawn("api", _SLEEP, env=_ENV, cwd=Path("/"))
    before = signal.getsignal(signum)
    threading.Timer(0.1, os.kill, [os.getpid(), signum]).start()

    assert supervisor.run_until_signal() == signum

    assert signal.getsignal(signum) == before
    assert runs(pid)


def test_children_of_a_killed_supervisor_end(tmp_path: Path) -> None:
    owner = subprocess.Popen(  # noqa: S603 - our own text
        [sys.executable, "-c", _HOLD_A_CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert runs(pid)
        owner.kill()

    assert eventually(lambda: not runs(pid))
