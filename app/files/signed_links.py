"""Links that open one file for a few minutes, to whoever holds them."""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from app.core.crypto import KeyRing
from app.files.errors import FileLinkExpired, FileLinkInvalid
from app.files.service import public_file_id

PATH: Final = "/v1/files"
_PURPOSE: Final = "file link"


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A path on the API's own host, and until when it opens."""

    path: str
    expires_at: datetime


def link(keys: KeyRing, file_id: UUID, *, now: datetime, seconds: int) -> SignedLink:
    """A link to this file that works for so many seconds."""
    expires = int(now.timestamp()) + seconds
    signature = _encoded(keys.mac(_PURPOSE, _message(file_id, str(expires))))
    path = f"{PATH}/{public_file_id(file_id)}?expires={expires}&signature={signature}"
    return SignedLink(path, datetime.fromtimestamp(expires, UTC))


def check(keys: KeyRing, file_id: UUID, expires: str, signature: str, *, now: datetime) -> None:
    """Raises FileLinkInvalid for a link that no key of ours signed, FileLinkExpired for an old
    one. Links stay good while the key that signed them is configured.
    """
    macs = keys.macs(_PURPOSE, _message(file_id, expires))
    if not any(hmac.compare_digest(_encoded(mac).encode(), signature.encode()) for mac in macs):
        raise FileLinkInvalid
    if now.timestamp() > int(expires):
        raise FileLinkExpired


def _message(file_id: UUID, expires: str) -> bytes:
    return f"{file_id.hex}\n{expires}".encode()


def _encoded(mac: bytes) -> str:
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
