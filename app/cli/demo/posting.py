"""One POST of the demo: repeated under the same key until it is answered."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.cli.refusals import CommandFailed
from app.core.http import AsyncClient, HTTPError, Response

_TRIES_MAX: Final = 60
_PAUSE_SECONDS: Final = 0.25
_TRY_AGAIN: Final = frozenset({409, 429, 500, 502, 503})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST came to: `seconds` is of the try that was answered, `repeated` how many
    were not.
    """

    status: int
    body: dict[str, Any]
    seconds: float
    repeated: int


async def post(client: AsyncClient, url: str, *, key: str, body: dict[str, Any]) -> Answer:
    """Have it done once, however often it has to be repeated. Raises CommandFailed."""
    headers = {
        "Authorization": f"Bearer {key}",
        "Idempotency-Key": str(uuid.uuid4()),
        "Content-Type": "application/json",
    }
    content = orjson.dumps(body)
    for repeated in range(_TRIES_MAX):
        began = time.perf_counter()
        answer = await _try(client, url, headers, content)
        if answer is not None and answer.is_success:
            seconds = time.perf_counter() - began
            return Answer(answer.status_code, orjson.loads(answer.content), seconds, repeated)
        if answer is not None and answer.status_code not in _TRY_AGAIN:
            raise CommandFailed(f"POST {url} was answered {answer.status_code}: {answer.text}")
        await asyncio.sleep(_PAUSE_SECONDS)
    raise CommandFailed(f"POST {url} got no answer in {_TRIES_MAX} tries.")


async def _try(
    client: AsyncClient, url: str, headers: dict[str, str], content: bytes
) -> Response | None:
    """None when the connection broke: whether it was done, the same key will tell."""
    try:
        return await client.post(url, headers=headers, content=content)
    except HTTPError:
        return None
