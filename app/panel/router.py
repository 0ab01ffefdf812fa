"""The one endpoint of API v2: reads what came, recognises the key in it, and answers with 200."""

from __future__ import annotations

from typing import Final

import orjson
from fastapi import APIRouter, Request, Response

from app.core import apikeys
from app.core.errors import AppError, Unavailable
from app.core.idempotency import IdempotencyInFlight
from app.core.logging import get_logger
from app.core.runtime import Runtime
from app.panel.actions import ACTIONS, GROUP, Asked, Json
from app.panel.reading import Unreadable, fields_of, query_fields
from app.panel.sentences import KEY_INVALID, REQUEST_INCORRECT, Refused, sentence_of
from app.resellers.auth import Needs, let_in, recognised
from app.resellers.models import KeyRecord
from app.web.errors import BodyTooLarge, RateLimited
from app.web.limits import RateLimiter
from app.web.signing_in import address_of, refuse_sign_in

log = get_logger(__name__)

ADDRESS_GROUP: Final = "panel-address"
BODY_BYTES_MAX: Final = 256 * 1024
"""A thousand comments in a script of which a form writes each letter as six characters or more."""

_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

router = APIRouter(include_in_schema=False)


async def panel(request: Request) -> Response:
    """Whatever is refused is told in one key. Limits are 429 and trouble of ours 503, so that
    software which looks at the status waits; the rest of the field's software looks at the text.
    """
    try:
        return _answer(await _ask(request))
    except Refused as refused:
        return _answer({"error": refused.sentence})
    except (RateLimited, Unavailable, IdempotencyInFlight) as error:
        seconds = str(error.retry_after_seconds or 1)
        status = 429 if isinstance(error, RateLimited) else 503
        return _answer({"error": error.title}, status=status, headers={"Retry-After": seconds})
    except AppError as error:
        return _answer({"error": sentence_of(error)})
    except Exception:
        # Told in full in the log; the software at the other end reads one key or nothing at all.
        log.exception("request_failed", path=request.url.path)
        return _answer({"error": Unavailable.title}, status=503, headers={"Retry-After": "1"})


def _answer(said: Json, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        orjson.dumps(said), status_code=status, headers=headers, media_type="application/json"
    )


async def _ask(request: Request) -> Json:
    state = request.app.state
    runtime: Runtime = state.runtime
    limiter: RateLimiter = state.limiter
    await _slow_down(request, runtime, limiter)
    fields = await _fields(request)
    record = await _recognise(request, limiter, fields.pop("key", ""))
    if request.method != "POST" and not record.panel.get_allowed:
        raise Refused(REQUEST_INCORRECT)
    action = ACTIONS.get(fields.pop("action", "").strip().lower())
    # What is no action counts as a request all the same.
    needs = Needs(None, GROUP, winds_down=True) if action is None else action.needs
    caller = await let_in(request, record, needs)
    if action is None:
        raise Refused(REQUEST_INCORRECT)
    return await action.run(Asked(runtime, caller, record.panel, fields))


async def _slow_down(request: Request, runtime: Runtime, limiter: RateLimiter) -> None:
    """By address, before anything is read: the key stands in the body here."""
    verdict = await limiter.hit_local(
        address_of(request), ADDRESS_GROUP, per_minute=runtime.settings.panel_address_per_minute
    )
    if not verdict.allowed:
        raise RateLimited(retry_after_seconds=verdict.reset_seconds)


async def _fields(request: Request) -> dict[str, str]:
    try:
        # HEAD is what link checkers send before they GET: it must do nothing.
        if request.method == "GET":
            return query_fields(request.scope["query_string"])
        if request.method != "POST":
            raise Refused(REQUEST_INCORRECT)
        return fields_of(request.headers.get("content-type", ""), await _body(request))
    except Unreadable as error:
        raise Refused(REQUEST_INCORRECT) from error


async def _body(request: Request) -> bytes:
    """The whole body within its limit, whether its length is declared or not."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or len(declared) > len(str(BODY_BYTES_MAX)):
        raise BodyTooLarge
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise BodyTooLarge
    return body


async def _recognise(request: Request, limiter: RateLimiter, key: str) -> KeyRecord:
    presented = apikeys.parse(key.strip())
    record = None if presented is None else await recognised(request, presented)
    if record is None:
        refusal = await refuse_sign_in(request, limiter)
        if isinstance(refusal, RateLimited):
            raise refusal
        raise Refused(KEY_INVALID)
    return record


for _path in ("/api/v2", "/api/v2/"):
    router.add_route(_path, panel, methods=_METHODS, include_in_schema=False)
