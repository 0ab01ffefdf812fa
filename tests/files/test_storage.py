"""Both storages keep one contract; each keeps its own besides."""

import asyncio
import errno
import hashlib
import io
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.core.settings import Settings
from app.files import storage
from app.files.backends import open_storage
from app.files.s3_signing import EMPTY_SHA256, Credentials, signed_headers
from app.files.storage import BytesMissing, Storage, StorageUnavailable
from tests.files.s3_server import BUCKET, KEY_ID, REGION, SECRET, Bucket

LARGE = os.urandom(200_000)


def s3_settings(settings: Settings, endpoint: str, **changed: str) -> Settings:
    """The settings by which this bucket is reached, checked as at a start."""
    wanted = {
        "files_backend": "s3",
        "files_s3_endpoint": endpoint,
        "files_s3_region": REGION,
        "files_s3_bucket": BUCKET,
        "files_s3_key_id": KEY_ID,
        "files_s3_secret": SECRET,
    }
    return Settings.model_validate(settings.model_dump() | wanted | changed)


@pytest.fixture(params=["local", "s3"])
async def kept(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, bucket: Bucket
) -> AsyncIterator[Storage]:
    """One of the storages, by the settings that name it."""
    chosen = settings.model_copy(update={"files_dir": tmp_path / "files"})
    if request.param == "s3":
        chosen = s3_settings(settings, bucket.endpoint)
    async with open_storage(chosen) as opened:
        yield opened


@pytest.fixture
async def s3(settings: Settings, bucket: Bucket) -> AsyncIterator[Storage]:
    async with open_storage(s3_settings(settings, bucket.endpoint)) as opened:
        yield opened


async def put(where: Storage, key: str, data: bytes) -> None:
    digest = hashlib.sha256(data).digest()
    await where.put(key, io.BytesIO(data), size=len(data), sha256=digest)


async def read(where: Storage, key: str) -> bytes:
    return b"".join([chunk async for chunk in where.read(key)])


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


class TestTheContract:
    """What is promised of every storage."""

    @pytest.mark.parametrize("data", [b"a", LARGE], ids=["small", "large"])
    async def test_what_was_put_is_read_in_chunks(self, kept: Storage, data: bytes) -> None:
        key = storage.new_key()
        await put(kept, key, data)
        chunks = [chunk async for chunk in kept.read(key)]

        assert b"".join(chunks) == data
        assert max(map(len, chunks)) <= storage.CHUNK_BYTES

    async def test_a_file_is_put_from_its_start_wherever_it_was_read_to(
        self, kept: Storage
    ) -> None:
        key, file = storage.new_key(), io.BytesIO(b"whole")
        file.read()
        await kept.put(key, file, size=5, sha256=hashlib.sha256(b"whole").digest())

        assert await read(kept, key) == b"whole"

    async def test_putting_again_puts_in_its_place(self, kept: Storage) -> None:
        key = storage.new_key()
        await put(kept, key, b"first")
        await put(kept, key, b"second")

        assert await read(kept, key) == b"second"

    async def test_what_was_deleted_is_missing_and_may_be_deleted_again(
        self, kept: Storage
    ) -> None:
        key = storage.new_key()
        await put(kept, key, b"a")
        for _ in range(2):
            await kept.delete(key)

        with pytest.raises(BytesMissing):
            await read(kept, key)

    @pytest.mark.parametrize("key", ["../../etc/passwd", "aa/bb/../x", "/etc/passwd", "", "aa/bb"])
    async def test_no_other_key_than_ours_is_taken(self, kept: Storage, key: str) -> None:
        with pytest.raises(ValueError, match="not a storage key"):
            await put(kept, key, b"a")
        with pytest.raises(ValueError, match="not a storage key"):
            await read(kept, key)
        with pytest.raises(ValueError, match="not a storage key"):
            await kept.delete(key)


