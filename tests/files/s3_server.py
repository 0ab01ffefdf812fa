"""A bucket on a loopback port that works out every signature itself, as S3 does.

Written from the published description of Signature Version 4, and not from our own signing.
"""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

BUCKET, KEY_ID, SECRET, REGION = "evidence", "AKTEST", "the-secret", "eu-test-1"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([\w-]+)/s3/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)


@dataclass
class Bucket:
    """What is stored, what was asked for, and how it misbehaves: a status to answer with instead,
    or a share of a body after which to hang up.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    answer_instead: int | None = None
    hang_up_after: int | None = None
    endpoint: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()) not in {b"", b"\r\n"}:
                method, path, _ = line.decode().split(" ")
                headers: dict[str, str] = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.asked.append(f"{method} {path}")
                status, answer = self._answer(method, path, headers, body)
                writer.write(
                    f"HTTP/1.1 {status} S3\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                )
                writer.write(answer[: self.hang_up_after])
                await writer.drain()
                if self.hang_up_after is not None:
                    break
        finally:
            writer.close()

    def _answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if self.answer_instead is not None:
            return self.answer_instead, b"<Error/>"
        refusal = _refusal(method, path, headers, body)
        if refusal is not None:
            return 403, f"<Error><Code>{refusal}</Code></Error>".encode()
        key = path.removeprefix(f"/{BUCKET}/")
        match method:
            case "PUT":
                self.objects[key] = body
                return 200, b""
            case "DELETE":
                self.objects.pop(key, None)
                return 204, b""
            case _:
                found = self.objects.get(key)
                return (404, b"<Error/>") if found is None else (200, found)


def _refusal(method: str, path: str, headers: dict[str, str], body: bytes) -> str | None:
    """S3's code for what is wrong with a request's signature, if anything is."""
    parsed = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if parsed is None:
        return "AuthorizationHeaderMalformed"
    key_id, day, region, signed, signature = parsed.groups()
    if key_id != KEY_ID or region != REGION:
        return "InvalidAccessKeyId"
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - at) > timedelta(minutes=15) or f"{at:%Y%m%d}" != day:
        return "RequestTimeTooSkewed"
    if headers["x-amz-content-sha256"] != hashlib.sha256(body).hexdigest():
        return "XAmzContentSHA256Mismatch"
    if not {"host", "x-amz-date", "x-amz-content-sha256"} <= set(signed.split(";")):
        return "AccessDenied"
    lines = "".join(f"{name}:{headers[name]}\n" for name in signed.split(";"))
    request = f"{method}\n{path}\n\n{lines}\n{signed}\n{headers['x-amz-content-sha256']}"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{day}/{region}/s3/aws4_request\n{digest}"
    key = b"AWS4" + SECRET.encode()
    for part in (day, region, "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return None if key.hex() == signature else "SignatureDoesNotMatch"


@asynccontextmanager
async def running_bucket() -> AsyncIterator[Bucket]:
    """An empty bucket that listens while the block lasts."""
    bucket = Bucket()
    server = await asyncio.start_server(bucket.serve, "127.0.0.1", 0)
    async with server:
        bucket.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield bucket
