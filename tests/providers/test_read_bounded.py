"""A body is read as far as its limit, however it is packed."""

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.http import BodyTooLarge, BodyUnreadable, read_bounded

# Without the time of packing, so that each run packs the same bytes.
PACKED = gzip.compress(b"hello", mtime=0)


def encoded(encoding: str, *chunks: bytes) -> httpx.Response:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return httpx.Response(200, headers={"Content-Encoding": encoding}, content=stream())


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("", b"hello"),
        ("identity", b"hello"),
        ("gzip", PACKED),
        ("X-GZip", PACKED),
        ("deflate", zlib.compress(b"hello")),
    ],
)
async def test_a_body_is_unpacked_however_it_is_cut(encoding: str, body: bytes) -> None:
    assert await read_bounded(encoded(encoding, body), 5) == b"hello"
    bytewise = [body[at : at + 1] for at in range(len(body))]
    assert await read_bounded(encoded(encoding, *bytewise), 5) == b"hello"
    with pytest.raises(BodyTooLarge):
        await read_bounded(encoded(encoding, *bytewise), 4)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"hello"),
        ("gzip, gzip", gzip.compress(PACKED, mtime=0)),
        ("gzip", b"hello"),
        ("gzip", PACKED[:-4]),
        ("gzip", PACKED + b"more"),
    ],
)
async def test_a_body_that_cannot_be_trusted_is_unreadable(encoding: str, body: bytes) -> None:
    with pytest.raises(BodyUnreadable):
        await read_bounded(encoded(encoding, body), 100)
    with pytest.raises(BodyUnreadable):
        await read_bounded(encoded(encoding, *(bytes([byte]) for byte in body)), 100)
