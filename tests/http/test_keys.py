"""Keys: which are believed, for what, from where, how long, and what is kept of them."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core import apikeys
from app.core.apikeys import KeyKind
from app.core.clock import Clock, rfc3339
from app.core.runtime import Runtime
from app.operators import service as operators
from app.resellers import auth
from app.resellers import service as resellers
from app.resellers.models import Mode
from app.resellers.scopes import Scope
from tests.fixtures.web import ClientFrom
from tests.fixtures.world import ResellerCaller, World
from tests.http.problems import pointers, problem
from tests.http.test_bad_input import everything_in


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def make_key(
    client: httpx.AsyncClient, caller: ResellerCaller, **body: Any
) -> httpx.Response:
    fields = {"name": "second", "scopes": ["orders:read"]} | body
    return await client.post("/v1/api-keys", json=fields, headers=caller.headers)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Basic c2FtOnNhbQ==",
        "Bearer smm_live_" + "0" * 50,
        "Bearer smm_live_" + "0" * 10_000,
        "Bearer sk_live_0000",
    ],
)
async def test_a_malformed_key_is_refused(header: str, client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/balance", headers={"Authorization": header})

    problem(answer, 401, "unauthorized")


async def test_a_key_with_one_character_changed_is_refused(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    for position in (-1, -7, -40, -45):
        letters = list(reseller.key)
        letters[position] = "a" if letters[position] != "a" else "b"
        answer = await client.get("/v1/balance", headers=bearer("".join(letters)))
        problem(answer, 401, "unauthorized")


@pytest.mark.parametrize("kind", list(KeyKind))
async def test_a_well_formed_key_that_nobody_has_is_refused(
    kind: KeyKind, client: httpx.AsyncClient, runtime: Runtime
) -> None:
    unknown = apikeys.mint(kind, runtime.keys).text

    problem(await client.get("/v1/balance", headers=bearer(unknown)), 401, "unauthorized")
    problem(await client.get("/v1/operator/orders", headers=bearer(unknown)), 401, "unauthorized")


async def test_the_right_lookup_with_another_secret_is_refused(
    client: httpx.AsyncClient, world: World, runtime: Runtime
) -> None:
    reseller = await world.reseller()
    forged = apikeys.mint(KeyKind.LIVE, runtime.keys).text
    body = reseller.key[: len("smm_live_") + 12] + forged[len("smm_live_") + 12 : -6]
    text = body + apikeys._checksum(body)
    assert apikeys.parse(text) is not None

    problem(await client.get("/v1/balance", headers=bearer(text)), 401, "unauthorized")


async def test_a_live_key_does_not_pass_for_a_test_key(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()
    body = reseller.key[:-6].replace("smm_live_", "smm_test_")

    answer = await client.get("/v1/balance", headers=bearer(body + apikeys._checksum(body)))

    problem(answer, 401, "unauthorized")


async def test_a_key_in_the_query_is_no_key(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller()
    for name in ("key", "api_key", "token", "access_token", "authorization"):
        answer = await client.get("/v1/balance", params={name: reseller.key})
        problem(answer, 401, "unauthorized")


async def test_the_scheme_is_read_in_any_case(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller()

    for scheme in ("bearer", "BEARER"):
        answer = await client.get(
            "/v1/balance", headers={"Authorization": f"{scheme}  {reseller.key} "}
        )
        assert answer.status_code == 200


@pytest.mark.policy("TOS-6")
@pytest.mark.policy("SEC-3")
async def test_a_revoked_key_dies_within_half_a_second_in_every_process(
    client: httpx.AsyncClient, world: World, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    reseller = await world.reseller()
    other = await world.key(reseller)
    assert (await client.get("/v1/balance", headers=other.headers)).status_code == 200

    revoked = await client.delete(f"/v1/api-keys/{other.key_id}", headers=reseller.headers)
    assert revoked.status_code == 204

    # Half a second passes for the remembered key.
    passed = auth.CACHE_SECONDS + 0.001
    remembered = app.state.key_cache._records
    for lookup, (at, record) in list(remembered.items()):
        remembered[lookup] = (at - passed, record)
    problem(await client.get("/v1/balance", headers=other.headers), 401, "unauthorized")
    assert auth.CACHE_SECONDS <= 0.5
    again = await client.delete(f"/v1/api-keys/{other.key_id}", headers=reseller.headers)
    assert again.status_code == 204


async def test_an_expired_key_is_refused_from_its_very_moment(
    client: httpx.AsyncClient, world: World, clock: Clock
) -> None:
    reseller = await world.reseller()
    ends = clock.now() + timedelta(hours=1)
    made = (await make_key(client, reseller, expires_at=rfc3339(ends))).json()
    assert (await client.get("/v1/balance", headers=bearer(made["key"]))).status_code == 200

    clock.move(timedelta(hours=1))

    problem(await client.get("/v1/balance", headers=bearer(made["key"])), 401, "unauthorized")


@pytest.mark.policy("TOS-3")
async def test_a_key_is_good_only_from_where_it_is_allowed(
    client: httpx.AsyncClient, client_from: ClientFrom, world: World
) -> None:
    reseller = await world.reseller()
    made = await make_key(client, reseller, allowed_cidrs=["203.0.113.0/24", "2001:db8::/32"])
    assert made.json()["allowed_cidrs"] == ["203.0.113.0/24", "2001:db8::/32"]
    key = bearer(made.json()["key"])

    for address in ("203.0.113.9", "2001:db8::7"):
        assert (await client_from(address).get("/v1/balance", headers=key)).status_code == 200
    for address in ("203.0.114.9", "2001:db9::7", "127.0.0.1", "unix"):
        answer = await client_from(address).get("/v1/balance", headers=key)
        problem(answer, 401, "unauthorized")


@pytest.mark.parametrize("cidr", ["localhost", "10.0.0.1/8", "300.0.0.1", "", "10.0.0.0/33"])
async def test_a_network_that_is_none_is_refused(
    cidr: str, client: httpx.AsyncClient, world: World
) -> None:
    answer = await make_key(client, await world.reseller(), allowed_cidrs=[cidr])

    assert pointers(problem(answer, 422, "validation-failed")) == ["/allowed_cidrs/0"]


@pytest.mark.policy("AUP-3")
@pytest.mark.usefixtures("within_a_minute")
async def test_thirty_failures_slow_an_address_but_not_its_neighbours_good_key(
    client: httpx.AsyncClient, client_from: ClientFrom, world: World
) -> None:
    reseller = await world.reseller()
    for _ in range(30):
        problem(await client.get("/v1/balance"), 401, "unauthorized")

    limited = await client.get("/v1/balance")

    problem(limited, 429, "rate-limited")
    assert 1 <= int(limited.headers["retry-after"]) <= 60
    operators_route = await client.get("/v1/operator/orders", headers=bearer("nonsense"))
    problem(operators_route, 429, "rate-limited")
    assert (await client.get("/v1/balance", headers=reseller.headers)).status_code == 200
    problem(await client_from("192.0.2.1").get("/v1/balance"), 401, "unauthorized")


@pytest.mark.policy("TOS-3")
async def test_a_key_makes_a_key_with_a_part_of_its_own_scopes(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller(scopes=[Scope.KEYS, Scope.ORDERS_READ])

    made = await make_key(client, reseller, scopes=["orders:read"])

    assert made.status_code == 201
    key = bearer(made.json()["key"])
    assert (await client.get("/v1/balance", headers=key)).status_code == 200
    problem(await client.get("/v1/api-keys", headers=key), 403, "scope-missing")
    listed = (await client.get("/v1/api-keys", headers=reseller.headers)).json()["data"]
    assert [one["id"] for one in listed] == [made.json()["id"], reseller.key_id]
    assert "key" not in listed[0]
    assert listed[0]["last4"] == apikeys.parse(made.json()["key"]).secret[-4:]  # type: ignore[union-attr]


@pytest.mark.policy("TOS-3")
@pytest.mark.refuses("createApiKey", "scope-too-wide")
@pytest.mark.refuses("rotateApiKey", "scope-too-wide")
async def test_a_key_cannot_make_or_rotate_one_that_can_more(
    client: httpx.AsyncClient, world: World
) -> None:
    strong = await world.reseller()
    weak = await world.key(strong, scopes=[Scope.KEYS, Scope.ORDERS_READ])

    made = await make_key(client, weak, scopes=["orders:read", "orders:write"])
    rotated = await client.post(
        f"/v1/api-keys/{strong.key_id}/rotate", json={}, headers=weak.headers
    )

    problem(made, 403, "scope-too-wide")
    problem(rotated, 403, "scope-too-wide")
    assert await world.count("api_keys") == 2


@pytest.mark.refuses("createApiKey", "too-many-keys")
@pytest.mark.refuses("rotateApiKey", "too-many-keys")
@pytest.mark.refuses("operatorCreateApiKey", "too-many-keys")
async def test_a_book_has_so_many_active_keys_and_no_more(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resellers, "ACTIVE_KEYS_MAX", 2)
    reseller, operator = await world.reseller(), await world.operator()
    second = await make_key(client, reseller)
    path = f"/v1/api-keys/{second.json()['id']}"

    problem(await make_key(client, reseller), 409, "too-many-keys")
    rotated = await client.post(f"{path}/rotate", json={}, headers=reseller.headers)
    problem(rotated, 409, "too-many-keys")
    by_operator = await client.post(
        f"/v1/operator/resellers/{reseller.id}/api-keys",
        json={"name": "k", "scopes": ["keys"]},
        headers=operator.headers,
    )
    problem(by_operator, 409, "too-many-keys")

    await client.delete(path, headers=reseller.headers)
    assert (await make_key(client, reseller)).status_code == 201


@pytest.mark.policy("TOS-3")
async def test_a_rotated_key_goes_on_beside_the_new_one_and_then_ends(
    client: httpx.AsyncClient, world: World, clock: Clock
) -> None:
    reseller = await world.reseller()
    old = (await make_key(client, reseller, allowed_cidrs=["127.0.0.0/8"])).json()

    rotated = await client.post(
        f"/v1/api-keys/{old['id']}/rotate", json={"overlap_hours": 2}, headers=reseller.headers
    )

    assert rotated.status_code == 201
    new = rotated.json()
    assert new["id"] != old["id"]
    for same in ("name", "scopes", "allowed_cidrs", "expires_at"):
        assert new[same] == old[same]
    for key in (old, new):
        assert (await client.get("/v1/balance", headers=bearer(key["key"]))).status_code == 200
    clock.move(timedelta(hours=2))
    problem(await client.get("/v1/balance", headers=bearer(old["key"])), 401, "unauthorized")
    assert (await client.get("/v1/balance", headers=bearer(new["key"]))).status_code == 200
    again = await client.post(f"/v1/api-keys/{old['id']}/rotate", json={}, headers=reseller.headers)
    problem(again, 404, "not-found")


async def test_a_rotation_never_prolongs_a_key(
    client: httpx.AsyncClient, world: World, clock: Clock
) -> None:
    reseller = await world.reseller()
    ends = rfc3339(clock.now() + timedelta(hours=1))
    old = (await make_key(client, reseller, expires_at=ends)).json()

    new = await client.post(
        f"/v1/api-keys/{old['id']}/rotate", json={"overlap_hours": 168}, headers=reseller.headers
    )

    listed = (await client.get("/v1/api-keys", headers=reseller.headers)).json()["data"]
    assert {one["expires_at"] for one in listed if one["id"] in {old["id"], new.json()["id"]}} == {
        old["expires_at"]
    }


@pytest.mark.parametrize("hours", [-1, 169, 1.5, "1", True, None])
async def test_an_overlap_outside_its_bounds_is_refused(
    hours: object, client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller()

    answer = await client.post(
        f"/v1/api-keys/{reseller.key_id}/rotate",
        json={"overlap_hours": hours},
        headers=reseller.headers,
    )

    assert pointers(problem(answer, 422, "validation-failed")) == ["/overlap_hours"]


@pytest.mark.parametrize(
    "scopes", [[], ["orders:everything"], ["orders:read"] * 10, "orders:read", None]
)
async def test_scopes_that_are_none_are_refused(
    scopes: object, client: httpx.AsyncClient, world: World
) -> None:
    answer = await make_key(client, await world.reseller(), scopes=scopes)

    assert pointers(problem(answer, 422, "validation-failed"))[0].startswith("/scopes")


async def test_the_keys_of_the_other_book_are_out_of_reach(
    client: httpx.AsyncClient, world: World
) -> None:
    live = await world.reseller()
    tester = await world.key(live, mode=Mode.TEST)

    listed = (await client.get("/v1/api-keys", headers=tester.headers)).json()["data"]
    other = await client.delete(f"/v1/api-keys/{live.key_id}", headers=tester.headers)

    assert [one["id"] for one in listed] == [tester.key_id]
    problem(other, 404, "not-found")
    account = (await client.get("/v1/account", headers=tester.headers)).json()
    assert account["mode"] == "test"


@pytest.mark.policy("SEC-1")
async def test_no_key_stands_in_the_database_and_each_is_shown_once(
    client: httpx.AsyncClient, world: World, runtime: Runtime
) -> None:
    reseller, operator = await world.reseller(), await world.operator()
    own = (await make_key(client, reseller)).json()["key"]
    rotated = await client.post(
        f"/v1/api-keys/{reseller.key_id}/rotate", json={}, headers=reseller.headers
    )
    by_operator = await client.post(
        f"/v1/operator/resellers/{reseller.id}/api-keys",
        json={"name": "k", "scopes": ["keys"]},
        headers=operator.headers,
    )
    of_operator = await client.post(
        f"/v1/operator/operators/{operator.id}/keys", json={"name": "k"}, headers=operator.headers
    )
    keys = [reseller.key, operator.key, own]
    keys += [answer.json()["key"] for answer in (rotated, by_operator, of_operator)]

    everything = await everything_in(runtime)

    for key in keys:
        presented = apikeys.parse(key)
        assert presented is not None
        assert presented.lookup in everything
        assert presented.secret not in everything
        assert presented.secret.encode().hex() not in everything
    listed = await client.get("/v1/api-keys", headers=reseller.headers)
    assert not any(key in listed.text for key in keys)


async def test_a_use_is_noted_at_most_once_a_minute(
    client: httpx.AsyncClient, world: World, clock: Clock, app: FastAPI
) -> None:
    reseller = await world.reseller()

    async def last_used() -> str:
        app.state.key_cache = auth.KeyCache()
        [key] = (await client.get("/v1/api-keys", headers=reseller.headers)).json()["data"]
        used: str = key["last_used_at"]
        return used

    first = await last_used()
    clock.move(timedelta(seconds=59))
    assert await last_used() == first
    clock.move(timedelta(seconds=2))
    assert await last_used() > first


async def test_an_operators_key_ends_too(
    client: httpx.AsyncClient, world: World, runtime: Runtime, clock: Clock
) -> None:
    operator = await world.operator()
    made = await client.post(
        f"/v1/operator/operators/{operator.id}/keys",
        json={"name": "short", "expires_at": rfc3339(clock.now() + timedelta(hours=1))},
        headers=operator.headers,
    )
    key = bearer(made.json()["key"])
    assert (await client.get("/v1/operator/orders", headers=key)).status_code == 200

    clock.move(timedelta(hours=1))
    problem(await client.get("/v1/operator/orders", headers=key), 401, "unauthorized")

    async with runtime.uow.begin() as session:
        person = await operators.get_public(session, operator.id)
        person.archived_at = clock.now()
        await session.flush()
    problem(await client.get("/v1/operator/orders", headers=operator.headers), 401, "unauthorized")