class TestALocalFolder:
    async def test_files_and_folders_are_their_owners_alone(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        key = storage.new_key()
        async with open_storage(settings.model_copy(update={"files_dir": tmp_path / "f"})) as local:
            await put(local, key, b"a")
        modes = {
            path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777
            for path in (tmp_path / "f").rglob("*")
        }

        assert modes == {f"f/{key[:2]}": 0o700, f"f/{key[:5]}": 0o700, f"f/{key}": 0o600}

    async def test_a_disk_that_fills_up_leaves_nothing_in_the_files_place(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = storage.new_key()

        def full(*_arguments: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        async with open_storage(settings.model_copy(update={"files_dir": tmp_path})) as local:
            with monkeypatch.context() as patch:
                patch.setattr(os, "fsync", full)
                with pytest.raises(StorageUnavailable):
                    await put(local, key, b"half of it")
            with pytest.raises(BytesMissing):
                await read(local, key)
            assert [name.endswith(".part") for name in files_in(tmp_path)] == [True]
            # What was cut off is no obstacle to another try, and goes with the file.
            await put(local, key, b"whole")
            assert await read(local, key) == b"whole"
            await local.delete(key)
        assert files_in(tmp_path) == []

    async def test_a_folder_that_cannot_be_written_is_unavailable(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        (tmp_path / "file").touch()
        blocked = settings.model_copy(update={"files_dir": tmp_path / "file"})
        async with open_storage(blocked) as local:
            with pytest.raises(StorageUnavailable):
                await put(local, storage.new_key(), b"a")


class TestS3:
    async def test_objects_stand_in_the_bucket_by_path(self, s3: Storage, bucket: Bucket) -> None:
        key = storage.new_key()
        await put(s3, key, b"a")
        await s3.delete(key)

        assert bucket.asked == [f"PUT /{BUCKET}/{key}", f"DELETE /{BUCKET}/{key}"]

    async def test_bytes_that_change_on_their_way_are_not_stored(
        self, s3: Storage, bucket: Bucket
    ) -> None:
        with pytest.raises(StorageUnavailable):
            await s3.put(storage.new_key(), io.BytesIO(b"b"), size=1, sha256=b"\0" * 32)

        assert bucket.objects == {}

    @pytest.mark.parametrize(
        "wrong",
        [{"files_s3_secret": "guessed"}, {"files_s3_key_id": "AKOTHER"}, {"files_s3_region": "x"}],
        ids=["secret", "key", "region"],
    )
    async def test_wrong_credentials_are_told_as_unavailable(
        self, settings: Settings, bucket: Bucket, wrong: dict[str, str]
    ) -> None:
        async with open_storage(s3_settings(settings, bucket.endpoint, **wrong)) as refused:
            with pytest.raises(StorageUnavailable):
                await put(refused, storage.new_key(), b"a")
            with pytest.raises(StorageUnavailable):
                await read(refused, storage.new_key())

        assert bucket.objects == {}

    @pytest.mark.parametrize("status", [301, 403, 500, 503])
    async def test_any_other_answer_is_no_success(
        self, s3: Storage, bucket: Bucket, status: int
    ) -> None:
        bucket.answer_instead = status
        key = storage.new_key()

        with pytest.raises(StorageUnavailable):
            await put(s3, key, b"a")
        with pytest.raises(StorageUnavailable):
            await read(s3, key)
        with pytest.raises(StorageUnavailable):
            await s3.delete(key)

    async def test_a_body_that_is_cut_off_is_not_taken_for_the_whole(
        self, s3: Storage, bucket: Bucket
    ) -> None:
        key = storage.new_key()
        await put(s3, key, LARGE)
        bucket.hang_up_after = 1000

        with pytest.raises(StorageUnavailable):
            await read(s3, key)

    async def test_storage_that_is_away_is_unavailable(self, settings: Settings) -> None:
        async with open_storage(s3_settings(settings, "http://127.0.0.1:9")) as away:
            with pytest.raises(StorageUnavailable):
                await put(away, storage.new_key(), b"a")


class TestSignatures:
    """The examples that AWS has published for Signature Version 4."""

    CREDENTIALS = Credentials(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"
    )
    HOST = "examplebucket.s3.amazonaws.com"

    @pytest.mark.parametrize(
        ("method", "path", "headers", "payload_sha256", "signature"),
        [
            (
                "GET",
                "/test.txt",
                {"Range": "bytes=0-9"},
                EMPTY_SHA256,
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test$file.text",
                {
                    "Date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
        ],
        ids=["get", "put"],
    )
    def test_our_signature_is_the_one_that_was_published(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        payload_sha256: str,
        signature: str,
    ) -> None:
        sent = signed_headers(
            self.CREDENTIALS,
            method,
            path,
            {"Host": self.HOST} | headers,
            payload_sha256=payload_sha256,
            now=datetime(2013, 5, 24, tzinfo=UTC),
        )

        assert sent["authorization"].endswith(f",Signature={signature}")


async def test_many_files_are_stored_at_once(kept: Storage) -> None:
    files = {storage.new_key(): os.urandom(70_000) for _ in range(12)}
    await asyncio.gather(*(put(kept, key, data) for key, data in files.items()))

    assert {key: await read(kept, key) for key in files} == files
