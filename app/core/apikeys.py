"""API keys: `smm_live_` + look-up id, secret and checksum; stored as a keyed hash, shown once."""

from __future__ import annotations

import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from app.core.crypto import KeyRing, Undecryptable

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LOOKUP_CHARS: Final = 12
_SECRET_CHARS: Final = 32
_CHECK_CHARS: Final = 6
_PURPOSE: Final = "api-key"
KEY_PATTERN: Final = re.compile(
    r"smm_(live|test|pub|op)_([0-9A-Za-z]{12})([0-9A-Za-z]{32})([0-9A-Za-z]{6})"
)
"""What secret scanners may look for."""


class KeyKind(StrEnum):
    """What a key opens: a book's live or test side, a storefront's reads, the operators' routes."""

    LIVE = "live"
    TEST = "test"
    PUBLISHABLE = "pub"
    OPERATOR = "op"


@dataclass(frozen=True, slots=True)
class PresentedKey:
    """A well-formed key as a caller sent it; nothing is known of it yet."""

    kind: KeyKind
    lookup: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key: the text for its owner, and what is kept of it."""

    text: str = field(repr=False)
    lookup: str
    secret_mac: bytes
    pepper: str
    last4: str


def mint(kind: KeyKind, keys: KeyRing) -> MintedKey:
    """A key of 190 random bits; the checksum lets scanners and us drop garbage unasked."""
    lookup, secret = _random(_LOOKUP_CHARS), _random(_SECRET_CHARS)
    body = f"smm_{kind}_{lookup}{secret}"
    return MintedKey(
        text=body + _checksum(body),
        lookup=lookup,
        secret_mac=keys.mac(_PURPOSE, secret.encode()),
        pepper=keys.current_id,
        last4=secret[-4:],
    )


def parse(text: str) -> PresentedKey | None:
    """The parts of a key, or None for what cannot be one."""
    match = KEY_PATTERN.fullmatch(text)
    if match is None or _checksum(text[:-_CHECK_CHARS]) != match[4]:
        return None
    return PresentedKey(KeyKind(match[1]), match[2], match[3])


def verify(presented: PresentedKey, keys: KeyRing, *, secret_mac: bytes, pepper: str) -> bool:
    """Whether the secret is the one that was minted, in constant time."""
    try:
        expected = keys.mac(_PURPOSE, presented.secret.encode(), key_id=pepper)
    except Undecryptable:
        return False
    return hmac.compare_digest(expected, secret_mac)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = []
    for _ in range(_CHECK_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
