"""The name that a file is shown by: one line, without a path, never used to find anything."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote

from app.files.errors import FileNameRefused

NAME_CHARS_MAX: Final = 120
NO_PATH: Final = "must be named without a path"
_NAMELESS: Final = "file"
_ENDING: Final = re.compile(r"\.(?=[0-9]*[A-Za-z])([0-9A-Za-z]{1,5})$")
_SEPARATORS: Final = frozenset("/\\")
# Controls, and what hides in text or turns its direction: U+202E shows "gpj.exe" as "exe.jpg".
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def display_name(given: str) -> str:
    """The name cleaned for people to read. Raises FileNameRefused for one with a path in it."""
    if _SEPARATORS & set(given):
        raise FileNameRefused(NO_PATH)
    seen = "".join(
        character
        for character in unicodedata.normalize("NFC", given)
        if unicodedata.category(character) not in _UNSEEN
    )
    name = " ".join(seen.split()).strip(".").strip()
    return _shortened(name) or _NAMELESS


def ending(name: str) -> str:
    """What stands after the last dot, where that can be meant to tell a type: not in "v1.2"."""
    found = _ENDING.search(name)
    return found[1] if found else ""


def _shortened(name: str) -> str:
    """Cut before its ending."""
    if len(name) <= NAME_CHARS_MAX:
        return name
    last = ending(name)
    tail = f".{last}" if last else ""
    return name[: NAME_CHARS_MAX - len(tail)].rstrip() + tail


def with_ending(name: str, wanted: str) -> str:
    """The same name, with an ending if it has none, so that it opens where it is saved."""
    return name if ending(name) else f"{name[: NAME_CHARS_MAX - len(wanted) - 1]}.{wanted}"


def attachment(name: str) -> str:
    """The Content-Disposition by which a browser saves and never shows it (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
