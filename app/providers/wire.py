"""One bounded call to a provider; whoever calls knows whether a first byte was begun."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

import httpx

from app.core.clock import Clock
from app.core.http import (
    HEADERS,
    BodyTooLarge,
    BodyUnreadable,
    Bounds,
    bounded_transport,
    read_bounded,
)
from app.providers.classify import SendWithheld
from app.providers.protocol import Timeouts

SUBMIT_BODY_BYTES_MAX: Final = 256 * 1024
STATUS_BODY_BYTES_MAX: Final = 1024 * 1024
CATALOGUE_BODY_BYTES_MAX: Final = 32 * 1024 * 1024

_DEFAULTS: Final = Timeouts()
_CONNECTIONS_MAX: Final = 20_000
"""A stop, and no share: how many calls a provider may have under way is bounded where its work is
leased, at 200. A hundred providers that let all of them hang keep no place from another.
"""
_PORT_MAX: Final = 65_535
_FORM_TYPE: Final = "application/x-www-form-urlencoded"

_WIRE_TROUBLE: Final = (
    SendWithheld,
    BodyTooLarge,
    BodyUnreadable,
    httpx.HTTPError,
    httpx.InvalidURL,
    # A host name that cannot be written in the DNS.
    UnicodeError,
    # Time-outs of the whole call, and what of the sockets' own errors nobody translates.
    OSError,
)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What one call says: its headers may hold what we sign in with."""

    url: str
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def method(self) -> str:
        return "GET" if self.content is None else "POST"

    @classmethod
    def form(cls, url: str, form: Mapping[str, str]) -> Self:
        return cls(url, urlencode(form).encode("ascii"), {"Content-Type": _FORM_TYPE})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer within its limits; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


class CallFailed(Exception):
    """No whole answer came. `first_byte_begun` False proves that nothing was written."""

    def __init__(self, cause: Exception, *, first_byte_begun: bool) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.cause = cause
        self.first_byte_begun = first_byte_begun


class Wire:
    """The connections of one process to its providers; made once, closed at its end.

    Requests go to the transport itself: what a client of httpx does beside sending (cookies,
    redirects, signing in by what an address holds) must not happen here, and costs time.
    `transport` is for tests that script the wire.
    """

    def __init__(
        self, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._clock = clock or Clock()
        # A kept connection that the provider has just dropped fails only after bytes were
        # written: for an order that is a needless unknown, for what may be repeated it is harmless.
        self._fresh = transport or bounded_transport(_bounds(keep_alive=False))
        self._kept = transport or bounded_transport(_bounds(keep_alive=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; calls still under way fail."""
        await self._fresh.aclose()
        await self._kept.aclose()

    async def submit(
        self,
        url: str,
        form: Mapping[str, str],
        timeouts: Timeouts,
        *,
        may_send: Callable[[], bool],
    ) -> Answer:
        """Post on a fresh connection, if `may_send` still says so once it stands.

        Raises CallFailed.
        """
        return await self.send(Outgoing.form(url, form), timeouts, may_send=may_send)

    async def send(
        self, outgoing: Outgoing, timeouts: Timeouts, *, may_send: Callable[[], bool]
    ) -> Answer:
        """Like `submit`, in a dialect that speaks no forms."""
        departure = _Departure(may_send)
        return await self._call(self._fresh, departure, outgoing, timeouts, SUBMIT_BODY_BYTES_MAX)

    async def read(
        self,
        url: str,
        form: Mapping[str, str],
        timeouts: Timeouts,
        *,
        body_bytes_max: int = STATUS_BODY_BYTES_MAX,
    ) -> Answer:
        """Post a call that may be repeated, on a kept connection. Raises CallFailed."""
        return await self.ask(Outgoing.form(url, form), timeouts, body_bytes_max=body_bytes_max)

    async def ask(
        self,
        outgoing: Outgoing,
        timeouts: Timeouts,
        *,
        body_bytes_max: int = STATUS_BODY_BYTES_MAX,
    ) -> Answer:
        """Like `read`, in a dialect that speaks no forms."""
        departure = _Departure(lambda: True)
        return await self._call(self._kept, departure, outgoing, timeouts, body_bytes_max)

    async def _call(
        self,
        transport: httpx.AsyncBaseTransport,
        departure: "_Departure",
        outgoing: Outgoing,
        timeouts: Timeouts,
        body_bytes_max: int,
    ) -> Answer:
        try:
            async with asyncio.timeout(timeouts.total_seconds):
                departure.check()
                request = httpx.Request(
                    outgoing.method,
                    _address(outgoing.url),
                    content=outgoing.content,
                    headers={**HEADERS, **outgoing.headers},
                    extensions={"timeout": _steps(timeouts), "trace": departure.trace},
                )
                response = await transport.handle_async_request(request)
                try:
                    body = await read_bounded(response, body_bytes_max)
                finally:
                    await response.aclose()
                return Answer(response.status_code, response.headers, body, self._clock.now())
        except _WIRE_TROUBLE as cause:
            begun = departure.has_begun(cause)
            # Closing the connection may outlast a time-out, which would then be told instead.
            raise CallFailed(departure.withheld or cause, first_byte_begun=begun) from cause


class _Departure:
    """Watches one request leave: the last moment to withhold it, and whether it has begun."""

    def __init__(self, may_send: Callable[[], bool]) -> None:
        self.withheld: SendWithheld | None = None
        self._may_send = may_send
        self._head_begun = False
        self._head_sent = False

    def check(self) -> None:
        if not self._may_send():
            self.withheld = SendWithheld("The deadline for sending has passed.")
            raise self.withheld

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """The transport tells each step; between this `started` and the write nothing awaits."""
        if event == "http11.send_request_headers.started":
            self.check()
            self._head_begun = True
        elif event == "http11.send_request_headers.complete":
            self._head_sent = True

    def has_begun(self, failure: Exception) -> bool:
        """A malformed head is refused on our side, after its start and before its write."""
        if isinstance(failure, httpx.LocalProtocolError):
            return self._head_sent
        return self._head_begun


def _bounds(*, keep_alive: bool) -> Bounds:
    """Each account's own time-outs replace these per call; the rest holds for all."""
    return Bounds(
        connect_seconds=_DEFAULTS.connect_seconds,
        read_seconds=_DEFAULTS.read_seconds,
        connections_max=_CONNECTIONS_MAX,
        keep_alive=keep_alive,
    )


@lru_cache(maxsize=1000)
def _address(url: str) -> httpx.URL:
    """The address, refused here where the socket would fail in a way of its own."""
    address = httpx.URL(url)
    if (address.port or 0) > _PORT_MAX:
        raise httpx.InvalidURL(f"There is no port above {_PORT_MAX}.")
    return address


def _steps(timeouts: Timeouts) -> dict[str, float]:
    """The bounds of each step, as a transport takes them."""
    return {
        "connect": timeouts.connect_seconds,
        "read": timeouts.read_seconds,
        "write": timeouts.read_seconds,
        "pool": timeouts.connect_seconds,
    }
