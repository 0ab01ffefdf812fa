"""What nobody wants is removed, wherever it was left; what is attached never is."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.db import Session
from app.core.errors import Unavailable
from app.core.ids import new_id
from app.core.runtime import Runtime
from app.files import collecting, service
from app.files.backends import open_storage
from app.files.local_storage import LocalStorage
from app.files.models import StoredFile
from app.files.storage import BytesMissing, StorageUnavailable
from app.files.storing import Incoming, Limits, store
from tests.files.samples import png
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World

HOUR = timedelta(hours=1, seconds=1)


class Cut(Exception):
    """The process is killed here."""


class Desk:
    """Stores files and looks after them."""

    def __init__(self, runtime: Runtime, world: World, worker: Worker) -> None:
        self.runtime, self.world, self.worker = runtime, world, worker

    async def store(self, data: bytes = png()) -> StoredFile:
        """A file, stored and not attached."""

        async def chunks() -> Any:
            yield data

        async with open_storage(self.runtime.settings) as storage:
            return await store(
                self.runtime.uow,
                storage,
                Incoming("a.png", "image/png", chunks()),
                book_id=new_id(),
                purpose="thing",
                limits=Limits.of(self.runtime.settings),
            )

    async def attach(self, file: StoredFile) -> StoredFile:
        async def transaction(session: Session) -> StoredFile:
            return await service.attach(session, file, "thing", str(file.id), at_most=3)

        return await self.runtime.uow.run(transaction)

    async def collect(self) -> None:
        await self.worker.drain(service.COLLECT)

    async def has_bytes(self, file: StoredFile) -> bool:
        async with open_storage(self.runtime.settings) as storage:
            try:
                async for _ in storage.read(file.storage_key):
                    pass
            except BytesMissing:
                return False
        return True

    async def left(self) -> tuple[int, int]:
        """Rows of files, and of work on them."""
        async with self.runtime.uow.begin() as session:
            work = await session.scalar(
                text("SELECT count(*) FROM work WHERE kind = :kind"), {"kind": service.COLLECT}
            )
        return await self.world.count("files"), int(work or 0)


@pytest.fixture
def desk(runtime: Runtime, world: World, worker: Worker) -> Desk:
    return Desk(runtime, world, worker)


async def test_a_file_that_was_attached_in_time_stays(desk: Desk, clock: Clock) -> None:
    file = await desk.store()
    clock.move(timedelta(minutes=59))
    await desk.collect()
    await desk.attach(file)
    clock.move(timedelta(days=400))
    await desk.collect()

    assert await desk.has_bytes(file)
    assert await desk.left() == (1, 0)


async def test_a_file_that_was_never_attached_is_gone_after_an_hour(
    desk: Desk, clock: Clock
) -> None:
    file = await desk.store()
    clock.move(HOUR)
    await desk.collect()

    assert not await desk.has_bytes(file)
    assert await desk.left() == (0, 0)
    with pytest.raises(Unavailable, match="send it again"):
        await desk.attach(file)


async def test_a_process_that_dies_before_its_bytes_are_stored_leaves_nothing_for_good(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(*_arguments: Any, **_options: Any) -> None:
        raise Cut

    monkeypatch.setattr(LocalStorage, "put", cut)
    with pytest.raises(Cut):
        await desk.store()
    assert await desk.left() == (1, 1)

    clock.move(HOUR)
    await desk.collect()
    assert await desk.left() == (0, 0)


async def test_a_collector_that_dies_before_it_deletes_is_followed_by_another(
    desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    file = await desk.store()
    clock.move(HOUR)
    await runtime.uow.run(collecting.lease_unwanted)

    # From here on nobody can have it, although its bytes are still there.
    with pytest.raises(Unavailable):
        await desk.attach(file)
    await desk.worker.lose_leases()
    await desk.worker.upkeep()
    await desk.collect()

    assert not await desk.has_bytes(file)
    assert await desk.left() == (0, 0)


async def test_a_collector_that_dies_after_it_has_deleted_is_followed_by_another(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await desk.store()
    clock.move(HOUR)

    async def cut(*_arguments: Any) -> None:
        raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(collecting, "record_removed", cut)
        with pytest.raises(Cut):
            await desk.collect()
    assert not await desk.has_bytes(file)
    assert await desk.left() == (1, 1)

    await desk.worker.lose_leases()
    await desk.worker.upkeep()
    await desk.collect()
    assert await desk.left() == (0, 0)


async def test_a_collector_that_lost_its_lease_forgets_only_what_it_has_removed(
    desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    await desk.store()
    clock.move(HOUR)
    late = await runtime.uow.run(collecting.lease_unwanted)
    await desk.worker.lose_leases()
    await desk.worker.upkeep()
    await runtime.uow.run(collecting.lease_unwanted)

    await runtime.uow.run(lambda session: collecting.record_removed(session, late, []))
    assert await desk.left() == (1, 1)


async def test_while_the_storage_is_away_files_wait_and_no_other_for_them(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, other = await desk.store(), await desk.store()
    delete = LocalStorage.delete

    async def fail_for_one(storage: LocalStorage, key: str) -> None:
        if key == stuck.storage_key:
            raise StorageUnavailable
        await delete(storage, key)

    clock.move(HOUR)
    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "delete", fail_for_one)
        await desk.collect()
    assert (await desk.has_bytes(stuck), await desk.has_bytes(other)) == (True, False)

    clock.move(timedelta(minutes=9))
    await desk.collect()
    assert await desk.has_bytes(stuck)
    clock.move(timedelta(minutes=2))
    await desk.collect()
    assert await desk.left() == (0, 0)


async def test_a_file_that_is_deleted_loses_its_bytes_without_waiting(
    desk: Desk, runtime: Runtime
) -> None:
    file = await desk.attach(await desk.store())
    async with runtime.uow.begin() as session:
        await service.delete(session, [file.id])
    await desk.collect()

    assert not await desk.has_bytes(file)
    assert await desk.left() == (0, 0)


async def test_more_than_a_batch_is_collected_at_once(desk: Desk, clock: Clock) -> None:
    for _ in range(collecting.BATCH_MAX + 1):
        await desk.store()
    clock.move(HOUR)
    await desk.collect()

    assert await desk.left() == (0, 0)


@pytest.mark.committing
async def test_attaching_and_collecting_at_once_have_one_winner(desk: Desk, clock: Clock) -> None:
    files = [await desk.store(png(width + 1)) for width in range(12)]
    clock.move(HOUR)
    outcomes = await asyncio.gather(
        *map(desk.attach, files), desk.collect(), return_exceptions=True
    )
    await desk.collect()

    *attaching, collected = outcomes
    assert collected is None
    assert {type(outcome) for outcome in attaching} <= {StoredFile, Unavailable}
    kept = [isinstance(outcome, StoredFile) for outcome in attaching]
    assert [await desk.has_bytes(file) for file in files] == kept
    assert await desk.left() == (sum(kept), 0)
