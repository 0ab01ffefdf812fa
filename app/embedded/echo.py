"""Repeats on stderr what children write to their logs, without a pipe that could block them."""

import sys
from pathlib import Path

_BYTES_PER_LOOK_MAX = 65_536


class LogEcho:
    """Follows files from their present end; a line is repeated once it is complete."""

    def __init__(self) -> None:
        self._offsets: dict[Path, int] = {}

    def follow(self, log: Path) -> None:
        """Begin at the end of the file as it is, or go on where an earlier look ended."""
        size = log.stat().st_size if log.exists() else 0
        # A file shorter than what was read of it is a new one.
        self._offsets[log] = min(self._offsets.get(log, size), size)

    def look(self) -> None:
        """Repeat what is new, at most 64 kB of each file; the rest comes at the next look."""
        for log in self._offsets:
            for line in self._new_lines(log):
                sys.stderr.write(f"{log.stem}: {line}\n")

    def _new_lines(self, log: Path) -> list[str]:
        with log.open("rb") as file:
            file.seek(self._offsets[log])
            read = file.read(_BYTES_PER_LOOK_MAX)
        complete = len(read) if len(read) == _BYTES_PER_LOOK_MAX else read.rfind(b"\n") + 1
        self._offsets[log] += complete
        return read[:complete].decode(errors="replace").splitlines()
