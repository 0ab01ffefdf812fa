"""Links as resellers send them: what every one must be, whatever is sold."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

LINK_LENGTH_MAX: Final = 2048
_SCHEMES: Final = frozenset({"http", "https"})


def check_link(text: str) -> str:
    """The link as it was sent; ValueError names the rule it breaks. It is never fetched by us."""
    if len(text) > LINK_LENGTH_MAX:
        raise ValueError(f"must have at most {LINK_LENGTH_MAX} characters")
    # Of all kinds of space, only the plain one counts as printable.
    if " " in text or not text.isprintable():
        raise ValueError("must not contain spaces or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a valid http or https URL") from None
    if parts.scheme.lower() not in _SCHEMES or not (host or "").strip(".") or port == 0:
        raise ValueError("must be an http or https URL with a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password")
    return text
