"""Keyset cursors: where a page ended, signed so that only ours are followed."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

import orjson

from app.core.crypto import KeyRing
from app.core.errors import AppError

_PURPOSE: Final = "cursor"
_SIGNATURE_BYTES: Final = 16
CURSOR_LENGTH_MAX: Final = 512


class CursorInvalid(AppError):
    status = 400
    code = "cursor-invalid"
    title = "The cursor is not one that this list gave to this account"


class Cursors:
    """Seals the position of the last row of a page for one list of one owner."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def seal(self, scope: str, position: list[str | int]) -> str:
        payload = orjson.dumps(position)
        signature = self._keys.mac(_PURPOSE, scope.encode() + b"\n" + payload)[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(signature + payload).rstrip(b"=").decode()

    def open(self, scope: str, cursor: str) -> list[str | int]:
        """The position; CursorInvalid when broken, forged, or of another list, filter or owner."""
        if len(cursor) > CURSOR_LENGTH_MAX or not cursor.isascii():
            raise CursorInvalid
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except binascii.Error as error:
            raise CursorInvalid from error
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        expected = self._keys.macs(_PURPOSE, scope.encode() + b"\n" + payload)
        if not any(hmac.compare_digest(signature, mac[:_SIGNATURE_BYTES]) for mac in expected):
            raise CursorInvalid
        position: list[str | int] = orjson.loads(payload)
        return position
