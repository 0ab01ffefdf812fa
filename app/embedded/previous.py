"""Waits for the end of a server that a killed process left behind: its files are still in use."""

import time
from pathlib import Path

from app.embedded.errors import ServerDidNotStart

_WAIT_SECONDS_MAX = 30.0
_LOOK_EVERY_SECONDS = 0.02
_PROC = Path("/proc")


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
        arguments = _arguments_of(pid)
        if not arguments:
            return
        if bytes(serves) not in arguments:
            pid_file.unlink(missing_ok=True)
            return
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


def _arguments_of(pid: int) -> list[bytes]:
    """A live process's arguments; nothing for one that has ended, zombies included."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []
