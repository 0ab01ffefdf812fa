"""One file in a multipart body: streamed, judged, stored; what is wrong is told as a problem."""

import errno
from collections.abc import AsyncIterator
from email.message import Message
from typing import Any

import httpx
import pytest

from app.core.settings import Settings
from app.files.receiving import HEADER_BYTES_MAX, HEADERS_MAX
from app.files.storage import StorageUnavailable
from tests.files.conftest import Uploads
from tests.files.samples import jpeg, lossy, pdf, png, riff, zipped
from tests.fixtures.world import World
from tests.http.problems import pointers, problem

BOUNDARY = "a-boundary"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
MEGABYTE = 1_048_576


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"files_book_bytes_max": 6 * MEGABYTE})


def part(headers: str = 'Content-Disposition: form-data; name="file"; filename="a.txt"') -> bytes:
    return f"--{BOUNDARY}\r\n{headers}\r\n\r\nhello\r\n".encode()


END = f"--{BOUNDARY}--\r\n".encode()


class Stream:
    """A body without a declared length, which counts what is asked of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield part()[:-2]
        while self.asked < self.size:
            self.asked += 65_536
            yield b"a" * 65_536
        yield b"\r\n" + END


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (png(), "a.png", "image/png"),
        (jpeg(), "b.jpg", "image/jpeg"),
        (riff(lossy()), "c.webp", "image/webp"),
        (pdf(), "rechnung für märz.pdf", "application/pdf"),
        (b"hello " * 200_000, "e.txt", "text/plain; charset=utf-8"),
    ],
    ids=["png", "jpeg", "webp", "pdf", "text"],
)
async def test_a_file_goes_in_and_comes_back_by_its_link_and_only_as_a_download(
    client: httpx.AsyncClient, uploads: Uploads, data: bytes, name: str, media_type: str
) -> None:
    sent = await uploads.sent(data, name)
    answer = await client.get(sent["url"])

    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-length"] == str(sent["size"]) == str(len(data))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert answer.headers["cache-control"] == "private, no-store"
    saved = Message()
    saved["Content-Disposition"] = answer.headers["content-disposition"]
    assert saved.get_content_disposition() == "attachment"
    assert sent["name"] == name


@pytest.mark.parametrize(
    ("data", "name", "declared", "code", "rule"),
    [
        (png(), "a.jpg", "image/jpeg", "file-type-mismatch", "is a PNG picture, and its name"),
        (png(), "a", "application/pdf", "file-type-mismatch", "its declared type"),
        (zipped(), "a.png", "image/png", "file-type-refused", "is a ZIP archive"),
        (b"<svg/>", "a.txt", "text/plain", "file-type-refused", "is HTML, SVG or XML"),
        (png(100_000, 100_000), "a.png", "image/png", "file-type-refused", "million pixels"),
        (b"", "a.txt", "text/plain", "file-type-refused", "is empty"),
        (png(), "../../a.png", "image/png", "file-name-refused", "without a path"),
    ],
)
async def test_a_file_that_is_refused_is_told_by_field_and_rule_and_stored_nowhere(
    uploads: Uploads, world: World, data: bytes, name: str, declared: str, code: str, rule: str
) -> None:
    document = problem(await uploads.send(data, name, declared), 422, code)

    assert pointers(document) == ["/file"]
    assert rule in document["errors"][0]["detail"]
    assert await world.count("files") == 0


async def test_fifty_megabytes_are_refused_by_their_declared_length_before_they_are_read(
    uploads: Uploads,
) -> None:
    stream = Stream(50 * MEGABYTE)
    answer = await uploads.post(
        content=stream, headers=MULTIPART | {"Content-Length": str(50 * MEGABYTE)}
    )

    assert "at most 5242880 bytes" in problem(answer, 413, "file-too-large")["detail"]
    assert stream.asked == 0


async def test_fifty_megabytes_without_a_declared_length_are_refused_while_they_come(
    uploads: Uploads, world: World
) -> None:
    stream = Stream(50 * MEGABYTE)

    problem(await uploads.post(content=stream, headers=MULTIPART), 413, "file-too-large")
    assert stream.asked <= 6 * MEGABYTE
    assert await world.count("files") == 0


async def test_a_file_at_the_limit_is_taken_and_one_byte_more_is_not(uploads: Uploads) -> None:
    limit = 5 * MEGABYTE

    problem(await uploads.send(b"a" * (limit + 1), "a.txt", "text/plain"), 413, "file-too-large")
    assert (await uploads.sent(b"a" * limit, "a.txt"))["size"] == limit


async def test_without_a_key_nothing_of_a_file_is_read(uploads: Uploads) -> None:
    stream = Stream(MEGABYTE)
    answer = await uploads.client.post("/v1/things/1/files", content=stream, headers=MULTIPART)

    problem(answer, 401, "unauthorized")
    assert stream.asked == 0


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({"Content-Type": "application/json"}, b"{}", 415, "upload-expected"),
        ({"Content-Type": "multipart/form-data"}, part() + END, 415, "upload-expected"),
        ({}, part() + END, 415, "upload-expected"),
        (
            {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"},
            part() + END,
            400,
            "upload-malformed",
        ),
        (MULTIPART, b"", 400, "upload-malformed"),
        (MULTIPART, END, 400, "upload-malformed"),
        (MULTIPART, b"hello", 400, "upload-malformed"),
        (MULTIPART, part(), 400, "upload-malformed"),
        (MULTIPART, part()[:-9], 400, "upload-malformed"),
        (MULTIPART, part("X: " + "y" * (HEADER_BYTES_MAX + 1)), 400, "upload-malformed"),
        (MULTIPART, part("\r\n".join(["X: y"] * (HEADERS_MAX + 1))), 400, "upload-malformed"),
        (MULTIPART, part("no colon here"), 400, "upload-malformed"),
        (MULTIPART, part() + part() + END, 422, "upload-field-refused"),
        (
            MULTIPART,
            part() + part('Content-Disposition: form-data; name="note"') + END,
            422,
            "upload-field-refused",
        ),
        (
            MULTIPART,
            part('Content-Disposition: form-data; name="other"; filename="a.txt"') + END,
            422,
            "upload-field-refused",
        ),
        (
            MULTIPART,
            part('Content-Disposition: form-data; name="file"') + END,
            422,
            "upload-field-refused",
        ),
        (MULTIPART, part("X: y") + END, 422, "upload-field-refused"),
    ],
)
async def test_a_body_that_is_not_one_file_is_refused(
    uploads: Uploads, world: World, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    problem(await uploads.post(content=body, headers=headers), status, code)
    assert await world.count("files") == 0


@pytest.mark.parametrize(
    "name", [rb"C:\a.txt", rb"C:\\dir\\a.txt", rb"\\host\a.txt", rb"\\\\host\\dir\\a.txt"]
)
async def test_a_name_with_the_path_of_another_system_is_refused(
    uploads: Uploads, world: World, name: bytes
) -> None:
    body = part().replace(b"a.txt", name) + END

    problem(await uploads.post(content=body, headers=MULTIPART), 422, "file-name-refused")
    assert await world.count("files") == 0


async def test_a_name_that_is_not_utf8_is_refused(uploads: Uploads) -> None:
    body = part().replace(b"a.txt", b"\xff.txt") + END

    problem(await uploads.post(content=body, headers=MULTIPART), 422, "file-name-refused")


@pytest.mark.parametrize("size", [1, 2, 7, 64])
async def test_a_body_may_come_in_pieces_of_any_size(uploads: Uploads, size: int) -> None:
    body = part() + END

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    answer = await uploads.post(content=pieces(), headers=MULTIPART)

    assert (answer.status_code, answer.json()["size"]) == (201, 5)


async def test_one_thing_has_so_many_files_and_no_more(uploads: Uploads) -> None:
    for width in (1, 2, 3):
        await uploads.sent(png(width))

    document = problem(await uploads.send(png(4)), 409, "too-many-files")
    assert "at most 3 files" in document["detail"]
    assert (await uploads.send(png(4), to="2")).status_code == 201


async def test_the_same_content_sent_again_is_the_file_that_is_there(
    uploads: Uploads,
) -> None:
    first = await uploads.sent(png(), "first.png")
    again = await uploads.sent(png(), "again.png")
    elsewhere = await uploads.sent(png(), "again.png", to="2")

    assert (again["id"], again["name"]) == (first["id"], "first.png")
    assert elsewhere["id"] != first["id"]


async def test_an_account_has_so_much_room_and_another_has_its_own(
    uploads: Uploads, world: World
) -> None:
    await uploads.sent(b"a" * 3 * MEGABYTE, "a.txt")
    late = await uploads.send(b"b" * 4 * MEGABYTE, "b.txt", "text/plain", to="2")
    other = Uploads(uploads.client, await world.reseller())

    problem(late, 409, "storage-quota-reached")
    await uploads.sent(b"b" * 3 * MEGABYTE, "b.txt")
    await other.sent(b"b" * 4 * MEGABYTE, "b.txt", to="3")


async def test_storage_that_is_away_is_told_and_leaves_a_row_to_be_collected(
    uploads: Uploads, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_arguments: Any, **_options: Any) -> None:
        raise StorageUnavailable

    monkeypatch.setattr("app.files.local_storage.LocalStorage.put", away)
    problem(await uploads.send(png()), 503, "unavailable")

    assert await world.count("files") == 1


async def test_a_temporary_folder_without_room_is_told_and_leaves_nothing(
    uploads: Uploads, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("app.files.spool.tempfile.TemporaryFile", full)
    problem(await uploads.send(png()), 503, "unavailable")

    assert await world.count("files") == 0


def test_the_document_of_such_a_route_says_how_a_file_is_sent(uploads: Uploads) -> None:
    transport = uploads.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    document = transport.app.openapi()  # type: ignore[attr-defined]
    body = document["paths"]["/v1/things/{thing_id}/files"]["post"]["requestBody"]

    schema = body["content"]["multipart/form-data"]["schema"]
    assert schema["properties"]["file"]["format"] == "binary"
