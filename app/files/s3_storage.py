"""Bytes in S3-compatible storage, by plain HTTP with signed requests; path style, one bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import BinaryIO, Final
from urllib.parse import urlsplit

from app.core.http import AsyncClient, Bounds, HTTPError, Response
from app.core.logging import get_logger
from app.files.s3_signing import EMPTY_SHA256, Credentials, signed_headers
from app.files.storage import CHUNK_BYTES, BytesMissing, StorageUnavailable, check_key

log = get_logger(__name__)

BOUNDS: Final = Bounds(connect_seconds=5, read_seconds=15, connections_max=32, keep_alive=True)
CALL_SECONDS_MAX: Final = 60.0
_OK: Final = 200
_NO_CONTENT: Final = 204
_NOT_FOUND: Final = 404


class S3Storage:
    """One bucket. Each object is stored with the hash of its bytes signed, and so checked."""

    def __init__(
        self, client: AsyncClient, endpoint: str, bucket: str, credentials: Credentials
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._host = urlsplit(endpoint).netloc
        self._bucket = bucket
        self._credentials = credentials

    async def put(self, key: str, file: BinaryIO, *, size: int, sha256: bytes) -> None:
        await asyncio.to_thread(file.seek, 0)
        response = await self._send(
            "PUT",
            key,
            {"content-length": str(size), "content-type": "application/octet-stream"},
            payload_sha256=sha256.hex(),
            content=_chunks_of(file),
        )
        await response.aclose()
        self._expect(response, "PUT", _OK)

    async def read(self, key: str) -> AsyncIterator[bytes]:
        response = await self._send("GET", key, {"accept-encoding": "identity"})
        try:
            if response.status_code == _NOT_FOUND:
                raise BytesMissing
            self._expect(response, "GET", _OK)
            async for chunk in response.aiter_raw(CHUNK_BYTES):
                yield chunk
        except HTTPError as error:
            log.warning("storage_failed", act="GET", error=repr(error))
            raise StorageUnavailable from error
        finally:
            await response.aclose()

    async def delete(self, key: str) -> None:
        response = await self._send("DELETE", key, {})
        await response.aclose()
        self._expect(response, "DELETE", _OK, _NO_CONTENT, _NOT_FOUND)

    async def _send(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str],
        *,
        payload_sha256: str = EMPTY_SHA256,
        content: AsyncIterator[bytes] | None = None,
    ) -> Response:
        path = f"/{self._bucket}/{check_key(key)}"
        signed = signed_headers(
            self._credentials,
            method,
            path,
            {"host": self._host},
            payload_sha256=payload_sha256,
            now=datetime.now(UTC),
        )
        request = self._client.build_request(
            method, f"{self._endpoint}{path}", headers={**headers, **signed}, content=content
        )
        try:
            async with asyncio.timeout(CALL_SECONDS_MAX):
                return await self._client.send(request, stream=True)
        except (HTTPError, TimeoutError) as error:
            log.warning("storage_failed", act=method, error=repr(error))
            raise StorageUnavailable from error

    @staticmethod
    def _expect(response: Response, act: str, *statuses: int) -> None:
        if response.status_code not in statuses:
            log.warning("storage_failed", act=act, status=response.status_code)
            raise StorageUnavailable


async def _chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield chunk
