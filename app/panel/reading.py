"""What a client sent, as plain fields, whether it came as a form, as multipart or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.web.fields import SAFE_INTEGER_MAX, check_text

FIELDS_MAX: Final = 100
HEADERS_MAX: Final = 8
HEADER_BYTES_MAX: Final = 1024
_AS_IT_IS: Final = frozenset({b"7bit", b"8bit", b"binary"})
"""Encodings of a part that change nothing; senders of forms use no others."""
_DIGITS: Final = re.compile(r"[0-9]{1,20}")
_ABSENT: Final = frozenset({"", "undefined", "null"})


class Unreadable(ValueError):
    """The body is none of the three forms, or a broken one."""


def fields_of(content_type: str, body: bytes) -> dict[str, str]:
    """The fields of a body as texts; one that is sent empty, `null` or `undefined` is left out.

    Clients name the wrong type as often as the right one, so that JSON is recognised by itself.
    Raises Unreadable.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _given(_multipart(content_type, body))
    if body.lstrip()[:1] == b"{":
        return _given(_json(body))
    return query_fields(body)


def query_fields(query: bytes) -> dict[str, str]:
    """The fields of a URL's query or of a form. Raises Unreadable."""
    try:
        text = query.decode("utf-8")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict")
    except ValueError as error:
        raise Unreadable from error
    return _given(pairs)


def number_of(text: str) -> int | None:
    """A whole number as clients write it; None for anything else."""
    digits = text.strip()
    if not _DIGITS.fullmatch(digits) or int(digits) > SAFE_INTEGER_MAX:
        return None
    return int(digits)


def _given(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Where a field comes twice the last counts, as it does in the field's own software."""
    try:
        return {name: check_text(text) for name, text in pairs if text.strip() not in _ABSENT}
    except ValueError as error:
        raise Unreadable from error


def _json(body: bytes) -> list[tuple[str, str]]:
    try:
        said = json.loads(body.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Unreadable from error
    if not isinstance(said, Mapping) or len(said) > FIELDS_MAX:
        raise Unreadable
    return [(name, _text(value)) for name, value in said.items()]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _text(value: Any) -> str:
    """Numbers as they are written; a list as lines, as a form would have sent it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, int):
        return _digits(value)
    if isinstance(value, list) and not any(isinstance(item, list) for item in value):
        return "\n".join(map(_text, value))
    raise Unreadable


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError as error:  # more digits than Python writes
        raise Unreadable from error


def _multipart(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The texts of a multipart form; a file is no field of this API."""
    if len(content_type) > HEADER_BYTES_MAX:
        raise Unreadable
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Unreadable
    # What stands before the first part is nobody's, and some write all their lines with LF alone.
    form = body[max(body.find(b"--" + boundary), 0) :]
    if b"\r\n" not in form:
        form = form.replace(b"\n", b"\r\n")
    parts = _Parts()
    try:
        parts.parser(boundary).write(form)
    except FormParserError as error:
        raise Unreadable from error
    if not parts.ended:
        raise Unreadable
    return parts.texts()


class _Parts:
    """Gathers the parts of a multipart body. Anybody may send one, before a key is recognised: to
    read it takes one pass, and its headers, whose parameters take more, are short.
    """

    def __init__(self) -> None:
        self.ended = False
        self._named: list[tuple[bytes, bytearray]] = []
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""

    def parser(self, boundary: bytes) -> MultipartParser:
        """Raises FormParserError for a boundary that is too long."""
        return MultipartParser(
            boundary,
            {
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

    def texts(self) -> list[tuple[str, str]]:
        """Raises Unreadable."""
        try:
            return [(name.decode("utf-8"), said.decode("utf-8")) for name, said in self._named]
        except UnicodeDecodeError as error:
            raise Unreadable from error

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        name = options.get(b"name")
        if name is None or b"filename" in options or encoding not in _AS_IT_IS:
            raise Unreadable
        if len(self._named) == FIELDS_MAX:
            raise Unreadable
        self._named.append((name, bytearray()))
        self._headers = {}

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._named[-1][1].extend(data[start:end])

    def _on_end(self) -> None:
        self.ended = True
