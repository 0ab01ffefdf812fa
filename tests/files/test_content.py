"""What a file is, is decided by its content, and only whole files of one kind are taken."""

import bz2
import gzip
import lzma

import pytest

from app.files import content, pictures
from app.files.content import MediaType
from app.files.errors import FileTypeMismatch, FileTypeRefused
from tests.files.samples import (
    chunk,
    container,
    extended,
    jpeg,
    lossless,
    lossy,
    pdf,
    png,
    riff,
    zipped,
)

TAKEN = {
    "png": (png(), "image/png"),
    "png of a telephone's screen": (png(1440, 3200), "image/png"),
    "png at the cap": (png(8000, 8000), "image/png"),
    "jpeg": (jpeg(), "image/jpeg"),
    "jpeg with fill bytes": (jpeg().replace(b"\xff\xda", b"\xff\xff\xda"), "image/jpeg"),
    "jpeg with a telephone's trailer": (jpeg() + b"SEFT" * 100, "image/jpeg"),
    "webp, lossy": (riff(lossy()), "image/webp"),
    "webp, lossless": (riff(lossless()), "image/webp"),
    "webp, extended": (riff(extended(), lossy(), (b"EXIF", b"abc")), "image/webp"),
    "pdf": (pdf(), "application/pdf"),
    "pdf, saved twice": (pdf() + b"startxref\r\n120\r\n%%EOF", "application/pdf"),
    "text": (b"The followers never came.\r\n\tOrder 17\n", "text/plain"),
    "text with a byte order mark": (b"\xef\xbb\xbfhello", "text/plain"),
    "text beyond ASCII": ("не пришли 👋".encode(), "text/plain"),
    "text of one character": (b"?", "text/plain"),
    "text that speaks of HTML": (b"Your page says <html> and <script>", "text/plain"),
    "text that begins like a bracket": (b"<3 your service", "text/plain"),
    "text across two blocks": (b"a" * 65_535 + "é".encode(), "text/plain"),
}

BROKEN_CRC = bytearray(png())
BROKEN_CRC[20] ^= 1

