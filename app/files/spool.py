"""A file on its way in: counted and hashed as it comes, on disk and never whole in memory."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from typing import BinaryIO

from app.files import content
from app.files.content import MediaType
from app.files.errors import FileTooLarge, FileTypeRefused


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
    """Take a file in; it is gone when the block ends. Raises FileTooLarge as soon as it is."""
    digest, size = hashlib.sha256(), 0
    with await asyncio.to_thread(tempfile.TemporaryFile) as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > bytes_max:
                raise FileTooLarge(f"A file may have at most {bytes_max} bytes")
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.flush)
        yield Spooled(file, size, digest.digest())
