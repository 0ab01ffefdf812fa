"""Bounded outgoing HTTP: every call has time-outs, every body a limit, none is repeated.

The only module outside app.providers that knows httpx; all other callers take it from here.
"""

import functools
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Protocol

from httpx import (
    AsyncClient,
    AsyncHTTPTransport,
    HTTPError,
    InvalidURL,
    Limits,
    Response,
    Timeout,
    create_ssl_context,
)

__all__ = [
    "AsyncClient",
    "BodyTooLarge",
    "BodyUnreadable",
    "Bounds",
    "HTTPError",
    "InvalidURL",
    "Response",
    "bounded_client",
    "bounded_transport",
    "read_bounded",
]

# Deflate is read but not asked for: servers disagree on what the word means.
HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "SMMOS"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one client may take of time and of sockets.

    These time-outs bound each step; a caller that must bound the whole call, against a server
    that trickles, wraps it in `asyncio.timeout`.
    """

    connect_seconds: float
    read_seconds: float
    connections_max: int
    keep_alive: bool
    """False opens a fresh connection per call: a stale one fails after bytes were written."""


class BodyTooLarge(Exception):
    """The body, decompressed, is longer than its limit."""


class BodyUnreadable(Exception):
    """The body's encoding is refused, corrupt or cut short."""


def bounded_transport(bounds: Bounds) -> AsyncHTTPTransport:
    """The connections of a client, without the client: whoever sends a request by it brings all of
    its headers and its time-outs along, and what is answered is all that happens.
    """
    limits = Limits(
        max_connections=bounds.connections_max,
        max_keepalive_connections=bounds.connections_max if bounds.keep_alive else 0,
        # Below the five seconds after which common servers hang up on an idle connection.
        keepalive_expiry=4.0,
    )
    return AsyncHTTPTransport(verify=_tls_context(), retries=0, trust_env=False, limits=limits)


def bounded_client(bounds: Bounds) -> AsyncClient:
    """A client that follows no redirect, repeats no call and keeps no cookie.

    It ignores proxies and credentials of the environment.
    """
    return AsyncClient(
        transport=bounded_transport(bounds),
        timeout=Timeout(
            connect=bounds.connect_seconds,
            read=bounds.read_seconds,
            write=bounds.read_seconds,
            pool=bounds.connect_seconds,
        ),
        headers=HEADERS,
        # One client serves many peers: what one of them sets must neither stay nor travel.
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


async def read_bounded(response: Response, limit_bytes: int) -> bytes:
    """The decompressed body of a streamed response, at most `limit_bytes` long.

    Never holds more than the limit and one chunk off the wire, whatever a gzip bomb unpacks to.
    Raises BodyTooLarge, BodyUnreadable, or the client's own error when the connection breaks.
    """
    decoder = _decoder_for(response.headers)
    body = bytearray()
    async for chunk in response.aiter_raw():
        # One byte more than is allowed tells a body at its limit from one beyond it.
        body += decoder.decode(chunk, limit_bytes - len(body) + 1)
        if len(body) > limit_bytes:
            raise BodyTooLarge(f"The body is longer than {limit_bytes} bytes.")
    decoder.finish()
    return bytes(body)


@functools.cache
def _tls_context() -> ssl.SSLContext:
    """Loading the trusted certificates takes longer than many a call: once per process."""
    return create_ssl_context(trust_env=False)


class _Decoder(Protocol):
    def decode(self, chunk: bytes, max_bytes: int) -> bytes:
        """At most `max_bytes` of the body; fewer only when the chunk is used up."""
        ...

    def finish(self) -> None:
        """Raises BodyUnreadable when the body was cut short."""
        ...


class _Identity:
    def decode(self, chunk: bytes, max_bytes: int) -> bytes:
        return chunk[:max_bytes]

    def finish(self) -> None:
        """An uncompressed body carries no end mark of its own."""


class _Inflate:
    """Gzip or deflate through zlib, which never unpacks more than it is asked for."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)
        self._fed = False

    def decode(self, chunk: bytes, max_bytes: int) -> bytes:
        if not chunk:
            return b""
        if self._stream.eof:
            raise BodyUnreadable("The body goes on after its compressed stream has ended.")
        try:
            unpacked = self._stream.decompress(chunk, max_bytes)
        except zlib.error as error:
            raise BodyUnreadable("The compressed body is corrupt.") from error
        if self._stream.unused_data:
            raise BodyUnreadable("The body goes on after its compressed stream has ended.")
        self._fed = True
        return unpacked

    def finish(self) -> None:
        if self._fed and not self._stream.eof:
            raise BodyUnreadable("The compressed body was cut short.")


def _decoder_for(headers: Mapping[str, str]) -> _Decoder:
    encoding = headers.get("content-encoding", "").strip().lower()
    match encoding:
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Inflate(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Inflate(zlib.MAX_WBITS)
        case _:
            raise BodyUnreadable(f"The content encoding {encoding[:40]!r} is refused.")
