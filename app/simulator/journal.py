"""The simulator's append-only file: what it has answered for survives its own death."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """JSON lines, each handed to the operating system before the caller goes on.

    Without a path nothing is kept.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            _drop_torn_end(path)
            self._file = path.open("ab", buffering=0)

    def append(self, record: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(orjson.dumps(record) + b"\n")

    def records(self) -> Iterator[dict[str, Any]]:
        """Everything appended so far, in order."""
        if self._path is None:
            return
        with self._path.open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _drop_torn_end(path: Path) -> None:
    """A line without its end was being written when we died: nobody was answered for it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        file.truncate(content.rfind(b"\n") + 1)
