"""A road to PostgreSQL that is cut at a COMMIT: before it arrives, or before its answer does."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

_COMMIT: Final = b"COMMIT"
_CHUNK_BYTES: Final = 65_536


class Cut(StrEnum):
    """Where the connection ends."""

    BEFORE_COMMIT = "before it arrives"
    AFTER_COMMIT = "before its answer"


class Road:
    """Passes everything on both ways, but for the COMMITs that are to be cut."""

    def __init__(self, database_url: str) -> None:
        self._target = urlsplit(database_url)
        self._armed: list[Cut] = []
        self.cuts: Counter[Cut] = Counter()
        self.url = ""

    def arm(self, *cuts: Cut) -> None:
        """Cut the next COMMITs in these ways, one after the other."""
        self._armed.extend(cuts)

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        signed_in, _, _ = self._target.netloc.rpartition("@")
        self.url = self._target._replace(netloc=f"{signed_in}@127.0.0.1:{port}").geturl()
        return server

    async def _pass(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", self._target.port)
        back = asyncio.create_task(_back(far, to_near))
        there = asyncio.create_task(self._there(near, to_far, back))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            if back.cancelled():
                await there
                # The server has the COMMIT; its answer is read by nobody.
                await far.read(_CHUNK_BYTES)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            to_far.close()
            to_near.transport.abort()

    async def _there(
        self, near: asyncio.StreamReader, to_far: asyncio.StreamWriter, back: asyncio.Task[None]
    ) -> None:
        """Ends when a side does, or a COMMIT is cut; where it still arrives, nothing comes back."""
        while chunk := await near.read(_CHUNK_BYTES):
            cut = self._armed.pop(0) if self._armed and _COMMIT in chunk else None
            if cut is not None:
                self.cuts[cut] += 1
            if cut is Cut.BEFORE_COMMIT:
                return
            if cut is Cut.AFTER_COMMIT:
                back.cancel()
            to_far.write(chunk)
            await to_far.drain()
            if cut is not None:
                return


async def _back(far: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
    while chunk := await far.read(_CHUNK_BYTES):
        to_near.write(chunk)
        await to_near.drain()


@contextmanager
def road_to(database_url: str) -> Iterator[Road]:
    """Open for traffic inside the block."""
    road = Road(database_url)
    opened = threading.Event()
    closing: list[Callable[[], object]] = []

    async def serve() -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()
        closing.append(lambda: loop.call_soon_threadsafe(closed.set))
        async with await road.open():
            opened.set()
            await closed.wait()

    # What still drives there is stopped by asyncio.run.
    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert opened.wait(10), "the road was not opened"
    try:
        yield road
    finally:
        [close] = closing
        close()
        thread.join(10)
