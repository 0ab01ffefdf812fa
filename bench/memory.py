"""What a process holds of the machine's memory, as Linux tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FIELD: Final = re.compile(r"^(\w+): +(\d+) kB$", re.MULTILINE)
_KB_PER_MB: Final = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """In megabytes: all that is mapped in, and what no other process shares."""

    resident: float
    own: float


def memory_of(pid: int) -> Memory | None:
    """None where there is no /proc."""
    rollup = Path(f"/proc/{pid}/smaps_rollup")
    if not rollup.exists():
        return None
    fields = {name: int(kilobytes) for name, kilobytes in _FIELD.findall(rollup.read_text())}
    own = fields["Private_Clean"] + fields["Private_Dirty"]
    return Memory(fields["Rss"] / _KB_PER_MB, own / _KB_PER_MB)
