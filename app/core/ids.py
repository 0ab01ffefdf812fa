"""Identifiers: time-ordered UUIDs, and the prefixed form in which the API shows them."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

_HEX_CHARS: Final = 32


def new_id() -> UUID:
    """A UUIDv7, made here because PostgreSQL has them only from version 18."""
    return uuid7()


def public_id(prefix: str, value: UUID) -> str:
    """`key_0199…`: the prefix says what it is, the rest is the UUID in hex."""
    return f"{prefix}_{value.hex}"


def parse_public_id(prefix: str, text: str) -> UUID | None:
    """The UUID of a prefixed id, or None when the text is not one of that kind."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != _HEX_CHARS or not tail.isascii():
        return None
    try:
        value = UUID(hex=tail)
    except ValueError:
        return None
    return value if value.hex == tail else None
