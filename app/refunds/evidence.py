"""The evidence of a claim: files, attached while it is open and removed long after."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import NotFound
from app.core.uow import now_of
from app.files import service as files
from app.files.models import StoredFile
from app.refunds import repository, service
from app.refunds.repository import Happening

REF_TYPE: Final = "refund_claim"
PURPOSE: Final = "claim evidence"
FILES_MAX: Final = 10
CLAIMS_AT_ONCE_MAX: Final = 100
REMOVER: Final = Actor("system", "retention")


async def check_room(session: Session, book_id: UUID, public: str) -> UUID:
    """The id of a claim that takes one more file. Raises NotFound, ClaimStateConflict,
    TooManyFiles.
    """
    claim = await service.get_in_book(session, book_id, public)
    service.refuse_closed(claim)
    await files.check_room(session, REF_TYPE, str(claim.id), at_most=FILES_MAX)
    return claim.id


async def attach(session: Session, claim_id: UUID, file: StoredFile, *, actor: Actor) -> StoredFile:
    """A stored file becomes evidence, and its hash a part of the claim. May be run again: what is
    evidence already is not told anew. Raises what `check_room` raises.
    """
    claim = await repository.lock(session, claim_id)
    if claim is None:
        raise NotFound
    there = {known.id: known for known in await of_claim(session, claim_id)}
    if file.id in there:
        return there[file.id]
    service.refuse_closed(claim)
    attached = await files.attach(session, file, REF_TYPE, str(claim_id), at_most=FILES_MAX)
    if attached.id not in there:
        words = f"A file was added: {file.size} bytes, SHA-256 {file.sha256.hex()}."
        await repository.change(session, claim, Happening("evidence_added", actor, words), {})
    return attached


async def remove_old(session: Session, *, days: int) -> int:
    """Delete the files of claims that were closed so long ago, a batch of claims at a time; their
    hashes stay, in the claim's events. How many files.
    """
    closed_before = now_of(session) - timedelta(days=days)
    count = 0
    for claim_id in await repository.with_evidence(
        session, REF_TYPE, closed_before=closed_before, limit=CLAIMS_AT_ONCE_MAX
    ):
        claim = await repository.lock(session, claim_id)
        if claim is None or claim.closed_at is None or claim.closed_at >= closed_before:
            continue  # it was reopened meanwhile
        gone = await of_claim(session, claim_id)
        await files.delete(session, [file.id for file in gone])
        words = f"All {len(gone)} files were removed, {days} days after the claim was closed."
        await repository.change(session, claim, Happening("evidence_removed", REMOVER, words), {})
        count += len(gone)
    return count


async def of_claim(session: Session, claim_id: UUID) -> Sequence[StoredFile]:
    """Oldest first."""
    return (await files.of_refs(session, REF_TYPE, [str(claim_id)]))[str(claim_id)]
