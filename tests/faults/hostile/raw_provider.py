"""A provider whose every byte is scripted: it says what no well-meaning server could be made to."""

import asyncio
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import orjson

from tests.faults.conftest import until

FIRST_ORDER_ID: Final = 70_001
_HOLD_SECONDS_MAX: Final = 30.0
_PHRASE: Final = "Whatever"


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came, at this process's monotonic time."""

    path: str
    form: Mapping[str, str]
    at: float

    @property
    def action(self) -> str:
        return self.form.get("action", "")


@dataclass(frozen=True, slots=True)
class Taken:
    """An order that the provider took, whatever it answered."""

    order_id: int
    link: str
    at: float


@dataclass(frozen=True, slots=True)
class Say:
    """An answer as it goes over the wire."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds_per_byte: float = 0.0
    from_the_head: bool = False
    """Whether the head trickles too, and not the body only."""

    hangs: bool = False
    """Say nothing at all until the caller has gone."""

    cut_after: int | None = None
    """Break the connection after so many bytes of the body."""

    once: threading.Event | None = None
    """Say it only when this is set."""


Script = Callable[[Call], Say]
Progress = Callable[[str, int], object]
"""What is told of an order, given its id as asked and for the how-manieth time it is asked."""


def as_json(payload: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Say:
    return Say(orjson.dumps(payload), status, headers or {})


def completed(_order_id: str, _nth: int) -> object:
    return told("Completed", remains=0)


def running(_order_id: str, _nth: int) -> object:
    return told("In progress", remains=100)


def told(status: str, *, remains: object, charge: object = "0.05") -> dict[str, object]:
    """One order in the fields of `action=status`."""
    return {
        "charge": charge,
        "start_count": "10",
        "status": status,
        "remains": remains if isinstance(remains, str) else str(remains),
        "currency": "USD",
    }


class RawProvider:
    """Serves from a thread; its books are the oracle. Well-behaved until `on_add` is replaced."""

    def __init__(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[Call] = []
        self.taken: list[Taken] = []
        self.on_add: Script = self.take
        self.on_status: Callable[[Call, object], Say] = lambda _call, payload: as_json(payload)
        self.progress: Progress = completed
        self._asked: Counter[str] = Counter()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/api/v2"

    @property
    def submits(self) -> list[Call]:
        return [call for call in self.calls if call.action == "add"]

    def accept(self, call: Call) -> int:
        """Take the order into the books; its id."""
        order_id = FIRST_ORDER_ID + len(self.taken)
        self.taken.append(Taken(order_id, call.form["link"], time.monotonic()))
        return order_id

    def take(self, call: Call) -> Say:
        return as_json({"order": self.accept(call)})

    def times_taken(self) -> Counter[str]:
        return Counter(one.link for one in self.taken)

    async def serve(self, stopping: asyncio.Event) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener, ssl=self._tls)
        async with server:
            await stopping.wait()
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A caller that has had enough hangs up: nothing of it is wrong here.
            with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
                call = await _read(reader)
                self.calls.append(call)
                await _send(self._answer(call), reader, writer)
        finally:
            # Also when the provider goes away in the middle of an answer.
            writer.close()

    def _answer(self, call: Call) -> Say:
        match call.action:
            case "add":
                return self.on_add(call)
            case "status":
                return self.on_status(call, self._status(call))
            case "cancel":
                ids = call.form["orders"].split(",")
                return as_json([{"order": int(order_id), "cancel": 1} for order_id in ids])
            case "balance":
                return as_json({"balance": "1000000.00", "currency": "USD"})
            case _:
                return as_json({"error": "Incorrect request"})

    def _status(self, call: Call) -> object:
        if "orders" in call.form:
            return {order_id: self._told(order_id) for order_id in call.form["orders"].split(",")}
        return self._told(call.form["order"])

    def _told(self, order_id: str) -> object:
        self._asked[order_id] += 1
        return self.progress(order_id, self._asked[order_id])


async def _read(reader: asyncio.StreamReader) -> Call:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Call(first.split()[1], dict(parse_qsl(body.decode())), time.monotonic())


async def _send(say: Say, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if say.once is not None:
        await asyncio.to_thread(say.once.wait, _HOLD_SECONDS_MAX)
    if say.hangs:
        await reader.read()
        return
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(say.body)),
        "Connection": "close",
    } | dict(say.headers)
    lines = [f"HTTP/1.1 {say.status} {_PHRASE}", *(f"{k}: {v}" for k, v in headers.items())]
    head, body = ("\r\n".join(lines) + "\r\n\r\n").encode(), say.body
    at_once, slowly = (b"", head + body) if say.from_the_head else (head, body)
    if not say.seconds_per_byte:
        at_once, slowly = head + body[: say.cut_after], b""
    writer.write(at_once)
    await writer.drain()
    for position in range(len(slowly)):
        await asyncio.sleep(say.seconds_per_byte)
        writer.write(slowly[position : position + 1])
        await writer.drain()
    if say.cut_after is not None:
        writer.transport.abort()


@contextmanager
def raw_provider(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[RawProvider]:
    """A provider that listens on this port, or any, while the block lasts."""
    provider = RawProvider(port, tls)
    stops: list[Callable[[], object]] = []

    async def serve() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        stops.append(lambda: loop.call_soon_threadsafe(stopping.set))
        await provider.serve(stopping)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    until(lambda: stops, 10, "the provider listens")
    try:
        yield provider
    finally:
        stops[0]()
        thread.join(10)


def free_port() -> int:
    """A port on which nobody listens: it refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
