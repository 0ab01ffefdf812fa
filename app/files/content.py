"""What a file is, by its content alone: one of five kinds, whole, and nothing else besides."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from mmap import mmap
from typing import Final

from app.files.errors import FileTypeMismatch, FileTypeRefused
from app.files.pictures import Broken, check_jpeg, check_png, check_webp

Data = bytes | mmap

_HEAD_BYTES: Final = 1024
_BLOCK_BYTES: Final = 64 * 1024
_ZIP_ENTRY: Final = b"PK\x01\x02"
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_TAIL_BYTES: Final = 65_535 + 22
"""Programs look for the end of a zip's directory so far from the end of a file, whatever is behind
it."""


class MediaType(StrEnum):
    """What is taken, and served as just this."""

    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    PDF = "application/pdf"
    TEXT = "text/plain"


TAKEN: Final = "PNG, JPEG, WebP, PDF or plain text"


@dataclass(frozen=True, slots=True)
class _Kind:
    """How people and programs name a kind of file; the first ending is the one that we give."""

    word: str
    endings: tuple[str, ...]
    declared: frozenset[str]


_KINDS: Final = {
    MediaType.PNG: _Kind("a PNG picture", ("png",), frozenset({"image/png"})),
    MediaType.JPEG: _Kind(
        "a JPEG picture", ("jpg", "jpeg", "jpe", "jfif"), frozenset({"image/jpeg", "image/jpg"})
    ),
    MediaType.WEBP: _Kind("a WebP picture", ("webp",), frozenset({"image/webp"})),
    MediaType.PDF: _Kind("a PDF document", ("pdf",), frozenset({"application/pdf"})),
    MediaType.TEXT: _Kind("plain text", ("txt", "text", "log"), frozenset({"text/plain"})),
}
_UNDECLARED: Final = {"", "application/octet-stream"}
"""What clients say when they do not know."""

_REFUSED: Final = (
    (re.compile(rb"PK\x03\x04"), "is a ZIP archive or an office document"),
    (re.compile(rb"PK(?:\x05\x06|\x07\x08)"), "is a ZIP archive"),
    (re.compile(rb"\x1f\x8b"), "is compressed with gzip"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "is compressed with bzip2"),
    (re.compile(rb"\xfd7zXZ\x00"), "is compressed with xz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "is compressed with zstd"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "is a 7z archive"),
    (re.compile(rb"Rar!\x1a\x07"), "is a RAR archive"),
    (re.compile(rb"(?s:.{257})ustar"), "is a tar archive"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "is an office document"),
    (re.compile(rb"GIF8[79]a"), "is a GIF"),
    (re.compile(rb"\x00\x00(?s:..)ftyp"), "is a HEIC or AVIF picture, or a video"),
)
"""What is refused by name; whatever else is none of the kinds is refused without one."""

# As browsers look for it, at the start of what is said to be text.
_MARKUP: Final = re.compile(
    rb"<(?:!--|(?:!doctype|\?xml|html|head|body|script|iframe|svg|style|table|title|a|b|br|div|font"
    rb"|h1|img|p)[\s>/])",
    re.IGNORECASE,
)
_NOT_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_PDF_HEAD: Final = re.compile(rb"%PDF-[12]\.[0-9]")
_PDF_TAIL: Final = re.compile(rb"startxref\s+[0-9]{1,20}\s+%%EOF")


def recognise(data: Data) -> MediaType:
    """The kind of a file that is whole and of one kind only. Raises FileTypeRefused."""
    head = data[:_HEAD_BYTES]
    for magic, told in _REFUSED:
        if magic.match(head):
            raise FileTypeRefused(f"{told}; only {TAKEN} is taken")
    media_type, check = next(
        (kind for magic, kind in _CHECKS if magic.match(head)), (MediaType.TEXT, _check_text)
    )
    try:
        check(data)
    except Broken as broken:
        raise FileTypeRefused(str(broken)) from broken
    _refuse_a_second_nature(media_type, data)
    return media_type


def check_claims(found: MediaType, *, ending: str, declared_type: str) -> None:
    """What a name ends in and what was declared must be what was found. Raises FileTypeMismatch."""
    kind = _KINDS[found]
    if ending and ending.lower() not in kind.endings:
        raise FileTypeMismatch(f"is {kind.word}, and its name says otherwise")
    declared = declared_type.partition(";")[0].strip().lower()
    if declared not in kind.declared | _UNDECLARED:
        raise FileTypeMismatch(f"is {kind.word}, and its declared type says otherwise")


def ending_of(media_type: MediaType) -> str:
    """The usual ending of this kind's names."""
    return _KINDS[media_type].endings[0]


def _check_pdf(data: Data) -> None:
    """Its head and its end; what stands between is for its reader."""
    if not _PDF_HEAD.match(data[:16]):
        raise Broken("has a PDF head of no known version")
    if not _PDF_TAIL.search(data[-_HEAD_BYTES:]):
        raise Broken("is a PDF without its end")


def _check_text(data: Data) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Broken("is UTF-16 text; text must be UTF-8")
    if _NOT_TEXT.search(data):
        raise Broken(f"is neither text nor another kind that is taken: {TAKEN}")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(data), _BLOCK_BYTES):
            decoder.decode(data[start : start + _BLOCK_BYTES])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Broken("is text in another encoding than UTF-8") from error
    if _MARKUP.match(data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8).lstrip()):
        raise Broken(f"is HTML, SVG or XML; only {TAKEN} is taken")


def _refuse_a_second_nature(media_type: MediaType, data: Data) -> None:
    """A file that two kinds of programs open, each seeing something else, is no evidence."""
    if media_type is not MediaType.PDF and b"%PDF-" in data[:_HEAD_BYTES]:
        raise FileTypeRefused("is a PDF document and something else at the same time")
    ends_at = data.rfind(_ZIP_END, max(0, len(data) - _ZIP_TAIL_BYTES), len(data))
    if ends_at >= 0 and data.find(_ZIP_ENTRY, 0, ends_at) >= 0:
        raise FileTypeRefused("is a ZIP archive and something else at the same time")


_CHECKS: Final[tuple[tuple[re.Pattern[bytes], tuple[MediaType, Callable[[Data], None]]], ...]] = (
    (re.compile(rb"\x89PNG"), (MediaType.PNG, check_png)),
    (re.compile(rb"\xff\xd8"), (MediaType.JPEG, check_jpeg)),
    (re.compile(rb"RIFF(?s:....)WEBP"), (MediaType.WEBP, check_webp)),
    (re.compile(rb"%PDF-"), (MediaType.PDF, _check_pdf)),
)
"""How each kind begins, and what must be true of the whole; text begins like anything else."""
