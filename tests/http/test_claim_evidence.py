"""Evidence by the public door: what a claim takes, what it refuses, and who may open it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import OutcomeUnknown
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.files import receiving
from app.files import router as files_router
from app.files.models import StoredFile
from app.files.service import COLLECT, parse_file_id
from app.refunds import evidence, service
from app.refunds.evidence import FILES_MAX
from tests.files.samples import pdf, png, zipped
from tests.fixtures.world import World
from tests.http.problems import pointers, problem
from tests.refunds.conftest import Shop, open_shop, shop

__all__ = ["open_shop", "shop"]

MEGABYTE = 1_048_576
UPLOAD = "createRefundClaimEvidence"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"files_book_bytes_max": 6 * MEGABYTE})


@dataclass(frozen=True, slots=True)
class Exhibit:
    """An open claim, and the means to send files with it."""

    shop: Shop
    claim: dict[str, Any]

    async def send(
        self, data: bytes, name: str = "a.png", declared: str = "image/png", **options: Any
    ) -> httpx.Response:
        return await self.post(files={"file": (name, data, declared)}, **options)

    async def post(self, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        path = f"/v1/refund-claims/{self.claim['id']}/evidence"
        mine = self.shop.reseller.headers | (headers or {})
        return await self.shop.client.post(path, headers=mine, **body)


@pytest.fixture
async def exhibit(shop: Shop) -> Exhibit:
    files_router.limiter.reset()
    return Exhibit(shop, await shop.filed(await shop.order(), "not-as-described"))


@pytest.mark.policy("REF-2")
async def test_evidence_is_kept_with_its_hash_and_opens_for_both_sides_by_signed_link(
    exhibit: Exhibit, world: World
) -> None:
    sent = await exhibit.send(png(), "screen.png")
    assert sent.status_code == 201, sent.text
    again = await exhibit.send(png(), "screen.png")
    assert again.json()["id"] == sent.json()["id"]
    await exhibit.send(pdf(), "letter.pdf", "application/pdf")

    shop = exhibit.shop
    mine = (await shop.read(exhibit.claim))["evidence"]
    operator = await world.operator()
    path = f"/v1/operator/claims/{exhibit.claim['id']}"
    theirs = (await shop.client.get(path, headers=operator.headers)).json()["evidence"]
    assert [one["name"] for one in mine] == ["screen.png", "letter.pdf"]
    assert [one["sha256"] for one in theirs] == [one["sha256"] for one in mine]
    for one, content in zip(theirs, (png(), pdf()), strict=True):
        assert (await shop.client.get(one["url"])).content == content


async def test_a_file_whose_commit_was_cut_off_is_added_and_told_once(
    exhibit: Exhibit, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach = evidence.attach
    cut_off = False

    async def attach_and_commit(session: Session, *args: Any, **options: Any) -> StoredFile:
        nonlocal cut_off
        attached = await attach(session, *args, **options)
        if not cut_off:
            cut_off = True
            await session.commit()
            raise OutcomeUnknown
        return attached

    monkeypatch.setattr(evidence, "attach", attach_and_commit)
    assert (await exhibit.send(png())).status_code == 201

    found = await exhibit.shop.read(exhibit.claim)
    assert cut_off
    assert len(found["evidence"]) == 1
    assert [event["type"] for event in found["events"]].count("evidence_added") == 1


async def test_evidence_is_removed_long_after_its_claim_was_closed_and_its_hash_stays(
    exhibit: Exhibit, world: World
) -> None:
    shop, days = exhibit.shop, timedelta(days=180)
    url = (await exhibit.send(png(), "screen.png")).json()["url"]
    hashed = (await shop.read(exhibit.claim))["evidence"][0]["sha256"]
    shop.clock.move(days)
    await shop.worker.upkeep()  # which never touches an open claim
    await shop.act(await world.operator(), exhibit.claim, "refuse")
    shop.clock.move(days - timedelta(minutes=5))
    await shop.worker.upkeep()
    assert len((await shop.read(exhibit.claim))["evidence"]) == 1

    shop.clock.move(timedelta(minutes=5))
    await shop.worker.upkeep()
    await shop.worker.until_idle(COLLECT)

    found = await shop.read(exhibit.claim)
    assert found["evidence"] == []
    assert [event["type"] for event in found["events"]] == [
        *("filed", "under_review", "evidence_added", "refused", "evidence_removed")
    ]
    assert f"SHA-256 {hashed}" in found["events"][2]["words"]
    assert await world.count("files") == 0
    assert (await shop.client.get(url)).status_code == 403


async def test_a_link_that_has_expired_or_was_altered_opens_nothing(exhibit: Exhibit) -> None:
    client, url = exhibit.shop.client, (await exhibit.send(png())).json()["url"]
    problem(await client.get(url + "A"), 403, "file-link-invalid")
    problem(await client.get(url.replace("expires=", "expires=9")), 403, "file-link-invalid")
    exhibit.shop.clock.move(timedelta(seconds=302))
    problem(await client.get(url), 403, "file-link-expired")


@pytest.mark.parametrize(
    ("data", "name", "declared", "code"),
    [
        pytest.param(*case, marks=pytest.mark.refuses(UPLOAD, case[-1]), id=label)
        for label, case in {
            "lies-about-its-type": (png(), "a.jpg", "image/jpeg", "file-type-mismatch"),
            "is-an-archive": (zipped(), "a.png", "image/png", "file-type-refused"),
            "is-a-bomb": (png(100_000, 100_000), "a.png", "image/png", "file-type-refused"),
            "names-a-path": (png(), "../../etc/a.png", "image/png", "file-name-refused"),
        }.items()
    ],
)
async def test_a_file_that_is_not_what_it_should_be_is_refused_and_not_kept(
    data: bytes, name: str, declared: str, code: str, exhibit: Exhibit, world: World
) -> None:
    refused = await exhibit.send(data, name, declared)
    assert pointers(problem(refused, 422, code)) == ["/file"]
    assert await world.count("files") == 0


class Endless:
    """Fifty megabytes of a multipart body, which counts what is asked of it."""

    def __init__(self) -> None:
        self.asked = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        while self.asked < 50 * MEGABYTE:
            self.asked += 65_536
            yield b"a" * 65_536
        yield b"\r\n--b--\r\n"


@pytest.mark.refuses(UPLOAD, "file-too-large")
async def test_fifty_megabytes_are_refused_while_they_come(exhibit: Exhibit) -> None:
    body = Endless()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = await exhibit.post(content=body, headers=headers)
    problem(refused, 413, "file-too-large")
    assert body.asked <= 6 * MEGABYTE


@pytest.mark.refuses(UPLOAD, "upload-too-slow")
@pytest.mark.parametrize("bound", ["UPLOAD_SECONDS_MAX", "SILENT_SECONDS_MAX"])
async def test_a_body_that_does_not_come_is_not_waited_for(
    bound: str, exhibit: Exhibit, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, bound, 0.1)

    async def halting() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\na'
        await asyncio.Event().wait()

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = await exhibit.post(content=halting(), headers=headers)

    assert "0.1 " in problem(refused, 408, "upload-too-slow")["detail"]
    assert refused.headers["connection"] == "close"
    assert await world.count("files") == 0


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        pytest.param(*case, marks=pytest.mark.refuses(UPLOAD, case[-1]), id=case[-1])
        for case in (
            (b"{}", "application/json", 415, "upload-expected"),
            (b"--b\r\nno header", "multipart/form-data; boundary=b", 400, "upload-malformed"),
            (
                b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
                "multipart/form-data; boundary=b",
                422,
                "upload-field-refused",
            ),
        )
    ],
)
async def test_a_body_that_is_no_upload_is_refused(
    content: bytes, content_type: str, status: int, code: str, exhibit: Exhibit
) -> None:
    refused = await exhibit.post(content=content, headers={"Content-Type": content_type})
    problem(refused, status, code)


@pytest.mark.refuses(UPLOAD, "storage-quota-reached")
async def test_an_account_has_room_for_so_much(exhibit: Exhibit) -> None:
    first = await exhibit.send(b"a" * 4 * MEGABYTE, "a.txt", "text/plain")
    second = await exhibit.send(b"b" * 4 * MEGABYTE, "b.txt", "text/plain")
    assert first.status_code == 201
    problem(second, 409, "storage-quota-reached")


@pytest.mark.refuses(UPLOAD, "too-many-files")
async def test_a_claim_takes_so_many_files(exhibit: Exhibit) -> None:
    for number in range(FILES_MAX):
        assert (await exhibit.send(f"{number}".encode(), "a.txt", "text/plain")).status_code == 201
    problem(await exhibit.send(b"one more", "a.txt", "text/plain"), 409, "too-many-files")


async def test_a_file_whose_commit_was_cut_off_is_told_of_once(
    exhibit: Exhibit, runtime: Runtime
) -> None:
    """As whoever cannot know whether it was made makes the transaction again."""
    file_id = parse_file_id((await exhibit.send(png())).json()["id"])
    claim_id = service.id_of(exhibit.claim["id"])
    async with runtime.uow.begin() as session:
        file = await session.get_one(StoredFile, file_id)
        await evidence.attach(session, claim_id, file, actor=Actor("reseller", "key_1"))
    events = (await exhibit.shop.read(exhibit.claim))["events"]
    assert [event["type"] for event in events].count("evidence_added") == 1


@pytest.mark.refuses(UPLOAD, "claim-state-conflict")
async def test_a_closed_claim_takes_no_evidence(exhibit: Exhibit) -> None:
    path = f"/v1/refund-claims/{exhibit.claim['id']}/withdraw"
    await exhibit.shop.client.post(path, headers=exhibit.shop.reseller.headers)
    problem(await exhibit.send(png()), 409, "claim-state-conflict")


async def test_nobody_adds_to_anothers_claim(exhibit: Exhibit, world: World) -> None:
    other = await world.reseller()
    path = f"/v1/refund-claims/{exhibit.claim['id']}/evidence"
    refused = await exhibit.shop.client.post(
        path, files={"file": ("a.png", png(), "image/png")}, headers=other.headers
    )
    problem(refused, 404, "not-found")
