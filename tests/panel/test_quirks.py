"""What real clients of API v2 do, one by one: the server bears it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.errors import Unavailable
from app.core.idempotency import IdempotencyInFlight
from app.core.runtime import Runtime
from app.orders.form_fields import COMMENTS_MAX
from app.orders.inputs import open_form
from app.panel.router import BODY_BYTES_MAX
from app.providers.forms import ServiceType
from app.resellers.models import PanelOptions, Standing
from app.resellers.service import NO_PANEL_OPTIONS
from app.web.limits import RateLimiter
from tests.fixtures.web import ClientFrom
from tests.fixtures.world import ResellerCaller, World
from tests.http.conftest import ChangeStanding, change_standing  # noqa: F401 - a fixture
from tests.panel.conftest import PATH, Panel, said, wire_fields


def part(disposition: bytes, content: bytes = b"1") -> bytes:
    """A multipart body of one part."""
    head = b"Content-Disposition: form-data; " + disposition
    return b"--x\r\n" + head + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


BROKEN: list[tuple[str, bytes]] = [
    ("application/json", b"{"),
    ("application/json", b'{"a": NaN}'),
    ("application/json", b'{"a": {"b": 1}}'),
    ("application/json", b"[" * 50_000),
    ("application/json", b'{"key": ' + b"9" * 5000 + b"}"),
    ("application/json", b'{"key": "k", "action": "\\ud800"}'),
    ("application/json", b'{"key": "k", "action": "\\u0000"}'),
    ("application/x-www-form-urlencoded", b"key=%00"),
    ("application/x-www-form-urlencoded", b"key=%FF"),
    ("application/x-www-form-urlencoded", b"&".join(b"f%d=1" % n for n in range(200))),
    ("multipart/form-data", b"no boundary"),
    ("multipart/form-data; boundary=x", b"--x\r\nbroken"),
    (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="key"; filename="k"\r\n\r\n1\r\n--x--\r\n',
    ),
    ("multipart/form-data; boundary=x", part(b"name*=no\x00pe''key")),
    ("multipart/form-data; boundary=x", part(b'name="key" ' + b"(" * 1000)),
    (
        "multipart/form-data; boundary=x",
        part(b'name="key"\r\nContent-Transfer-Encoding: base64', b"YWN0aW9u"),
    ),
    ("", b"\x00\x01\x02"),
]
COSTLY: list[bytes] = [
    part(b'name="key"' + b";" * 30_000),
    part(b'name="key"\r\nContent-Type: text/plain' + b"; a*0=b" * 5_000),
    b"".join(part(b'name="key"' + b";" * 900)[:-7] for _ in range(90)) + b"--x--\r\n",
]
"""Heads of parts that a parser of e-mails reads for minutes."""


async def post(client: httpx.AsyncClient, path: str = PATH, **request: Any) -> Any:
    return said(await client.post(path, **request))


class TestBodies:
    """Bodies come as form, multipart and JSON, with texts or numbers in them."""

    async def test_a_form_multipart_and_json_place_the_same_order(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="100.00"), await world.service()
        fields = {"key": reseller.key, "action": "add", **wire_fields(service)}
        texts = {name: str(value) for name, value in fields.items()}
        numbers = fields | {"service": service.id, "quantity": 1000}
        for request in (
            {"data": texts},
            {"files": {name: (None, value) for name, value in texts.items()}},
            {"json": texts},
            {"json": numbers},
            {"json": numbers | {"quantity": 1000.0}},
            {"content": httpx.Request("POST", "http://x", json=numbers).content},
        ):
            assert list(await post(client, **request)) == ["order"]
        rows = [await world.row(n) for n in await _numbers(client, reseller)]
        assert len(rows) == 6
        assert {(row.service_id, row.quantity, row.charge) for row in rows} == {
            (service.id, 1000, 900_000)
        }

    @pytest.mark.parametrize("line_end", ["\r\n", "\n"])
    async def test_lines_and_letters_of_any_script_come_through_in_each(
        self, line_end: str, client: httpx.AsyncClient, world: World, runtime: Runtime
    ) -> None:
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, min_quantity=2)
        reseller = await world.reseller()
        said_lines = ("Très joli", "很好", "= & % +")
        fields = {"key": reseller.key, "action": "add", **wire_fields(service)}
        texts = {name: str(value) for name, value in fields.items()}
        texts["comments"] = line_end.join(said_lines)
        for request in (
            {"data": texts},
            {"files": {name: (None, value) for name, value in texts.items()}},
            {"json": texts},
            {"json": texts | {"comments": said_lines}},
        ):
            number = (await post(client, **request))["order"]
            assert await _comments(runtime, number) == said_lines

    @pytest.mark.parametrize(("content_type", "body"), BROKEN)
    async def test_a_body_that_is_broken_is_an_incorrect_request(
        self, content_type: str, body: bytes, client: httpx.AsyncClient
    ) -> None:
        headers = {"Content-Type": content_type}
        answer = await post(client, content=body, headers=headers)
        assert answer in ({"error": "Incorrect request"}, {"error": "Invalid API key"})

    @pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
    async def test_a_form_may_be_written_by_hand(
        self, line_end: bytes, client: httpx.AsyncClient, world: World
    ) -> None:
        texts = {"key": (await world.reseller()).key, "action": "balance"}
        lines = [
            line
            for name, said_of_it in texts.items()
            for line in ("--x", f"content-disposition:form-data;name={name}", "", said_of_it)
        ]
        body = line_end.join(line.encode() for line in ["a preamble", *lines, "--x--"])
        headers = {"Content-Type": 'Multipart/Form-Data; boundary="x"; charset=UTF-8'}
        assert "balance" in await post(client, content=body, headers=headers)

    @pytest.mark.parametrize("body", COSTLY)
    async def test_a_body_of_anybody_takes_no_time_to_be_read(
        self, body: bytes, client: httpx.AsyncClient
    ) -> None:
        began = time.process_time()
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await post(client, content=body, headers=headers)
        assert answer in ({"error": "Incorrect request"}, {"error": "Invalid API key"})
        assert time.process_time() - began < 2

    @pytest.mark.parametrize("odd", [{"text": "Great"}, ["Great"]])
    async def test_nothing_in_a_list_is_left_out_without_a_word(
        self, odd: object, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, min_quantity=1)
        fields = {"key": reseller.key, "action": "add", **wire_fields(service)}
        answer = await post(client, json=fields | {"comments": ["Nice", odd, "Super"]})
        assert answer == {"error": "Incorrect request"}
        assert await world.count("orders") == 0

    async def test_a_thousand_comments_in_any_script_fit(
        self, panel: Panel, world: World, runtime: Runtime
    ) -> None:
        reseller = await world.reseller(balance="100.00")
        service = await world.service(type=ServiceType.CUSTOM_COMMENTS, max_quantity=COMMENTS_MAX)
        comments = ["Отличная работа, так держать! 🔥"] * COMMENTS_MAX
        answer = await panel.add(reseller, service, comments=comments)
        assert await _comments(runtime, answer["order"]) == tuple(comments)

    async def test_a_body_above_its_limit_is_not_read_to_its_end(
        self, client: httpx.AsyncClient
    ) -> None:
        too_long = b"key=" + b"x" * BODY_BYTES_MAX
        assert await post(client, content=too_long) == {"error": "Incorrect request"}
        read = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal read
            for _ in range(1000):
                read += 8192
                yield b"x" * 8192

        assert await post(client, content=endless()) == {"error": "Incorrect request"}
        assert read <= 2 * BODY_BYTES_MAX
        lied = {"Content-Length": "9" * 30}
        assert await post(client, content=b"x", headers=lied) == {"error": "Incorrect request"}

    @pytest.mark.parametrize("nothing", ["", "undefined", "null"])
    async def test_what_says_nothing_counts_as_absent(
        self, nothing: str, panel: Panel, world: World
    ) -> None:
        fields = wire_fields(await world.service()) | dict.fromkeys(
            ("comments", "runs", "interval", "idempotency_key"), nothing
        )
        assert list(await panel(await world.reseller(), "add", **fields)) == ["order"]


class TestPaths:
    """A trailing slash works and nothing on this path ever redirects."""

    async def test_a_trailing_slash_is_the_same_door(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        form = {"key": reseller.key, "action": "balance"}
        for path in ("/api/v2", "/api/v2/"):
            assert "balance" in await post(client, path, data=form)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
    @pytest.mark.parametrize("path", ["/api/v2", "/api/v2/"])
    async def test_no_other_method_redirects_or_fails(
        self, method: str, path: str, client: httpx.AsyncClient
    ) -> None:
        answer = await client.request(method, path)
        assert answer.status_code == 200
        assert "location" not in answer.headers
        assert method == "HEAD" or list(answer.json()) == ["error"]

    async def test_get_is_for_keys_that_opted_in(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        opted_in = await world.key(reseller, panel=PanelOptions(get_allowed=True))
        for caller, told in ((reseller, "error"), (opted_in, "balance")):
            query = {"key": caller.key, "action": "balance"}
            assert told in said(await client.get(PATH, params=query))

    async def test_a_head_request_places_nothing(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        opted_in = await world.key(reseller, panel=PanelOptions(get_allowed=True))
        query = {"key": opted_in.key, "action": "add", **wire_fields(service)}
        assert (await client.head(PATH, params=query)).status_code == 200
        assert await world.count("orders") == 0

    async def test_ancient_clients_are_refused_for_nothing(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        form = {"key": (await world.reseller()).key, "action": "balance"}
        for agent in ("Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)", ""):
            headers = {"User-Agent": agent, "Accept": "text/html", "Expect": ""}
            assert "balance" in await post(client, data=form, headers=headers)

    async def test_action_names_and_spaces_are_taken_as_they_come(
        self, panel: Panel, world: World
    ) -> None:
        assert "balance" in await panel(await world.reseller(), " Balance ")


class TestIds:
    """Lists of ids, in one field or the other."""

    async def test_a_comma_list_in_order_is_a_list(self, panel: Panel, world: World) -> None:
        reseller, service = await world.reseller(), await world.service()
        numbers = [(await panel.add(reseller, service))["order"] for _ in range(2)]
        for ids in (f"{numbers[0]},{numbers[1]}", f" {numbers[0]}, {numbers[1]} ,"):
            told = await panel(reseller, "status", order=ids)
            assert list(told) == [str(number) for number in numbers]

    async def test_one_id_in_orders_is_a_list_of_one(self, panel: Panel, world: World) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service()))["order"]
        assert list(await panel(reseller, "status", orders=number)) == [str(number)]

    async def test_a_json_array_of_ids_is_a_list(
        self, client: httpx.AsyncClient, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service()))["order"]
        body = {"key": reseller.key, "action": "status", "orders": [number, 5]}
        assert list(await post(client, json=body)) == [str(number), "5"]

    async def test_an_order_number_is_a_safe_integer_and_the_same_as_in_v1(
        self, client: httpx.AsyncClient, panel: Panel, world: World
    ) -> None:
        reseller = await world.reseller()
        number = (await panel.add(reseller, await world.service()))["order"]
        assert 0 < number < 2**53
        assert await _numbers(client, reseller) == [number]

    async def test_ids_beyond_what_a_double_holds_are_none_of_ours(
        self, panel: Panel, world: World
    ) -> None:
        reseller, bad = await world.reseller(), {"error": "Incorrect order ID"}
        told = await panel(reseller, "status", orders=f"{2**53},{'9' * 40},-1,1.5")
        assert told == dict.fromkeys((str(2**53), "9" * 40, "-1", "1.5"), bad)
        assert await panel(reseller, "cancel", orders="x" * 50) == [
            {"order": "x" * 20, "cancel": bad}
        ]

    @pytest.mark.parametrize("action", ["status", "refill", "refill_status", "cancel"])
    async def test_no_id_at_all_is_an_incorrect_request(
        self, action: str, panel: Panel, world: World
    ) -> None:
        for fields in ({}, {"order": " , "}, {"orders": ""}):
            told = await panel(await world.reseller(), action, **fields)
            assert told == {"error": "Incorrect request"}


@pytest.mark.usefixtures("within_a_minute")
class TestLimits:
    """Limits are 429, with the same one key, and nothing is read for who comes too fast."""

    async def test_a_key_has_its_own_pace(self, client: httpx.AsyncClient, world: World) -> None:
        reseller = await world.reseller(limits={"panel": 2})
        form = {"key": reseller.key, "action": "balance"}
        for _ in range(2):
            assert "balance" in await post(client, data=form)
        answer = await client.post(PATH, data=form)
        assert said(answer, 429) == {"error": "Too many requests, wait and try again"}
        assert int(answer.headers["retry-after"]) >= 1
        assert "RateLimit" in answer.headers

    async def test_an_address_is_slowed_before_its_body_is_read(
        self, app: FastAPI, client_from: ClientFrom, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = client_from("203.0.113.9")
        per_minute = 1200
        form = {"key": "nope", "action": "balance"}

        async def hit(*_args: Any, **_kwargs: Any) -> Any:
            raise AssertionError("the key was looked at")

        limiter: RateLimiter = app.state.limiter
        for _ in range(per_minute):
            await limiter.hit_local("203.0.113.9", "panel-address", per_minute=per_minute)
        monkeypatch.setattr("app.panel.router._recognise", hit)
        said(await client.post(PATH, data=form), 429)

    async def test_bad_keys_from_one_address_are_told_to_wait(
        self, client_from: ClientFrom
    ) -> None:
        client = client_from("203.0.113.10")
        statuses = [
            (await client.post(PATH, data={"key": "nope", "action": "balance"})).status_code
            for _ in range(40)
        ]
        assert statuses[0] == 200
        assert statuses[-1] == 429

    @pytest.mark.parametrize("trouble", [Unavailable, IdempotencyInFlight, ZeroDivisionError])
    async def test_trouble_of_ours_is_503_in_one_key(
        self,
        trouble: type[Exception],
        client: httpx.AsyncClient,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        form = {"key": (await world.reseller()).key, "action": "balance"}

        async def away(*_args: Any, **_kwargs: Any) -> Any:
            raise trouble

        monkeypatch.setattr("app.panel.actions.ledger.balance", away)
        answer = await client.post(PATH, data=form)
        assert list(said(answer, 503)) == ["error"]
        assert "retry-after" in answer.headers


class TestStanding:
    """An account that may not trade may still look and cancel."""

    async def test_a_suspended_account_places_nothing_and_cancels(
        self,
        panel: Panel,
        world: World,
        change_standing: ChangeStanding,  # noqa: F811 - the fixture
    ) -> None:
        reseller, service = await world.reseller(), await world.service()
        number = (await panel.add(reseller, service))["order"]
        await change_standing(reseller.reseller_id, Standing.SUSPENDED)
        fresh = await world.key(reseller, panel=NO_PANEL_OPTIONS)
        assert await panel.add(fresh, service) == {
            "error": "This account may not do that in its present standing"
        }
        assert await panel(fresh, "cancel", orders=number) == [{"order": number, "cancel": 1}]


class TestKeys:
    """What a key may ask of this wire is set when it is made, shown, and kept by its successor."""

    async def test_a_key_is_made_with_its_options_and_handed_on_with_them(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        wanted = {"get_allowed": True, "window_seconds": 30}
        body = {"name": "old shop", "scopes": ["orders:read"], "panel": wanted}

        made = await client.post("/v1/api-keys", json=body, headers=reseller.headers)
        rotated = await client.post(
            f"/v1/api-keys/{made.json()['id']}/rotate", json={}, headers=reseller.headers
        )
        listed = await client.get("/v1/api-keys", headers=reseller.headers)

        assert (made.status_code, rotated.status_code) == (201, 201)
        assert [made.json()["panel"], rotated.json()["panel"]] == [wanted, wanted]
        off = {"get_allowed": False, "window_seconds": 0}
        assert [key["panel"] for key in listed.json()["data"]] == [wanted, wanted, off]

    @pytest.mark.parametrize("seconds", [-1, 86_401, "30"])
    async def test_a_window_is_a_number_of_seconds_up_to_a_day(
        self, seconds: Any, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        body = {"name": "k", "scopes": ["keys"], "panel": {"window_seconds": seconds}}
        answer = await client.post("/v1/api-keys", json=body, headers=reseller.headers)
        assert answer.status_code == 422


async def _comments(runtime: Runtime, number: int) -> tuple[str, ...]:
    """What an order tells its provider to post."""
    async with runtime.uow.begin() as session:
        sealed = await session.scalar(
            text("SELECT sealed FROM order_inputs WHERE order_id = :number"), {"number": number}
        )
    assert isinstance(sealed, bytes)
    return open_form(runtime.keys, number, sealed).comments


async def _numbers(client: httpx.AsyncClient, reseller: ResellerCaller) -> list[int]:
    listed = await client.get("/v1/orders", headers=reseller.headers)
    return [order["id"] for order in listed.json()["data"]]
