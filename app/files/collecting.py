"""Removing what nobody wants: bytes first, outside of a transaction, and then the row."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.core import work
from app.core.db import Session
from app.core.uow import now_of
from app.core.work import MAIN_LANE, Lease
from app.files import repository
from app.files.service import COLLECT

BATCH_MAX: Final = 20
LEASE_SECONDS: Final = 300.0
AGAIN_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A batch of files to remove, by storage key; none of them can be attached any more."""

    lease: Lease
    keys: Mapping[UUID, str]


async def lease_unwanted(session: Session) -> Unwanted:
    """Take what was deleted, or was never attached in its time."""
    lease = await work.lease(
        session, COLLECT, MAIN_LANE, limit=BATCH_MAX, in_flight_max=BATCH_MAX, seconds=LEASE_SECONDS
    )
    # One that is attached at this very moment has its work row locked, and was passed over.
    return Unwanted(lease, await repository.doom(session, map(UUID, lease.refs)))


async def record_removed(session: Session, unwanted: Unwanted, removed: Collection[UUID]) -> None:
    """Forget the files whose bytes are gone; the others are tried again later."""
    held = await work.lock_held(session, unwanted.lease, unwanted.lease.refs)
    left = held & {str(file_id) for file_id in set(unwanted.keys) - set(removed)}
    await repository.forget(session, removed)
    await work.finish(session, COLLECT, held - left)
    await work.put_back(session, COLLECT, left, due_at=now_of(session) + AGAIN_AFTER)
