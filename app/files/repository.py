"""The SQL of files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, update

from app.core.db import Session
from app.files.models import StoredFile
from app.files.states import FileState


async def lock_book(session: Session, book_id: UUID) -> None:
    """Until the commit nobody else counts what this book has stored."""
    name = f"files:{book_id}"
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def stored_bytes(session: Session, book_id: UUID) -> int:
    """All that this book's files take, wanted or not, until their bytes are gone."""
    taken = await session.scalar(
        select(func.coalesce(func.sum(StoredFile.size), 0)).where(StoredFile.book_id == book_id)
    )
    return int(taken or 0)


async def insert(session: Session, file: StoredFile) -> None:
    session.add(file)
    await session.flush()


async def find_attached(session: Session, file_id: UUID) -> StoredFile | None:
    return await session.scalar(
        select(StoredFile).where(StoredFile.id == file_id, StoredFile.state == FileState.ATTACHED)
    )


async def attach(session: Session, file_id: UUID, ref_type: str, ref_id: str) -> StoredFile | None:
    """The file, attached; None when it no longer waits for that."""
    return await session.scalar(
        update(StoredFile)
        .where(StoredFile.id == file_id, StoredFile.state == FileState.STORED)
        .values(state=FileState.ATTACHED, ref_type=ref_type, ref_id=ref_id)
        .returning(StoredFile)
        .execution_options(populate_existing=True)
    )


async def of_refs(session: Session, ref_type: str, ref_ids: Iterable[str]) -> Sequence[StoredFile]:
    """What is attached to these, oldest first."""
    rows = await session.scalars(
        select(StoredFile)
        .where(
            StoredFile.ref_type == ref_type,
            StoredFile.ref_id.in_(list(ref_ids)),
            StoredFile.state == FileState.ATTACHED,
        )
        .order_by(StoredFile.id)
    )
    return rows.all()


async def count_of_ref(session: Session, ref_type: str, ref_id: str) -> int:
    count = await session.scalar(
        select(func.count())
        .select_from(StoredFile)
        .where(
            StoredFile.ref_type == ref_type,
            StoredFile.ref_id == ref_id,
            StoredFile.state == FileState.ATTACHED,
        )
    )
    return int(count or 0)


async def doom(session: Session, file_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Nobody wants these any more: their storage keys, by file."""
    rows = await session.execute(
        update(StoredFile)
        .where(StoredFile.id.in_(list(file_ids)))
        .values(state=FileState.DELETED)
        .returning(StoredFile.id, StoredFile.storage_key)
    )
    return {row.id: row.storage_key for row in rows}


async def forget(session: Session, file_ids: Iterable[UUID]) -> None:
    """Drop the rows whose bytes are gone."""
    await session.execute(
        delete(StoredFile).where(
            StoredFile.id.in_(list(file_ids)), StoredFile.state == FileState.DELETED
        )
    )
