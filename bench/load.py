"""A load generator that costs little beside what it loads: raw HTTP/1.1 over kept connections."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, cast

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CREATED: Final = b"201"


class LoadFailed(Exception):
    """An answer was not 201, or a connection broke: the figures would mean nothing."""


@dataclass(slots=True)
class Load:
    """What came of one run: how long it took in all, and each answer by itself."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


async def run(host: str, port: int, requests: Iterable[bytes], *, connections: int) -> Load:
    """Send all requests, one at a time on each connection. Raises LoadFailed."""
    loop = asyncio.get_running_loop()
    waiting = iter(requests)
    load = Load()
    ends: list[asyncio.Future[None]] = [loop.create_future() for _ in range(connections)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Connection(waiting, load, end), host, port)  # type: ignore[misc]  # the default binds this round's end
    await asyncio.gather(*ends)
    load.seconds = time.perf_counter() - began
    return load


class _Connection(asyncio.Protocol):
    """One kept connection: when an answer is whole, the next request goes out."""

    def __init__(self, waiting: Iterator[bytes], load: Load, end: asyncio.Future[None]) -> None:
        self._waiting = waiting
        self._load = load
        self._end = end
        self._received = bytearray()
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send_next()

    def _send_next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self._end.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        length = _LENGTH.search(self._received, 0, head_end + 2)
        if length is None or self._received[9:12] != _CREATED:
            self._fail(bytes(self._received[:500]))
            return
        if len(self._received) < head_end + len(_HEAD_END) + int(length[1]):
            return
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        self._received.clear()
        self._send_next()

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(repr(error).encode())

    def _fail(self, why: bytes) -> None:
        if not self._end.done():
            self._end.set_exception(LoadFailed(why.decode(errors="replace")))
            self._transport.close()
