"""Waits for the end of a server that a killed process left behind: its files are still in use."""

import time
from enum import Enum, auto
from pathlib import Path

from app.embedded.errors import ServerDidNotStart

_WAIT_SECONDS_MAX = 30.0
_LOOK_EVERY_SECONDS = 0.02
_PROC = Path("/proc")
# In the flags of /proc/PID/stat.
_KERNEL_THREAD = 0x00200000


class _Process(Enum):
    GONE = auto()
    OURS = auto()
    STRANGER = auto()


def await_end_of_previous(pid_file: Path, *, serves: Path) -> None:
    """Return once no process named by `pid_file` has the path `serves` among its arguments.

    Call it only while the data folder is owned: then such a process has lost its parent, was told
    to stop by that, and needs only the time to do so. A file that names a stranger, because the
    number was given out again, is removed: PostgreSQL would refuse to start over it.
    """
    pid = _named_in(pid_file)
    if pid is None or not _PROC.is_dir():
        return
    deadline = time.monotonic() + _WAIT_SECONDS_MAX
    while time.monotonic() < deadline:
        match _look_at(pid, serves):
            case _Process.GONE:
                return
            case _Process.STRANGER:
                pid_file.unlink(missing_ok=True)
                return
            case _Process.OURS:
                time.sleep(_LOOK_EVERY_SECONDS)
    raise ServerDidNotStart(
        f"Process {pid} of an earlier start still works in {serves} after"
        f" {_WAIT_SECONDS_MAX:.0f} s. Stop it, then start again."
    )


def _named_in(pid_file: Path) -> int | None:
    try:
        first = pid_file.read_text().split(maxsplit=1)[:1]
    except FileNotFoundError:
        return None
    return int(first[0]) if first and first[0].isdigit() else None


def _look_at(pid: int, serves: Path) -> _Process:
    folder = _PROC / str(pid)
    try:
        arguments = (folder / "cmdline").read_bytes().split(b"\0")
        # The name in parentheses may hold anything, parentheses included.
        state, *numbers = (folder / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return _Process.GONE
    is_zombie, is_kernels = state in "ZX", int(numbers[5]) & _KERNEL_THREAD
    # A process on its way out has lost its arguments before it has closed its files.
    is_ending = arguments == [b""] and not is_zombie and not is_kernels
    return _Process.OURS if bytes(serves) in arguments or is_ending else _Process.STRANGER
