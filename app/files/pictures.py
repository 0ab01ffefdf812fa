"""Pictures by their structure: whole from head to end, of a size that is safe to open.

Nothing is decoded: a decoder is what a hostile picture is made for.
"""

from __future__ import annotations

import re
import zlib
from mmap import mmap
from typing import Final

Data = bytes | mmap

PIXELS_MAX: Final = 64_000_000
"""Unpacked by a viewer this is a quarter of a gigabyte; the cameras of telephones stay below."""
PARTS_MAX: Final = 20_000
"""Chunks or segments of one picture."""

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_SCAN: Final = 0xDA
_JPEG_END: Final = 0xD9
# Every marker begins with one 0xFF, and with any number more before it.
_JPEG_FILL: Final = re.compile(rb"\xff+")
# Within a scan 0xFF is followed by a zero, by a restart mark, or by the marker that ends it.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


class Broken(Exception):
    """What is wrong with a file, told to who sent it: "is a PNG without its end"."""


def check_png(data: Data) -> None:
    """A head, data and an end, every chunk with its checksum, and nothing after the end."""
    if data[: len(_PNG_SIGNATURE)] != _PNG_SIGNATURE:
        raise Broken("has a damaged PNG signature")
    at, has_data = len(_PNG_SIGNATURE), False
    for number in range(PARTS_MAX):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data) or len(kind) < 4:  # noqa: PLR2004 - a chunk's name
            raise Broken("is a PNG without its end")
        body = data[at + 4 : at + 8 + length]
        if zlib.crc32(body) != int.from_bytes(data[end - 4 : end], "big"):
            raise Broken("is a damaged PNG: a checksum is wrong")
        if number == 0:
            _check_png_head(body)
        has_data = has_data or kind == b"IDAT"
        if kind == b"IEND":
            break
        at = end
    else:
        raise Broken(f"is a PNG of more than {PARTS_MAX} chunks")
    if not has_data:
        raise Broken("is a PNG without a picture")
    if end != len(data):
        raise Broken("is a PNG with something else behind its end")


def _check_png_head(body: bytes) -> None:
    if body[:4] != b"IHDR" or len(body) != 4 + 13:
        raise Broken("is a PNG without its head")
    _check_pixels(int.from_bytes(body[4:8], "big"), int.from_bytes(body[8:12], "big"))


def check_jpeg(data: Data) -> None:
    """Segments, a frame, scans, an end. Telephones append to that end; what is a zip is seen
    elsewhere.
    """
    at, has_frame, has_scan = 2, False, False
    for _ in range(PARTS_MAX):
        filled = _JPEG_FILL.match(data, at)
        if filled is not None:
            at = filled.end() - 1
        if at + 2 > len(data):
            raise Broken("is a JPEG without its end")
        if filled is None:
            raise Broken("is a damaged JPEG: a marker is missing")
        marker = data[at + 1]
        if marker == _JPEG_END:
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or at + 2 + length > len(data):  # noqa: PLR2004 - it counts itself
            raise Broken("is a JPEG without its end")
        if marker in _JPEG_FRAMES:
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            _check_pixels(int.from_bytes(width, "big"), int.from_bytes(height, "big"))
            has_frame = True
        at += 2 + length
        if marker == _JPEG_SCAN:
            has_scan = True
            found = _JPEG_MARKER.search(data, at)
            if found is None:
                raise Broken("is a JPEG without its end")
            at = found.start()
    else:
        raise Broken(f"is a JPEG of more than {PARTS_MAX} segments")
    if not (has_frame and has_scan):
        raise Broken("is a JPEG without a picture")


def check_webp(data: Data) -> None:
    """A container of exactly the file's length whose chunks hold a picture."""
    if int.from_bytes(data[4:8], "little") + 8 != len(data):
        raise Broken("is a WebP of another length than it says")
    at, has_picture = 12, False
    for _ in range(PARTS_MAX):
        if at == len(data):
            break
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        end = at + 8 + length + length % 2
        if end > len(data):
            raise Broken("is a WebP without its end")
        kind, body = data[at : at + 4], data[at + 8 : at + 8 + min(length, 10)]
        size = _webp_size(kind, body)
        if size is not None:
            _check_pixels(*size)
        has_picture = has_picture or kind in {b"VP8 ", b"VP8L", b"ANMF"}
        at = end
    else:
        raise Broken(f"is a WebP of more than {PARTS_MAX} chunks")
    if not has_picture:
        raise Broken("is a WebP without a picture")


def _webp_size(kind: bytes, body: bytes) -> tuple[int, int] | None:
    """Width and height, from a chunk that states them."""
    match kind:
        case b"VP8 ":
            if body[3:6] != b"\x9d\x01\x2a":
                raise Broken("is a damaged WebP: its frame has no start")
            return (
                int.from_bytes(body[6:8], "little") & 0x3FFF,
                int.from_bytes(body[8:10], "little") & 0x3FFF,
            )
        case b"VP8L":
            if body[:1] != b"\x2f":
                raise Broken("is a damaged WebP: its frame has no start")
            bits = int.from_bytes(body[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return (
                int.from_bytes(body[4:7], "little") + 1,
                int.from_bytes(body[7:10], "little") + 1,
            )
        case _:
            return None


def _check_pixels(width: int, height: int) -> None:
    if width == 0 or height == 0:
        raise Broken("is a picture without a width or a height")
    if width * height > PIXELS_MAX:
        raise Broken(f"is a picture of more than {PIXELS_MAX // 1_000_000} million pixels")
