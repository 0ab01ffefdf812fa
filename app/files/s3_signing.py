"""Signature Version 4: how a request to S3 proves whose it is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_SERVICE: Final = "s3"
EMPTY_SHA256: Final = hashlib.sha256().hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whose requests these are, and for which region they are signed."""

    key_id: str
    secret: str
    region: str


def signed_headers(
    credentials: Credentials,
    method: str,
    path: str,
    headers: Mapping[str, str],
    *,
    payload_sha256: str,
    now: datetime,
) -> dict[str, str]:
    """The headers to send: those given (`host` among them), the date, the payload's hash, and the
    signature over all of these. `path` is not yet percent-encoded. What a proxy may change on the
    way, such as Accept-Encoding, is better sent beside them and not signed.
    """
    moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = {name.lower(): value for name, value in headers.items()} | {
        "x-amz-content-sha256": payload_sha256,
        "x-amz-date": moment,
    }
    names = ";".join(sorted(sent))
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/-_.~"),
            "",  # no query: none of our requests has one
            *(f"{name}:{sent[name].strip()}" for name in sorted(sent)),
            "",
            names,
            payload_sha256,
        ]
    )
    scope = f"{moment[:8]}/{credentials.region}/{_SERVICE}/aws4_request"
    to_sign = "\n".join([_ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    signature = hmac.new(_signing_key(credentials, moment[:8]), to_sign.encode(), "sha256")
    authorization = (
        f"{_ALGORITHM} Credential={credentials.key_id}/{scope},"
        f"SignedHeaders={names},Signature={signature.hexdigest()}"
    )
    return sent | {"authorization": authorization}


def _signing_key(credentials: Credentials, day: str) -> bytes:
    key = f"AWS4{credentials.secret}".encode()
    for part in (day, credentials.region, _SERVICE, "aws4_request"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return key
