"""Taking a file in: received and judged, announced in a transaction, stored outside of any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from app.core.db import Session
from app.core.settings import Settings
from app.core.uow import UnitOfWork
from app.files import content, names, service
from app.files.models import StoredFile
from app.files.service import FileFacts
from app.files.spool import Spooled, spooled
from app.files.storage import Storage


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file as it comes: what its sender says of it, and its bytes."""

    name: str
    declared_type: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large one file may be, and all files of a book together."""

    file_bytes_max: int
    book_bytes_max: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.files_bytes_max, settings.files_book_bytes_max)


async def store(
    uow: UnitOfWork,
    storage: Storage,
    incoming: Incoming,
    *,
    book_id: UUID,
    purpose: str,
    limits: Limits,
) -> StoredFile:
    """Store a file that nothing refuses. Unless `service.attach` makes it part of something within
    the hour, it is removed again.

    Begins and ends transactions of its own, so it must be called outside of any. Raises the
    refusals of `app.files.errors`, and StorageUnavailable.
    """
    name = names.display_name(incoming.name)
    async with spooled(incoming.chunks, bytes_max=limits.file_bytes_max) as arrived:
        facts = await _judge(arrived, name, incoming.declared_type)

        async def announce(session: Session) -> StoredFile:
            return await service.announce(
                session,
                facts,
                book_id=book_id,
                purpose=purpose,
                book_bytes_max=limits.book_bytes_max,
            )

        file = await uow.run(announce)
        await storage.put(file.storage_key, arrived.file, size=arrived.size, sha256=arrived.sha256)
    return file


async def _judge(arrived: Spooled, name: str, declared_type: str) -> FileFacts:
    """What it is, by its content. Raises FileTypeRefused, FileTypeMismatch."""
    found = await arrived.recognise()
    content.check_claims(found, ending=names.ending(name), declared_type=declared_type)
    return FileFacts(
        name=names.with_ending(name, content.ending_of(found)),
        media_type=found,
        size=arrived.size,
        sha256=arrived.sha256,
    )
