"""Removing the bytes of files that nobody wants: lease, delete from the storage, record."""

from __future__ import annotations

import asyncio
from uuid import UUID

from app.core.db import Session
from app.core.logging import get_logger
from app.files import collecting
from app.files.backends import open_storage
from app.files.collecting import Unwanted
from app.files.storage import Storage, StorageUnavailable
from workers.context import ROUNDS_MAX, WorkerContext

log = get_logger(__name__)


async def drain_collect(context: WorkerContext, _lane: str) -> None:
    """Remove what is due, until nothing is. Cut off anywhere, it is done again from the start."""
    runtime = context.runtime
    async with open_storage(context.settings) as storage:
        for _ in range(ROUNDS_MAX):
            if context.stopping.is_set():
                return
            unwanted = await runtime.uow.run(collecting.lease_unwanted)
            if not unwanted.lease.refs:
                return
            await _remove(context, storage, unwanted)


async def _remove(context: WorkerContext, storage: Storage, unwanted: Unwanted) -> None:
    async def gone(file_id: UUID, key: str) -> bool:
        try:
            await storage.delete(key)
        except StorageUnavailable:
            log.warning("file_not_removed", file=str(file_id))
            return False
        return True

    # All at once: the lease outlasts the longest call, not the sum of many.
    outcomes = await asyncio.gather(*(gone(*item) for item in unwanted.keys.items()))
    removed = [file_id for file_id, done in zip(unwanted.keys, outcomes, strict=True) if done]

    async def record(session: Session) -> None:
        await collecting.record_removed(session, unwanted, removed)

    await context.runtime.uow.run(record, repeatable=True)
