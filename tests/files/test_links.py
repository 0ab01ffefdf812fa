"""A link opens one file for a few minutes; any other one opens nothing."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from app.core.clock import Clock
from app.core.crypto import KeyRing, new_master_key
from app.core.ids import new_id
from app.core.runtime import Runtime
from app.files import router, service, signed_links
from app.files.errors import FileLinkInvalid
from tests.files.conftest import RowOf, Uploads
from tests.files.samples import png
from tests.http.problems import problem


@pytest.fixture
async def sent(uploads: Uploads) -> dict[str, Any]:
    """A file that was attached, and a fresh link to it."""
    return await uploads.sent(png())


async def test_a_link_is_good_for_five_minutes_and_then_has_expired(
    client: httpx.AsyncClient, sent: dict[str, Any], clock: Clock
) -> None:
    clock.move(timedelta(seconds=298))
    assert (await client.get(sent["url"])).status_code == 200

    clock.move(timedelta(seconds=4))
    problem(await client.get(sent["url"]), 403, "file-link-expired")


@pytest.mark.parametrize(
    "altered",
    [
        lambda url: url.replace("expires=", "expires=9"),
        lambda url: url[:-1] + ("A" if url[-1] != "A" else "B"),
        lambda url: url + "A",
        lambda url: url.partition("&")[0],
        lambda url: url.partition("?")[0],
        lambda url: url.replace("fil_", "fil_0", 1),
        lambda url: url.partition("fil_")[0] + "fil_" + new_id().hex + "?" + url.partition("?")[2],
        lambda url: url.partition("?")[0] + "?expires=soon&signature=%00",
        lambda url: url.partition("?")[0] + "?expires=1&signature=%D1%84",
    ],
    ids=[
        "later",
        "last letter",
        "longer",
        "no signature",
        "no parameters",
        "no id",
        "another id",
        "no number",
        "no letters",
    ],
)
async def test_an_altered_link_opens_nothing(
    client: httpx.AsyncClient, sent: dict[str, Any], altered: Any
) -> None:
    problem(await client.get(altered(sent["url"])), 403, "file-link-invalid")


async def test_a_parameter_of_endless_length_is_refused(
    client: httpx.AsyncClient, sent: dict[str, Any]
) -> None:
    problem(await client.get(sent["url"] + "A" * 1000), 422, "validation-failed")


def test_a_link_outlives_a_rotation_while_its_key_is_configured(clock: Clock) -> None:
    old, new = new_master_key(), new_master_key()
    file_id, now = new_id(), clock.now()
    path = signed_links.link(KeyRing([old]), file_id, now=now, seconds=60).path
    query = parse_qs(urlsplit(path).query)
    [expires], [signature] = query["expires"], query["signature"]

    signed_links.check(KeyRing([new, old]), file_id, expires, signature, now=now)
    with pytest.raises(FileLinkInvalid):
        signed_links.check(KeyRing([new]), file_id, expires, signature, now=now)


async def test_a_deleted_file_is_gone_at_once(
    client: httpx.AsyncClient, sent: dict[str, Any], runtime: Runtime, row_of: RowOf
) -> None:
    row = await row_of(sent)
    assert row is not None
    async with runtime.uow.begin() as session:
        await service.delete(session, [row.id])

    problem(await client.get(sent["url"]), 404, "not-found")


async def test_a_file_that_belongs_to_nothing_yet_has_no_link_that_opens_it(
    client: httpx.AsyncClient, uploads: Uploads, runtime: Runtime
) -> None:
    facts = service.FileFacts("a.png", "image/png", 1, b"\0" * 32)
    async with runtime.uow.begin() as session:
        file = await service.announce(
            session, facts, book_id=uploads.reseller.book_id, purpose="thing", book_bytes_max=10
        )
    url = signed_links.link(runtime.keys, file.id, now=runtime.clock.now(), seconds=60).path

    problem(await client.get(url), 404, "not-found")


async def test_a_file_whose_bytes_were_lost_is_not_found(
    client: httpx.AsyncClient, sent: dict[str, Any], runtime: Runtime, row_of: RowOf
) -> None:
    row = await row_of(sent)
    assert row is not None
    (runtime.settings.files_folder / row.storage_key).unlink()

    problem(await client.get(sent["url"]), 404, "not-found")


@pytest.mark.usefixtures("within_a_minute")
async def test_an_address_that_guesses_at_links_is_told_to_wait(
    client: httpx.AsyncClient, uploads: Uploads
) -> None:
    guess = f"/v1/files/fil_{new_id().hex}?expires=1&signature=guess"
    allowed = int(router.FILES_PER_MINUTE.partition("/")[0])
    statuses = [(await client.get(guess)).status_code for _ in range(allowed + 1)]

    assert statuses == [403] * allowed + [429]
