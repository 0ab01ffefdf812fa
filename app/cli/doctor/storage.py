"""The check of where files are kept: one is stored, read and removed again."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Final

from app.cli.doctor.findings import Finding, fail, ok, warn
from app.core.settings import Settings
from app.files.backends import open_storage
from app.files.storage import BytesMissing, Storage, StorageUnavailable, new_key

_PROBE: Final = b"smmos doctor"


async def check_files(settings: Settings) -> list[Finding]:
    """Whether files can be kept where the settings say, and whether they should be."""
    unfit = list(_unfit(settings))
    if any(finding.verdict == "FAIL" for finding in unfit):
        return unfit
    return [*unfit, await _try_out(settings)]


def _unfit(settings: Settings) -> Iterator[Finding]:
    if settings.environment != "production":
        return
    if settings.files_backend == "local":
        if settings.files_dir is None:
            yield fail(
                "files",
                "SMMOS_FILES_DIR is not set, so that files are kept in a development folder. Set a"
                " folder that all processes share and that is backed up, or use S3.",
            )
        elif not settings.files_dir.is_absolute():
            yield fail(
                "files",
                "SMMOS_FILES_DIR must be written from its root: processes may start elsewhere.",
            )
    elif (settings.files_s3_endpoint or "").startswith("http:"):
        yield warn("files", "travel to SMMOS_FILES_S3_ENDPOINT unencrypted. Use https.")


async def _try_out(settings: Settings) -> Finding:
    try:
        async with open_storage(settings) as storage:
            same = await _round_trip(storage)
    except (StorageUnavailable, BytesMissing):
        return fail("files", _advice(settings))
    if not same:
        return fail("files", f"are not read as they were stored. {_advice(settings)}")
    return ok("files", f"can be stored, read and removed ({settings.files_backend})")


async def _round_trip(storage: Storage) -> bool:
    key = new_key()
    digest = hashlib.sha256(_PROBE).digest()
    await storage.put(key, io.BytesIO(_PROBE), size=len(_PROBE), sha256=digest)
    read = b"".join([chunk async for chunk in storage.read(key)])
    await storage.delete(key)
    return read == _PROBE


def _advice(settings: Settings) -> str:
    if settings.files_backend == "local":
        return (
            f"{settings.files_folder} cannot be written, read and cleared. Give it to the user that"
            " runs SMMOS, or correct SMMOS_FILES_DIR."
        )
    return (
        "the bucket cannot be written, read and cleared. See the warning above; correct"
        " SMMOS_FILES_S3_ENDPOINT, …_REGION, …_BUCKET, …_KEY_ID or …_SECRET."
    )
