"""An upload as it comes off the wire: one file in a multipart body, read as a stream."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from app.core.errors import AppError, FieldProblem
from app.core.runtime import Runtime
from app.files import names
from app.files.errors import (
    FIELD,
    FileNameRefused,
    FileTooLarge,
    FileTypeMismatch,
    FileTypeRefused,
    StorageQuotaReached,
    UploadExpected,
    UploadFieldRefused,
    UploadMalformed,
    UploadTooSlow,
)
from app.files.models import StoredFile
from app.files.storage import Storage
from app.files.storing import Incoming, Limits, store

HEADERS_MAX: Final = 8
HEADER_BYTES_MAX: Final = 2048
_AROUND_THE_FILE_BYTES: Final = 16 * 1024
"""What boundaries and headers may take of a body beside its file."""
_LENGTH_DIGITS_MAX: Final = 18
UPLOAD_SECONDS_MAX: Final = 180.0
"""How long a body may take: the largest file by default, over the line of a telephone."""
SILENT_SECONDS_MAX: Final = 30.0
"""How long nothing of it may come."""

_WINDOWS_PATH: Final = re.compile(rb'filename="?(?:.:\\|\\\\)')
"""A name of which the parser would keep what follows the path."""

UPLOAD: Final[tuple[type[AppError], ...]] = (
    UploadMalformed,
    UploadTooSlow,
    StorageQuotaReached,
    FileTooLarge,
    UploadExpected,
    UploadFieldRefused,
    FileNameRefused,
    FileTypeRefused,
    FileTypeMismatch,
)
"""What every route that takes a file can answer."""

UPLOAD_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "One PNG, JPEG, WebP, PDF or UTF-8 text file.",
                        }
                    },
                    "additionalProperties": False,
                }
            }
        },
    }
}
"""The `openapi_extra` of a route that takes a file: it asks for the plain Request, so that neither
the framework nor the guard reads the body."""


async def current_storage(request: Request) -> Storage:
    storage: Storage = request.app.state.storage
    return storage


StorageDep = Annotated[Storage, Depends(current_storage)]


async def receive(request: Request, storage: Storage, *, book_id: UUID, purpose: str) -> StoredFile:
    """Store the one file of this request's body, outside of any transaction; `service.attach`
    makes it part of something. Raises what `UPLOAD` names, and StorageUnavailable.
    """
    runtime: Runtime = request.app.state.runtime
    limits = Limits.of(runtime.settings)
    incoming = await _incoming(request, limits.file_bytes_max)
    return await store(
        runtime.uow, storage, incoming, book_id=book_id, purpose=purpose, limits=limits
    )


async def _incoming(request: Request, bytes_max: int) -> Incoming:
    """The file part once its headers are read; its chunks end only after a body of just that."""
    body_max = bytes_max + _AROUND_THE_FILE_BYTES
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and (len(declared) > _LENGTH_DIGITS_MAX or int(declared) > body_max):
        raise _too_large(bytes_max)
    upload = _Upload(_boundary(request))
    bodies = _bounded(request, body_max, bytes_max)
    while not upload.began:
        chunk = await anext(bodies, b"")
        if not chunk:
            raise UploadMalformed("The body ends before a file began")
        upload.feed(chunk)
    return Incoming(upload.name, upload.declared_type, _file(upload, bodies))


async def _file(upload: _Upload, bodies: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield upload.taken()
    async for chunk in bodies:
        upload.feed(chunk)
        yield upload.taken()
    if not upload.ended:
        raise UploadMalformed("The body ends before its last boundary")


async def _bounded(request: Request, body_max: int, bytes_max: int) -> AsyncIterator[bytes]:
    """The body as it comes. Raises FileTooLarge, UploadTooSlow, UploadMalformed."""
    size, stream = 0, request.stream()
    now = asyncio.get_running_loop().time
    ends_at = now() + UPLOAD_SECONDS_MAX
    while True:
        try:
            async with asyncio.timeout_at(min(ends_at, now() + SILENT_SECONDS_MAX)):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise _too_slow() from error
        except ClientDisconnect as error:
            raise UploadMalformed("The connection was closed within the body") from error
        size += len(chunk)
        if size > body_max:
            raise _too_large(bytes_max)
        if chunk:
            yield chunk


def _too_slow() -> UploadTooSlow:
    return UploadTooSlow(
        f"A body may take at most {UPLOAD_SECONDS_MAX:g} seconds, {SILENT_SECONDS_MAX:g} of them"
        " in a row without a byte"
    )


def _too_large(bytes_max: int) -> FileTooLarge:
    return FileTooLarge(f"A file may have at most {bytes_max} bytes")


def _boundary(request: Request) -> bytes:
    media_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if media_type != b"multipart/form-data" or not boundary:
        raise UploadExpected
    return boundary


class _Upload:
    """Reads a multipart body piece by piece, and insists on one part: a file named `file`."""

    def __init__(self, boundary: bytes) -> None:
        self.name = ""
        self.declared_type = ""
        self.began = False
        self.ended = False
        self._field, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._content = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._on_part,
                    "on_header_field": self._on_field,
                    "on_header_value": self._on_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers,
                    "on_part_data": self._on_data,
                    "on_end": self._on_end,
                },
                max_header_count=HEADERS_MAX,
                max_header_size=HEADER_BYTES_MAX,
            )
        except FormParserError as error:
            raise UploadMalformed from error

    def feed(self, chunk: bytes) -> None:
        """Raises UploadMalformed, UploadFieldRefused."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise UploadMalformed from error

    def taken(self) -> bytes:
        """What of the file has come since the last time."""
        content = bytes(self._content)
        self._content.clear()
        return content

    def _on_part(self) -> None:
        if self.began:
            raise UploadFieldRefused(errors=(FieldProblem("/", "must be one field only"),))

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        if options.get(b"name") != FIELD.encode():
            raise UploadFieldRefused(errors=(FieldProblem(f"/{FIELD}", "is required"),))
        if b"filename" not in options:
            raise UploadFieldRefused(
                errors=(FieldProblem(f"/{FIELD}", "must be sent as a file, with a name"),)
            )
        if _WINDOWS_PATH.search(disposition):
            raise FileNameRefused(names.NO_PATH)
        try:
            self.name = options[b"filename"].decode("utf-8")
        except UnicodeDecodeError as error:
            raise FileNameRefused("must have a name in UTF-8") from error
        self.declared_type = self._headers.get(b"content-type", b"").decode("latin-1")
        self.began = True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _on_end(self) -> None:
        self.ended = True
