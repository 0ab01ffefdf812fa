"""The evidence of a claim: files, attached while it is open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from app.core.db import Session
from app.core.errors import NotFound
from app.files import service as files
from app.files.models import StoredFile
from app.refunds import repository, service

REF_TYPE: Final = "refund_claim"
PURPOSE: Final = "claim evidence"
FILES_MAX: Final = 10


async def check_room(session: Session, book_id: UUID, public: str) -> UUID:
    """The id of a claim that takes one more file. Raises NotFound, ClaimStateConflict,
    TooManyFiles.
    """
    claim = await service.get_in_book(session, book_id, public)
    service.refuse_closed(claim)
    await files.check_room(session, REF_TYPE, str(claim.id), at_most=FILES_MAX)
    return claim.id


async def attach(session: Session, claim_id: UUID, file: StoredFile) -> StoredFile:
    """A stored file becomes evidence. Raises what `check_room` raises."""
    claim = await repository.lock(session, claim_id)
    if claim is None:
        raise NotFound
    service.refuse_closed(claim)
    return await files.attach(session, file, REF_TYPE, str(claim_id), at_most=FILES_MAX)


async def of_claim(session: Session, claim_id: UUID) -> Sequence[StoredFile]:
    """Oldest first."""
    return (await files.of_refs(session, REF_TYPE, [str(claim_id)]))[str(claim_id)]
