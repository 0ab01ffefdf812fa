"""How an answer is sent: whole and at once, or as the fault that struck it has it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import orjson
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from app.simulator.faults import Fault
from app.simulator.orders import Pace
from app.simulator.replies import Reply

ABORT: Final = "abort"
"""Where the server leaves, in the request's state, what drops the connection."""

_DROP_SECONDS_MAX: Final = 5.0
_HTML: Final = b"<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>"
_SERVER_ERROR: Final = b'{"message": "Server Error"}'


class JsonResponse(Response):
    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class NoAnswer(Response):
    """Say nothing for so long, then drop the connection; stop early when the client has gone."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature; sending nothing is the point
        await _until_gone(receive, self._seconds)
        scope["state"][ABORT]()
        # The server logs an error for whoever returns before it has seen the connection end.
        await _until_gone(receive, _DROP_SECONDS_MAX)


def respond(reply: Reply, pace: Pace) -> Response:
    """Send what is to be said, spoilt as the fault asks for."""
    match reply.fault:
        case Fault.ACCEPT_THEN_TIMEOUT:
            return NoAnswer(pace.hang_seconds)
        case Fault.LOST_REPLY | Fault.REFILL_LOST_REPLY:
            return NoAnswer(0)
        case Fault.SLOW_BYTES:
            trickle = _trickle(orjson.dumps(reply.payload), pace.slow_byte_seconds)
            return StreamingResponse(trickle, media_type="application/json")
        case _:
            return _at_once(reply)


def _at_once(reply: Reply) -> Response:
    match reply.fault:
        case Fault.HTTP_500 | Fault.HTTP_500_AFTER_ACCEPT | Fault.STATUS_500:
            return Response(_SERVER_ERROR, status_code=500, media_type="application/json")
        case Fault.HTML | Fault.STATUS_HTML:
            return Response(_HTML, media_type="text/html")
        case Fault.TOO_MANY_REQUESTS:
            return JsonResponse(reply.payload, status_code=429, headers={"Retry-After": "1"})
        case Fault.GARBAGE:
            return Response(orjson.dumps(reply.payload)[:-2], media_type="application/json")
        case _:
            return JsonResponse(reply.payload, reply.status, media_type=reply.media_type)


async def _trickle(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    for position in range(len(body)):
        await asyncio.sleep(seconds)
        yield body[position : position + 1]


async def _until_gone(receive: Receive, seconds: float) -> None:
    """The body has been read, so that the next message is that the client hung up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await receive()
