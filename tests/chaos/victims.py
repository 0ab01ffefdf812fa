"""The processes of one running stack as they are now: nobody else's is ever touched."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")


class Kind(Enum):
    """What a child of the stack is, told by the words of its command line."""

    API = ("app.cli", "api")
    WORKER = ("app.cli", "worker")
    NAIVE_WORKER = ("tests.chaos.naive", "worker")
    POSTGRES = ("postgres",)
    REDIS = ("valkey-server",)


@dataclass(frozen=True, slots=True)
class Family:
    """The children of the process that owns a stack."""

    parent: int

    def pids(self, *kinds: Kind) -> list[int]:
        """Those of these kinds that live now, lowest pid first."""
        found = (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
        return sorted(pid for pid in found if self._is_ours(pid) and _is(pid, kinds))

    def send(self, pid: int, number: signal.Signals) -> bool:
        """Whether it was there to be sent a signal, as a child of this stack."""
        if not self._is_ours(pid):
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True

    def _is_ours(self, pid: int) -> bool:
        # After the name, which may hold anything, come the state and the parent.
        _, _, rest = _read(_PROC / str(pid) / "stat").rpartition(")")
        state, parent = (rest.split() or ["Z", "0"])[:2]
        return state != "Z" and int(parent) == self.parent


def _is(pid: int, kinds: Sequence[Kind]) -> bool:
    words = [Path(word).name for word in _read(_PROC / str(pid) / "cmdline").split("\0")]
    return any(all(part in words for part in kind.value) for kind in kinds)


def _read(file: Path) -> str:
    """Empty where the process has ended meanwhile."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
