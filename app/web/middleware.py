"""The one middleware, pure ASGI: request id, safe headers, a count and a time per route."""

from __future__ import annotations

import re
import time
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.ids import new_id
from app.core.logging import get_logger
from app.core.metrics import HTTP_REQUESTS, HTTP_SECONDS
from app.web import problems

log = get_logger(__name__)

REQUEST_ID: Final = "X-Request-Id"
STRICT_TRANSPORT: Final = "Strict-Transport-Security"
_GIVEN_ID: Final = re.compile(r"[0-9A-Za-z._-]{8,64}")
_QUIET: Final = {"/livez", "/readyz", "/healthz", "/metrics"}
SLOW_SECONDS: Final = 1.0


class RequestMiddleware:
    """Wraps every request. Unknown paths share one label, so that nobody can fill the metrics."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = given if _GIVEN_ID.fullmatch(given) else new_id().hex
        scope["request_id"] = request_id
        answer_headers: dict[str, str] = {}
        scope["answer_headers"] = answer_headers
        started = time.perf_counter()
        status = 500
        answered = False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                answered = True
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers.update(answer_headers)
                headers[REQUEST_ID] = request_id
                if scope["scheme"] == "https":
                    headers[STRICT_TRANSPORT] = "max-age=31536000"
                if scope["app"].state.stopping:
                    # The next request should go elsewhere, not into a connection that is closing.
                    headers["Connection"] = "close"
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "no-referrer")
                headers.setdefault("Content-Security-Policy", "default-src 'none'")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            except Exception as error:
                if answered:
                    raise
                # Here and not further out, so that this answer too has its headers and its count.
                surprise = problems.surprised(Request(scope), error)
                await surprise(scope, receive, send_with_headers)
            finally:
                self._account(scope, status, time.perf_counter() - started)

    @staticmethod
    def _account(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", "unmatched")
        method = scope["method"] if route != "unmatched" else "any"
        HTTP_REQUESTS.labels(method, route, str(status)).inc()
        HTTP_SECONDS.labels(method, route).observe(seconds)
        if scope["path"] not in _QUIET and (seconds > SLOW_SECONDS or status >= 500):  # noqa: PLR2004 - server errors
            log.info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 1),
            )
