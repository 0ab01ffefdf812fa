"""Fixtures of files: a bucket to store them in."""

from collections.abc import AsyncIterator

import pytest

from tests.files.s3_server import Bucket, running_bucket


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    """An empty bucket on a loopback port."""
    async with running_bucket() as bucket:
        yield bucket
