"""Bytes in a local folder: each file written whole beside its place, then renamed into it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

from app.core.logging import get_logger
from app.files.storage import CHUNK_BYTES, BytesMissing, StorageUnavailable, check_key

log = get_logger(__name__)


class LocalStorage:
    """A folder that all processes share. Folders and files are for their owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, file: BinaryIO, *, size: int, sha256: bytes) -> None:  # noqa: ARG002 - for storage that checks them
        await self._tried("put", self._put, self._place(key), file)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        place = self._place(key)
        try:
            with await asyncio.to_thread(place.open, "rb") as file:
                while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError as error:
            raise BytesMissing from error
        except OSError as error:
            log.warning("storage_failed", act="read", error=repr(error))
            raise StorageUnavailable from error

    async def delete(self, key: str) -> None:
        await self._tried("delete", self._delete, self._place(key))

    def _place(self, key: str) -> Path:
        return self._folder / check_key(key)

    @staticmethod
    async def _tried(act: str, doing: Callable[..., None], *arguments: object) -> None:
        try:
            await asyncio.to_thread(doing, *arguments)
        except OSError as error:
            log.warning("storage_failed", act=act, error=repr(error))
            raise StorageUnavailable from error

    def _put(self, place: Path, file: BinaryIO) -> None:
        folders = (self._folder, place.parent.parent, place.parent)
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = _part_of(place)
        part.unlink(missing_ok=True)
        file.seek(0)
        with open(part, "xb", opener=_private) as kept:
            shutil.copyfileobj(file, kept, CHUNK_BYTES)
            kept.flush()
            os.fsync(kept.fileno())
        part.replace(place)
        for folder in folders:
            _sync_folder(folder)

    @staticmethod
    def _delete(place: Path) -> None:
        place.unlink(missing_ok=True)
        _part_of(place).unlink(missing_ok=True)


def _part_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.part")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _sync_folder(folder: Path) -> None:
    """So that a power cut after this does not take a name in it away again."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
