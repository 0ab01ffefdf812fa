"""What a client sent, as plain fields, whether it came as a form, as multipart or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final
from urllib.parse import parse_qsl

from app.web.fields import SAFE_INTEGER_MAX, check_text

FIELDS_MAX: Final = 100
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
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    parts = form.get_payload() if form.is_multipart() else None
    if not isinstance(parts, list) or form.defects or len(parts) > FIELDS_MAX:
        raise Unreadable
    return [_part(part) for part in parts]


def _part(part: object) -> tuple[str, str]:
    if not isinstance(part, Message) or part.get_filename() is not None:
        raise Unreadable
    name = part.get_param("name", header="content-disposition")
    content = part.get_payload(decode=True)
    if not isinstance(name, str) or not isinstance(content, bytes):
        raise Unreadable
    try:
        return name, content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable from error
