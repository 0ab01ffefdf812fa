"""The Idempotency-Key header: one transaction, one effect, one answer, replayed byte for byte."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final

import orjson
from fastapi import Header, Request, Response
from pydantic import BaseModel

from app.core import idempotency
from app.core.db import Session
from app.core.idempotency import (
    Answer,
    IdempotencyKeyInvalid,
    IdempotencyKeyMissing,
)
from app.core.runtime import Runtime

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
_KEY: Final = re.compile(rf"[\x21-\x7e]{{1,{idempotency.KEY_LENGTH_MAX}}}")

IdempotencyKeyHeader = Annotated[
    str | None,
    Header(
        alias=HEADER,
        description="Your own unique key for this request: repeating it returns the same answer.",
    ),
]


@dataclass(frozen=True, slots=True)
class Made:
    """What a transaction made: the answer's body, and where the new thing is found."""

    body: BaseModel
    location: str | None = None


Effect = Callable[[Session], Awaitable[Made]]


async def once(
    request: Request, runtime: Runtime, *, owner: str, key: str | None, status: int, effect: Effect
) -> Response:
    """Run `effect` in one transaction with its answer kept under the key, or replay that answer.

    A refusal leaves the key free. Raises IdempotencyKeyMissing, IdempotencyKeyInvalid,
    IdempotencyKeyReused, IdempotencyInFlight.
    """
    asked = asked_of(request, owner, key)

    async def transaction(session: Session) -> tuple[Answer, bool]:
        kept = await idempotency.claim(session, runtime.keys, asked)
        if kept is not None:
            return kept, True
        made = await effect(session)
        answer = Answer(status, made.body.model_dump_json().encode(), made.location)
        await idempotency.keep(session, runtime.keys, asked, answer)
        return answer, False

    answer, replayed = await runtime.uow.run(transaction, repeatable=True)
    return answer_response(answer, replayed=replayed)


async def once_if_keyed(
    request: Request, runtime: Runtime, *, owner: str, key: str | None, status: int, effect: Effect
) -> Response:
    """The same where the key is optional: without one, the effect is guarded by its own rules.

    Raises IdempotencyKeyInvalid, IdempotencyKeyReused, IdempotencyInFlight.
    """
    if key is not None:
        return await once(request, runtime, owner=owner, key=key, status=status, effect=effect)
    made = await runtime.uow.run(effect)
    answer = Answer(status, made.body.model_dump_json().encode(), made.location)
    return answer_response(answer, replayed=False)


def asked_of(request: Request, owner: str, key: str | None) -> idempotency.Request:
    """What this request's key stands for. Raises IdempotencyKeyMissing, IdempotencyKeyInvalid."""
    if key is None:
        raise IdempotencyKeyMissing
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyInvalid
    canonical = orjson.dumps(request.scope.get("parsed_body"), option=orjson.OPT_SORT_KEYS)
    route = f"{request.method} {request.url.path}"
    return idempotency.Request(owner, key, idempotency.request_hash(route, canonical))


def answer_response(answer: Answer, *, replayed: bool) -> Response:
    """A committed answer, byte for byte."""
    headers = {"Location": answer.location} if answer.location else {}
    if replayed:
        headers[REPLAYED] = "true"
    return Response(
        answer.body, status_code=answer.status, headers=headers, media_type="application/json"
    )
