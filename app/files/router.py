"""Serving files: to whoever holds a link of ours that is still good, and always as a download."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from slowapi import Limiter
from slowapi.util import get_remote_address

from app.core.errors import NotFound
from app.core.logging import get_logger
from app.files import names, service, signed_links
from app.files.errors import FileLinkInvalid
from app.files.receiving import StorageDep
from app.files.storage import BytesMissing
from app.web.deps import RuntimeDep

log = get_logger(__name__)

FILES_PER_MINUTE: Final = "120/minute"
_PARAMETER_CHARS_MAX: Final = 64
_POLICY: Final = "sandbox; default-src 'none'"

router = APIRouter(include_in_schema=False)
# By address and in memory: the route is public, and whoever guesses at links is to be slow.
limiter = Limiter(key_func=get_remote_address, storage_uri="memory://", key_style="endpoint")

Parameter = Annotated[str, Query(max_length=_PARAMETER_CHARS_MAX)]


@router.get(signed_links.PATH + "/{file_id}")
@limiter.limit(FILES_PER_MINUTE)
async def download_file(
    request: Request,
    file_id: str,
    runtime: RuntimeDep,
    storage: StorageDep,
    expires: Parameter = "",
    signature: Parameter = "",
) -> StreamingResponse:
    """The bytes of a file, for the minutes that its link is good."""
    wanted = service.parse_file_id(file_id)
    if wanted is None:
        raise FileLinkInvalid
    signed_links.check(runtime.keys, wanted, expires, signature, now=runtime.clock.now())
    async with runtime.uow.begin() as session:
        file = await service.get(session, wanted)
    chunks = storage.read(file.storage_key)
    try:
        # Before the answer begins: from then on nothing can be refused any more.
        first = await anext(chunks)
    except BytesMissing as error:
        log.exception("file_bytes_missing", file=file_id)
        raise NotFound from error
    return StreamingResponse(
        _all(first, chunks),
        media_type=file.media_type,
        headers={
            "Content-Length": str(file.size),
            "Content-Disposition": names.attachment(file.name),
            "Content-Security-Policy": _POLICY,
            "Cache-Control": "private, no-store",
        },
    )


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
