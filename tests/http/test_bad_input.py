"""Input that is wrong in every way we could think of: a refusal of its own, and never a row."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.core.runtime import Runtime
from app.web.fields import SAFE_INTEGER_MAX
from tests.fixtures.world import LINK, World, order_body
from tests.http.problems import pointers, problem
from tests.http.routes import Guarded, that_refuse

CANARY = "c4n4ry"
HUGE = "1" + "0" * 400

# A body's field, its JSON text, and the refusal's status, code and field.
FIELDS: list[tuple[str, str, int, str, str | None]] = [
    ("quantity", "1.5", 422, "validation-failed", "/quantity"),
    ("quantity", "100.0", 422, "validation-failed", "/quantity"),
    ("quantity", f'"{CANARY}"', 422, "validation-failed", "/quantity"),
    ("quantity", '"5"', 422, "validation-failed", "/quantity"),
    ("quantity", "true", 422, "validation-failed", "/quantity"),
    ("quantity", "[100]", 422, "validation-failed", "/quantity"),
    ("quantity", "0", 422, "validation-failed", "/quantity"),
    ("quantity", "-1", 422, "validation-failed", "/quantity"),
    ("quantity", str(SAFE_INTEGER_MAX), 422, "invalid-input", "/quantity"),
    ("quantity", str(SAFE_INTEGER_MAX + 1), 422, "validation-failed", "/quantity"),
    ("quantity", HUGE, 422, "validation-failed", "/quantity"),
    ("quantity", "-" + HUGE, 422, "validation-failed", "/quantity"),
    ("quantity", "1e400", 422, "validation-failed", "/quantity"),
    ("quantity", "1e3", 422, "validation-failed", "/quantity"),
    ("quantity", "NaN", 400, "body-malformed", None),
    ("quantity", "Infinity", 400, "body-malformed", None),
    ("quantity", "-Infinity", 400, "body-malformed", None),
    ("quantity", "9" * 5000, 400, "body-malformed", None),
    ("quantity", "0x10", 400, "body-malformed", None),
    ("service_id", "null", 422, "validation-failed", "/service_id"),
    ("service_id", "999999999", 422, "service-unknown", "/service_id"),
    ("service_id", "-1", 422, "validation-failed", "/service_id"),
    ("service_id", HUGE, 422, "validation-failed", "/service_id"),
    ("link", "null", 422, "validation-failed", "/link"),
    ("link", "7", 422, "validation-failed", "/link"),
    ("link", '""', 422, "validation-failed", "/link"),
    ("link", f'"{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"javascript:alert({CANARY!r})"', 422, "validation-failed", "/link"),
    ("link", f'"data:text/html,{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"ftp://example.com/{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"//example.com/{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https:///{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://[{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com:99999/{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com:0/{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://{CANARY}:pass@example.com/"', 422, "validation-failed", "/link"),
    ("link", f'"https://{CANARY}@example.com/"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/a b{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'" https://example.com/{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/\\n{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/\\u0000{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/\\ud800{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/\\u202e{CANARY}"', 422, "validation-failed", "/link"),
    ("link", f'"https://example.com/{"a" * 2029}"', 422, "validation-failed", "/link"),
    ("reference", f'"{CANARY}@example.com"', 422, "validation-failed", "/reference"),
    (
        "reference",
        f'"order for {CANARY}@example.com, urgent"',
        422,
        "validation-failed",
        "/reference",
    ),
    ("reference", '""', 422, "validation-failed", "/reference"),
    ("reference", '"   "', 422, "validation-failed", "/reference"),
    ("reference", f'"{"r" * 129}"', 422, "validation-failed", "/reference"),
    ("reference", f'"{CANARY}\\u0000"', 422, "validation-failed", "/reference"),
    ("reference", f'"{CANARY}\\udfff"', 422, "validation-failed", "/reference"),
    ("reference", f'"{CANARY}\\nsecond line"', 422, "validation-failed", "/reference"),
    ("reference", "12", 422, "validation-failed", "/reference"),
    ("comments", "[]", 422, "validation-failed", "/comments"),
    ("comments", '"one"', 422, "validation-failed", "/comments"),
    ("comments", f'["{CANARY}", ""]', 422, "validation-failed", "/comments/1"),
    ("comments", f'["{CANARY}\\n"]', 422, "validation-failed", "/comments/0"),
    ("comments", f'["{"c" * 501}"]', 422, "validation-failed", "/comments/0"),
    ("comments", json.dumps(["c"] * 1001), 422, "validation-failed", "/comments"),
    ("coupon", f'"{CANARY}"', 422, "validation-failed", "/coupon"),
    ("id", "7", 422, "validation-failed", "/id"),
]


def _shown(case: tuple[str, str, int, str, str | None]) -> str:
    field, value, *_ = case
    return f"{field}={value[:40]}".encode("unicode_escape").decode()


@pytest.mark.policy("PRI-5")
@pytest.mark.policy("DPA-1")
@pytest.mark.parametrize(
    ("field", "value", "status", "code", "pointer"), FIELDS, ids=[_shown(case) for case in FIELDS]
)
async def test_a_bad_field_is_refused_by_its_name(
    field: str,
    value: str,
    status: int,
    code: str,
    pointer: str | None,
    client: httpx.AsyncClient,
    world: World,
) -> None:
    reseller, service = await world.reseller(), await world.service()
    members = {name: json.dumps(kept) for name, kept in order_body(service).items()}
    members[field] = value
    text = "{" + ", ".join(f'"{name}": {kept}' for name, kept in members.items()) + "}"

    answer = await send(client, reseller.headers, text.encode())

    document = problem(answer, status, code)
    if pointer is not None:
        assert pointers(document) == [pointer]
    assert CANARY not in answer.text
    await nothing_was_made(world)


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "validation-failed"),
    "blanks": (b"   ", 400, "body-malformed"),
    "null": (b"null", 422, "validation-failed"),
    "an array": (b"[]", 422, "validation-failed"),
    "a string": (f'"{CANARY}"'.encode(), 422, "validation-failed"),
    "a number": (b"7", 422, "validation-failed"),
    "an empty object": (b"{}", 422, "validation-failed"),
    "cut off": (f'{{"link": "{CANARY}'.encode(), 400, "body-malformed"),
    "two values": (b"{} {}", 400, "body-malformed"),
    "a comment": (b"{} // hello", 400, "body-malformed"),
    "a trailing comma": (b'{"quantity": 1,}', 400, "body-malformed"),
    "a name twice": (b'{"quantity": 1, "quantity": 2}', 400, "body-malformed"),
    "a name twice, inside": (b'{"a": [{"b": 1, "b": 2}]}', 400, "body-malformed"),
    "a byte order mark": (b'\xef\xbb\xbf{"quantity": 1}', 400, "body-malformed"),
    "utf-16": ('{"quantity": 1}'.encode("utf-16"), 400, "body-malformed"),
    "broken utf-8": (b'{"link": "\xff\xfe"}', 400, "body-malformed"),
    "an overlong surrogate": (b'{"link": "\xed\xa0\x80"}', 400, "body-malformed"),
    "a raw control character": (b'{"link": "a\x00b"}', 400, "body-malformed"),
    "arrays without a bottom": (b"[" * 30_000 + b"]" * 30_000, 400, "body-malformed"),
    "objects without a bottom": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400, "body-malformed"),
    "deep, but with a bottom": (b"[" * 200 + b"]" * 200, 422, "validation-failed"),
    "a name that is no text": (b'{"\\ud800": 1}', 422, "validation-failed"),
    "a form": (b"service_id=1&quantity=5", 400, "body-malformed"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused(name: str, client: httpx.AsyncClient, world: World) -> None:
    content, status, code = BODIES[name]
    reseller = await world.reseller()

    answer = await send(client, reseller.headers, content)

    problem(answer, status, code)
    assert CANARY not in answer.text
    await nothing_was_made(world)


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_another_content_type_is_refused(
    content_type: str, client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    content = json.dumps(order_body(service)).encode()

    answer = await send(client, reseller.headers, content, content_type=content_type)

    problem(answer, 415, "content-type-unsupported")
    await nothing_was_made(world)


async def test_a_body_over_the_limit_is_refused_by_its_length_without_being_read(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1000
            yield b" " * 1000

    headers = reseller.headers | {"Content-Length": "100000"}
    answer = await client.post(
        "/v1/orders", content=body(), headers=headers | {"Idempotency-Key": "k"}
    )

    problem(answer, 413, "body-too-large")
    assert read == 0


async def test_a_chunked_body_is_read_up_to_the_limit_and_no_further(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(1000):
            read += 1000
            yield b" " * 1000

    answer = await client.post(
        "/v1/orders", content=body(), headers=reseller.headers | {"Idempotency-Key": "k"}
    )

    problem(answer, 413, "body-too-large")
    assert read == 66_000


@pytest.mark.parametrize("length", ["9" * 30, "-1", "abc", "9" * 5000, "٣"])
async def test_an_odd_content_length_changes_nothing(
    length: str, client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    headers = [(name.encode(), value.encode()) for name, value in reseller.headers.items()]
    headers += [(b"content-length", length.encode()), (b"content-type", b"application/json")]

    answer = await client.post("/v1/orders", content=b"{}", headers=headers)

    assert answer.status_code in {413, 422}


@pytest.mark.parametrize("text", ["مرحبا-123", "שלום", "ordre-é", "🙂" * 128, "a" * 128])
async def test_text_of_every_script_is_accepted(
    text: str, client: httpx.AsyncClient, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    link = f"https://example.com/{text[:20]}?q={text[:20]}"
    body = order_body(service, reference=text, link=link)

    answer = await client.post(
        "/v1/orders", json=body, headers=reseller.headers | {"Idempotency-Key": "k"}
    )

    assert answer.status_code == 201
    assert (answer.json()["reference"], answer.json()["link"]) == (text, link)


async def test_a_link_of_2048_characters_is_accepted(
    client: httpx.AsyncClient, world: World
) -> None:
    link = LINK + "/" + "a" * (2047 - len(LINK))
    assert len(link) == 2048

    assert (await world.order(link=link))["link"] == link


@pytest.mark.policy("PRI-4")
async def test_what_identifies_people_is_not_readable_in_the_database(
    world: World, runtime: Runtime
) -> None:
    await world.order(link=f"https://example.com/{CANARY}")

    assert CANARY not in await everything_in(runtime)


CURSORS = [
    "broken",
    "%00",
    "é",
    "A" * 512,
    "A" * 513,
    "A" * 1024,
    "=" * 8,
    "-_-_",
    "",
    "AAAAAAAAAAAAAAAAAAAAAAAAWzFd",
]


@pytest.mark.parametrize("guarded", that_refuse("cursor-invalid"))
async def test_a_cursor_that_is_not_ours_is_refused(
    guarded: Guarded, client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    order = await world.order(reseller)
    operator = await world.operator()
    caller = operator if guarded.is_operators else reseller
    path = guarded.path(order_id=order["id"], reseller_id=reseller.id, operator_id=operator.id)
    for cursor in CURSORS:
        answer = await client.get(path, params={"cursor": cursor}, headers=caller.headers)

        problem(answer, 400, "cursor-invalid")


async def test_a_cursor_that_is_too_long_to_be_one_breaks_the_rule_of_its_field(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()

    answer = await client.get("/v1/orders", params={"cursor": "A" * 1025}, headers=reseller.headers)

    assert pointers(problem(answer, 422, "validation-failed")) == ["cursor"]


async def test_a_cursor_opens_only_the_list_the_filter_and_the_book_it_was_made_for(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, other = await world.reseller(), await world.reseller()
    service = await world.service()
    for _ in range(2):
        await world.order(reseller, service)
        await world.order(other, service)
    page = await client.get("/v1/orders", params={"limit": 1}, headers=reseller.headers)
    cursor = page.json()["next_cursor"]

    own = await client.get("/v1/orders", params={"cursor": cursor}, headers=reseller.headers)
    assert own.status_code == 200
    foreign = await client.get("/v1/orders", params={"cursor": cursor}, headers=other.headers)
    problem(foreign, 400, "cursor-invalid")
    for path, params in (
        ("/v1/orders", {"status": "queued"}),
        ("/v1/transactions", {}),
        ("/v1/services", {}),
        ("/v1/api-keys", {}),
    ):
        answer = await client.get(
            path, params={**params, "cursor": cursor}, headers=reseller.headers
        )
        problem(answer, 400, "cursor-invalid")


QUERIES: list[tuple[str, str, str]] = [
    ("/v1/orders", "status", CANARY),
    ("/v1/orders", "service_id", "0"),
    ("/v1/orders", "service_id", HUGE),
    ("/v1/orders", "service_id", "9" * 5000),
    ("/v1/orders", "reference", f"{CANARY}\x00"),
    ("/v1/orders", "reference", "r" * 129),
    ("/v1/orders", "link", CANARY),
    ("/v1/orders", "link", "https://[c4n4ry"),
    ("/v1/orders", "created_from", CANARY),
    ("/v1/orders", "created_from", "2026-01-01T00:00:00"),
    ("/v1/orders", "created_from", "99999999999999999999"),
    ("/v1/orders", "misspelt", CANARY),
    ("/v1/orders", "limit", "101"),
    ("/v1/orders", "limit", "-1"),
    ("/v1/orders", "limit", "1.5"),
    ("/v1/orders", "limit", CANARY),
    ("/v1/orders", "limit", "9" * 5000),
    ("/v1/transactions", "limit", "101"),
    ("/v1/services", "limit", "0"),
]


@pytest.mark.parametrize(("path", "name", "value"), QUERIES)
async def test_a_bad_parameter_is_refused_by_its_name(
    path: str, name: str, value: str, client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()

    answer = await client.get(path, params={name: value}, headers=reseller.headers)

    assert pointers(problem(answer, 422, "validation-failed")) == [name]
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "moment",
    [
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "-1",
    ],
)
async def test_a_moment_at_the_ends_of_time_is_no_surprise(
    moment: str, client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    for name in ("created_from", "created_to"):
        answer = await client.get("/v1/orders", params={name: moment}, headers=reseller.headers)
        assert answer.status_code in {200, 422}, answer.text
    made = await client.post(
        "/v1/api-keys",
        json={"name": "k", "scopes": ["orders:read"], "expires_at": moment},
        headers=reseller.headers,
    )
    assert made.status_code in {201, 422}, made.text


async def test_a_route_that_there_is_not_is_a_problem_too(client: httpx.AsyncClient) -> None:
    problem(await client.get("/v1/nothing"), 404, "route-unknown")
    problem(await client.get("/v1/orders/"), 404, "route-unknown")
    wrong = await client.put("/v1/orders")
    problem(wrong, 405, "method-not-allowed")
    assert wrong.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("moment", ["0.5", "1700000000", "2026-11-23", "yesterday"])
async def test_a_time_is_text_as_rfc_3339_writes_it_and_no_count_of_seconds(
    client: httpx.AsyncClient, world: World, moment: str
) -> None:
    reseller = await world.reseller()
    answer = await client.get(
        "/v1/orders", params={"created_from": moment}, headers=reseller.headers
    )
    assert pointers(problem(answer, 422, "validation-failed")) == ["created_from"]
    body = {"name": "k", "scopes": ["orders:read"], "expires_at": 1.0}
    made = await client.post("/v1/api-keys", json=body, headers=reseller.headers)
    assert pointers(problem(made, 422, "validation-failed")) == ["/expires_at"]


async def test_a_surprise_tells_nothing_but_its_request_id(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: object, **_facts: object) -> None:
        raise RuntimeError(CANARY)

    reseller = await world.reseller()
    monkeypatch.setattr("app.orders.service.page", fail)

    answer = await client.get(
        "/v1/orders", headers=reseller.headers | {"X-Request-Id": "my-request-7"}
    )

    document = problem(answer, 500, "internal-error")
    assert document["instance"] == "urn:smmos:request:my-request-7"
    assert CANARY not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("given", ["short", "x" * 65, "with blank", 'quo"te--', ""])
async def test_an_odd_request_id_is_replaced_by_one_of_ours(
    given: str, client: httpx.AsyncClient
) -> None:
    answer = await client.get("/livez", headers={"X-Request-Id": given})

    assert len(answer.headers["x-request-id"]) == 32


async def send(
    client: httpx.AsyncClient,
    headers: dict[str, str],
    content: bytes,
    *,
    content_type: str = "application/json",
) -> httpx.Response:
    more = {"Content-Type": content_type, "Idempotency-Key": "a-key"}
    return await client.post("/v1/orders", content=content, headers=headers | more)


async def nothing_was_made(world: World) -> None:
    for table in ("orders", "order_inputs", "order_events", "idempotency_keys"):
        assert await world.count(table) == 0


async def everything_in(runtime: Runtime) -> str:
    """Every row of every table, as text."""
    return str(await rows_of_every_table(runtime))


async def rows_of_every_table(runtime: Runtime) -> list[Any]:
    from sqlalchemy import text  # noqa: PLC0415

    async with runtime.uow.begin() as session:
        tables = await session.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        )
        return [
            row
            for table in tables
            for row in await session.scalars(text(f'SELECT t::text FROM "{table}" t'))  # noqa: S608
        ]