REFUSED = {
    "png cut short": (png()[:-1], "without its end"),
    "png cut in its head": (png()[:20], "without its end"),
    "png of a signature only": (png()[:8], "without its end"),
    "png through a text mode": (png().replace(b"\r\n", b"\n"), "damaged PNG signature"),
    "png with a wrong checksum": (bytes(BROKEN_CRC), "checksum"),
    "png of a hundred thousand squared": (png(100_000, 100_000), "64 million pixels"),
    "png one row over the cap": (png(8000, 8001), "64 million pixels"),
    "png without a width": (png(0, 5), "without a width"),
    "png without a picture": (png()[:33] + chunk(b"IEND"), "without a picture"),
    "png without a head": (png()[:8] + chunk(b"IEND"), "without its head"),
    "png with a zip behind it": (png() + zipped(), "something else behind its end"),
    "png with html behind it": (png() + b"<script>", "something else behind its end"),
    "jpeg cut in its scan": (jpeg()[:-2], "without its end"),
    "jpeg cut in a segment": (jpeg()[:12], "without its end"),
    "jpeg of two bytes": (b"\xff\xd8", "without its end"),
    "jpeg without a picture": (b"\xff\xd8\xff\xd9", "without a picture"),
    "jpeg with a marker missing": (b"\xff\xd8abcd", "marker is missing"),
    "jpeg of 65535 squared": (jpeg(65_535, 65_535), "64 million pixels"),
    "jpeg without a height": (jpeg(5, 0), "without a width"),
    "jpeg that is a zip as well": (jpeg() + zipped(), "ZIP archive and something else"),
    "jpeg that is a zip as well, with bytes behind it": (
        jpeg() + zipped() + b"\n",
        "ZIP archive and something else",
    ),
    "jpeg that is a pdf as well": (jpeg(comment=pdf()), "PDF document and something else"),
    "webp longer than it says": (riff(lossy()) + b"more", "another length"),
    "webp cut short": (riff(lossy())[:-4], "another length"),
    "webp with a chunk cut short": (container(b"VP8L\xff\0\0\0\x2f"), "without its end"),
    "webp without a picture": (riff(extended()), "without a picture"),
    "webp with a frame that is none": (riff((b"VP8 ", b"\0" * 10)), "no start"),
    "webp of a canvas too large": (riff(extended(16_000, 16_000), lossy()), "million pixels"),
    "webp, lossless, too large": (riff(lossless(16_384, 16_384)), "million pixels"),
    "pdf cut short": (pdf()[:-30], "without its end"),
    "pdf of a version that never was": (b"%PDF-9.1\n" + pdf(), "no known version"),
    "pdf that is a zip as well": (
        pdf() + zipped(comment=b"startxref\n9\n%%EOF"),
        "ZIP archive and something else",
    ),
    "pdf with a zip before its end": (
        pdf()[:9] + zipped() + pdf()[9:],
        "ZIP archive and something else",
    ),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "HTML, SVG or XML"),
    "svg with a prologue": (b"\xef\xbb\xbf  <?xml version='1.0'?><svg/>", "HTML, SVG or XML"),
    "html": (b"<!DOCTYPE html><script>alert(1)</script>", "HTML, SVG or XML"),
    "html in capitals": (b"\n\n<HTML><body>", "HTML, SVG or XML"),
    "html behind a comment": (b"<!-- a --><script>", "HTML, SVG or XML"),
    "zip": (zipped(), "ZIP archive"),
    "zip of nothing": (b"PK\x05\x06" + b"\0" * 18, "ZIP archive"),
    "docx": (zipped("word/document.xml"), "office document"),
    "doc": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512, "office document"),
    "gzip bomb": (gzip.compress(b"\0" * 1_000_000), "compressed with gzip"),
    "bzip2": (bz2.compress(b"a"), "compressed with bzip2"),
    "xz": (lzma.compress(b"a"), "compressed with xz"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z archive"),
    "rar": (b"Rar!\x1a\x07\x01\x00", "RAR archive"),
    "tar": (b"a".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
    "gif": (b"GIF89a\x01\0\x01\0", "GIF"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
    "program": (b"\x7fELF\x02\x01\x01", "neither text nor"),
    "windows program": (b"MZ\x90\x00\x03", "neither text nor"),
    "text with a NUL": (b"hello\0world", "neither text nor"),
    "text with an escape": (b"\x1b[2J", "neither text nor"),
    "text in latin-1": ("Zürich".encode("latin-1"), "another encoding"),
    "text cut within a character": ("é".encode()[:1], "another encoding"),
    "text with a lone surrogate": (b"\xed\xa0\x80", "another encoding"),
    "text in UTF-16": ("hello".encode("utf-16"), "UTF-16"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_whole_file_of_a_kind_that_is_taken_is_known_by_its_content(name: str) -> None:
    data, media_type = TAKEN[name]

    assert content.recognise(data) == media_type


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_file_is_refused_with_the_rule_that_it_breaks(name: str) -> None:
    data, rule = REFUSED[name]

    with pytest.raises(FileTypeRefused) as refused:
        content.recognise(data)

    assert rule in refused.value.detail
    assert [field.pointer for field in refused.value.errors] == ["/file"]


@pytest.mark.parametrize("name", ["png", "jpeg", "webp, extended", "pdf"])
def test_no_part_of_a_file_passes_for_the_whole(name: str) -> None:
    data, _ = TAKEN[name]
    # "RIFF8" and "%PDF" alone are text; the line break behind a PDF's end may be missing.
    for length in range(8, len(data) - 1):
        with pytest.raises(FileTypeRefused):
            content.recognise(data[:length])


@pytest.mark.parametrize(
    "endless",
    [
        png()[:33] + chunk(b"IDAT") * 25_000 + chunk(b"IEND"),
        b"\xff\xd8" + b"\xff\xfe\x00\x02" * 25_000,
        riff(lossy(), *[(b"EXIF", b"")] * 25_000),
        jpeg()[:-2] + b"\xff" * 1_000_000,
        b"\xff\xd8" + b"\xff" * 1_000_000,
    ],
    ids=["png", "jpeg", "webp", "jpeg of a filled scan", "jpeg of fill bytes"],
)
def test_a_picture_of_endless_pieces_is_not_read_to_their_end(endless: bytes) -> None:
    with pytest.raises(FileTypeRefused, match=f"{pictures.PARTS_MAX}|without its end"):
        content.recognise(endless)


@pytest.mark.parametrize(
    ("found", "ending", "declared"),
    [
        (MediaType.PNG, "png", "image/png"),
        (MediaType.PNG, "PNG", "IMAGE/PNG; foo=bar"),
        (MediaType.JPEG, "jpeg", "image/jpg"),
        (MediaType.JPEG, "jpg", ""),
        (MediaType.JPEG, "jfif", "image/jpeg"),
        (MediaType.WEBP, "", "application/octet-stream"),
        (MediaType.PDF, "pdf", "application/pdf"),
        (MediaType.TEXT, "log", "text/plain; charset=utf-8"),
    ],
)
def test_what_a_sender_says_may_be_right_or_nothing(
    found: MediaType, ending: str, declared: str
) -> None:
    content.check_claims(found, ending=ending, declared_type=declared)


@pytest.mark.parametrize(
    ("found", "ending", "declared", "rule"),
    [
        (MediaType.PNG, "jpg", "image/png", "a PNG picture, and its name"),
        (MediaType.PNG, "png", "image/jpeg", "a PNG picture, and its declared type"),
        (MediaType.TEXT, "html", "text/plain", "plain text, and its name"),
        (MediaType.TEXT, "svg", "", "plain text, and its name"),
        (MediaType.TEXT, "txt", "text/html", "plain text, and its declared type"),
        (MediaType.TEXT, "exe", "application/octet-stream", "plain text, and its name"),
        (MediaType.PDF, "docx", "application/pdf", "a PDF document, and its name"),
        (MediaType.JPEG, "", "application/zip", "a JPEG picture, and its declared type"),
    ],
)
def test_a_file_that_lies_about_its_type_is_refused(
    found: MediaType, ending: str, declared: str, rule: str
) -> None:
    with pytest.raises(FileTypeMismatch) as refused:
        content.check_claims(found, ending=ending, declared_type=declared)

    assert rule in refused.value.detail
