"""A file on its way in: counted and hashed as it comes, on disk and never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO, TypeVar

from app.core.logging import get_logger
from app.files import content
from app.files.content import MediaType
from app.files.errors import FileTooLarge, FileTypeRefused
from app.files.storage import StorageUnavailable

log = get_logger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Spooled:
    """All of a file, in a nameless file of the system's temporary folder."""

    file: BinaryIO
    size: int
    sha256: bytes

    async def recognise(self) -> MediaType:
        """What it is. Raises FileTypeRefused."""
        return await asyncio.to_thread(self._recognise)

    def _recognise(self) -> MediaType:
        if self.size == 0:
            raise FileTypeRefused("is empty")
        with mmap(self.file.fileno(), self.size, access=ACCESS_READ) as data:
            return content.recognise(data)


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], *, bytes_max: int) -> AsyncIterator[Spooled]:
    """Take a file in; it is gone when the block ends. Raises FileTooLarge as soon as it is, and
    StorageUnavailable when the temporary folder has no room.
    """
    digest, size = hashlib.sha256(), 0
    with await _tried(_nameless) as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > bytes_max:
                raise FileTooLarge(f"A file may have at most {bytes_max} bytes")
            digest.update(chunk)
            await _tried(file.write, chunk)
        await _tried(file.flush)
        yield Spooled(file, size, digest.digest())


def _nameless() -> BinaryIO:
    return tempfile.TemporaryFile()


async def _tried(doing: Callable[..., Result], *arguments: bytes) -> Result:
    try:
        return await asyncio.to_thread(doing, *arguments)
    except OSError as error:
        log.warning("storage_failed", act="spool", error=repr(error))
        raise StorageUnavailable from error
