"""Where bytes are kept: one interface, whatever is behind it, and the keys that it takes."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from typing import BinaryIO, Final, Protocol

from app.core.errors import Unavailable

CHUNK_BYTES: Final = 64 * 1024
_KEY_BYTES: Final = 16
_KEY: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{32}")


class StorageUnavailable(Unavailable):
    """The storage is away for now, or refuses us."""

    def __init__(self) -> None:
        super().__init__("Files cannot be stored or read at the moment, try again")


class BytesMissing(Exception):
    """Nothing is stored under this key."""


class Storage(Protocol):
    """Keeps bytes under keys of `new_key`. What it cannot do for now raises StorageUnavailable."""

    async def put(self, key: str, file: BinaryIO, *, size: int, sha256: bytes) -> None:
        """Keep the `size` bytes of the file, read from its start: all of them or none."""
        ...

    def read(self, key: str) -> AsyncIterator[bytes]:
        """The bytes, in chunks. Raises BytesMissing before the first; StorageUnavailable before any
        of them: what was cut off never looks whole.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove the bytes, and what a `put` that was cut off left of them; none is no error."""
        ...


def new_key() -> str:
    """A random name in two levels of folders; nothing of it comes from outside."""
    name = os.urandom(_KEY_BYTES).hex()
    return f"{name[:2]}/{name[2:4]}/{name}"


def check_key(key: str) -> str:
    """The key, if it is one of ours; raises ValueError, so that no path leads elsewhere."""
    if not _KEY.fullmatch(key):
        raise ValueError("not a storage key")
    return key
