"""Children that die with this process, and that are stopped within a bound."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Loaded here, because between fork and exec a child may not safely load anything.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """An unprivileged account that children of a root process run as."""

    uid: int
    gid: int


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    dies_by: signal.Signals,
    account: Account | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child that gets `dies_by` when this process ends in any way, kill -9 included.

    Only the main thread may call: Linux sends the signal when the parent *thread* ends. On other
    systems than Linux nothing but `stop` ends a child.
    """
    require_main_thread()
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - argv is ours, no shell
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A Ctrl-C at the terminal must reach us alone: we stop the children in order.
            start_new_session=True,
            # Runs after the change of account, which would clear the setting.
            preexec_fn=_die_with(os.getpid(), dies_by),  # noqa: PLW1509 - no other way to prctl
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


def require_main_thread() -> None:
    """Raise in any other thread, before anything is begun there."""
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("Only the main thread may: a child dies with the thread that made it.")


def run_as(
    argv: Sequence[str],
    *,
    account: Account | None,
    env: Mapping[str, str],
    timeout_seconds: float,
    told: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a short command to its end, as `account` where one is given; it reads `told`."""
    return subprocess.run(  # noqa: S603 - argv is ours, no shell
        list(argv),
        env=dict(env),
        cwd="/",
        input=told,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_seconds,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )


def stop(process: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> int:
    """Send each signal and wait its seconds, then SIGKILL; return the exit code."""
    for signum, seconds in steps:
        if process.poll() is not None:
            break
        process.send_signal(signum)
        if ended_within(process, seconds):
            break
    if process.poll() is None:
        process.kill()
    return process.wait()


def ended_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the child ends in that time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _die_with(parent: int, signum: signal.Signals) -> Callable[[], None] | None:
    libc = _LIBC
    if libc is None:
        return None

    def arm() -> None:
        if libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0:
            os._exit(1)
        # The parent may have died before the call. Its pid is compared, not 1: in a container it
        # may well be process 1 itself.
        if os.getppid() != parent:
            os._exit(1)

    return arm
