"""The storage that the settings name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.core.http import bounded_client
from app.core.settings import Settings
from app.files.local_storage import LocalStorage
from app.files.s3_signing import Credentials
from app.files.s3_storage import BOUNDS, S3Storage
from app.files.storage import Storage


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """Ready to use; nothing is touched before the first call."""
    if settings.files_backend == "local":
        yield LocalStorage(settings.files_folder)
        return
    async with bounded_client(BOUNDS) as client:
        yield S3Storage(client, *_s3(settings))


def _s3(settings: Settings) -> tuple[str, str, Credentials]:
    endpoint, bucket = settings.files_s3_endpoint, settings.files_s3_bucket
    key_id, secret = settings.files_s3_key_id, settings.files_s3_secret
    if endpoint is None or bucket is None or key_id is None or secret is None:
        raise ValueError("settings that name S3 were not checked for what it needs")
    return (
        endpoint,
        bucket,
        Credentials(key_id, secret.get_secret_value(), settings.files_s3_region),
    )
