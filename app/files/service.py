"""Files as other slices know them: announced, attached to something, listed, deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.db import Session
from app.core.errors import NotFound, Unavailable
from app.core.ids import new_id, parse_public_id, public_id
from app.core.uow import now_of
from app.files import repository
from app.files.errors import StorageQuotaReached, TooManyFiles
from app.files.models import StoredFile
from app.files.states import FileState
from app.files.storage import new_key

COLLECT: Final = "collect_file"
"""The work of removing a file that nobody wants; promised with each file, kept by attaching it."""

UNATTACHED_FOR_MAX: Final = timedelta(hours=1)
_ID_PREFIX: Final = "fil"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What is known of a file once it was judged: nothing of it is only claimed."""

    name: str
    media_type: str
    size: int
    sha256: bytes


def public_file_id(file_id: UUID) -> str:
    return public_id(_ID_PREFIX, file_id)


def parse_file_id(text: str) -> UUID | None:
    return parse_public_id(_ID_PREFIX, text)


async def announce(
    session: Session, facts: FileFacts, *, book_id: UUID, purpose: str, book_bytes_max: int
) -> StoredFile:
    """The row of a file that is about to be stored, and the promise to remove it again unless it
    is attached within the hour. Raises StorageQuotaReached.
    """
    await repository.lock_book(session, book_id)
    if await repository.stored_bytes(session, book_id) + facts.size > book_bytes_max:
        raise StorageQuotaReached(f"All files of an account may take {book_bytes_max} bytes")
    file = StoredFile(
        id=new_id(),
        book_id=book_id,
        purpose=purpose,
        name=facts.name,
        media_type=facts.media_type,
        size=facts.size,
        sha256=facts.sha256,
        storage_key=new_key(),
        state=FileState.STORED,
        created_at=now_of(session),
    )
    await repository.insert(session, file)
    due_at = now_of(session) + UNATTACHED_FOR_MAX
    await work.put(session, COLLECT, str(file.id), due_at=due_at)
    return file


async def check_room(session: Session, ref_type: str, ref_id: str, *, at_most: int) -> None:
    """Raises TooManyFiles unless one more may be attached; `attach` asks this too."""
    _check_room(await repository.count_of_ref(session, ref_type, ref_id), at_most)


def _check_room(count: int, at_most: int) -> None:
    if count >= at_most:
        raise TooManyFiles(f"There may be at most {at_most} files here")


async def attach(
    session: Session, file: StoredFile, ref_type: str, ref_id: str, *, at_most: int
) -> StoredFile:
    """A stored file becomes part of something, which the caller has locked.

    The same content sent again is the file that is there already: a client that lost the answer
    may repeat itself. Raises TooManyFiles; Unavailable when the file came an hour too late.
    """
    there = await repository.of_refs(session, ref_type, [ref_id])
    for known in there:
        if known.sha256 == file.sha256:
            return known
    _check_room(len(there), at_most)
    # These work rows are locked here and by who collects files: they may come after other locks.
    await work.finish(session, COLLECT, [str(file.id)])
    attached = await repository.attach(session, file.id, ref_type, ref_id)
    if attached is None:
        raise Unavailable("The file was stored too long ago, send it again")
    return attached


async def of_refs(
    session: Session, ref_type: str, ref_ids: Collection[str]
) -> Mapping[str, Sequence[StoredFile]]:
    """The files attached to each of these, oldest first; an empty list where there are none."""
    found: dict[str, list[StoredFile]] = {ref_id: [] for ref_id in ref_ids}
    for file in await repository.of_refs(session, ref_type, ref_ids):
        found[str(file.ref_id)].append(file)
    return found


async def get(session: Session, file_id: UUID) -> StoredFile:
    """An attached file; NotFound for any other."""
    file = await repository.find_attached(session, file_id)
    if file is None:
        raise NotFound
    return file


async def delete(session: Session, file_ids: Collection[UUID]) -> None:
    """These are gone for everybody at the commit; their bytes soon after."""
    ids = await repository.doom(session, file_ids)
    await work.put_many(session, COLLECT, [(str(file_id), work.MAIN_LANE) for file_id in ids])
