"""The pace of callers: what the headers say, what Redis counts, and what holds without it."""

import httpx
import pytest
from fastapi import FastAPI

from app.web.limits import RateLimiter
from tests.fixtures.world import World, order_body
from tests.http.conftest import ChangeStanding
from tests.http.problems import problem

pytestmark = pytest.mark.usefixtures("within_a_minute")

NOBODY_LISTENS = "redis://127.0.0.1:9/0"


@pytest.fixture
def redis_away(app: FastAPI) -> None:
    """The limiter of this test finds no Redis."""
    app.state.limiter = RateLimiter(NOBODY_LISTENS)


@pytest.mark.policy("TOS-5")
async def test_every_answer_says_how_much_is_left(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller(limits={"money-read": 3})

    answers = [await client.get("/v1/balance", headers=reseller.headers) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"money-read";q=3;w=60'}
    left = [answer.headers["ratelimit"].split(";")[:2] for answer in answers]
    assert left == [['"money-read"', f"r={remaining}"] for remaining in (2, 1, 0, 0)]
    for answer in answers:
        seconds = int(answer.headers["ratelimit"].split("t=")[1])
        assert 1 <= seconds <= 60
    assert answers[3].headers["retry-after"] == answers[3].headers["ratelimit"].split("t=")[1]
    assert "retry-after" not in answers[0].headers


async def test_groups_and_keys_are_counted_apart(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller(limits={"money-read": 1})
    other_key = await world.key(reseller)

    for key in (reseller, other_key):
        assert (await client.get("/v1/balance", headers=key.headers)).status_code == 200
        problem(await client.get("/v1/transactions", headers=key.headers), 429, "rate-limited")
        assert (await client.get("/v1/orders", headers=key.headers)).status_code == 200


async def test_a_refused_call_counts_too(client: httpx.AsyncClient, world: World) -> None:
    reseller = await world.reseller(scopes=["keys"], limits={"money-read": 1})  # type: ignore[list-item]

    problem(await client.get("/v1/balance", headers=reseller.headers), 403, "scope-missing")
    problem(await client.get("/v1/balance", headers=reseller.headers), 429, "rate-limited")


@pytest.mark.policy("TOS-5")
async def test_a_limited_account_goes_at_a_tenth_of_its_pace(
    client: httpx.AsyncClient, world: World, change_standing: ChangeStanding
) -> None:
    reseller = await world.reseller(limits={"money-read": 30})
    await change_standing(reseller.reseller_id, "limited")

    answer = await client.get("/v1/balance", headers=reseller.headers)

    assert answer.headers["ratelimit-policy"] == '"money-read";q=3;w=60'


async def test_two_processes_count_together(
    client: httpx.AsyncClient, app: FastAPI, world: World
) -> None:
    reseller = await world.reseller(limits={"money-read": 2})
    ours: RateLimiter = app.state.limiter
    other = RateLimiter(app.state.runtime.settings.redis_url.get_secret_value())
    statuses = []
    for limiter in (ours, other, ours):
        app.state.limiter = limiter
        statuses.append((await client.get("/v1/balance", headers=reseller.headers)).status_code)
    await other.close()

    assert statuses == [200, 200, 429]


@pytest.mark.usefixtures("redis_away")
async def test_without_redis_this_process_counts_for_itself(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller = await world.reseller(limits={"money-read": 2, "orders-write": 1})
    service = await world.service()

    statuses = [
        (await client.get("/v1/balance", headers=reseller.headers)).status_code for _ in range(3)
    ]
    order = await world.order(reseller, service)
    second = await client.post(
        "/v1/orders",
        json=order_body(service),
        headers=reseller.headers | {"Idempotency-Key": "k"},
    )

    assert statuses == [200, 200, 429]
    assert order["status"] == "queued"
    problem(second, 429, "rate-limited")


@pytest.mark.usefixtures("redis_away")
async def test_without_redis_operators_move_no_money(
    client: httpx.AsyncClient, world: World
) -> None:
    reseller, operator = await world.reseller(), await world.operator()
    order = await world.order(reseller)

    credit = await client.post(
        f"/v1/operator/resellers/{reseller.id}/credits",
        json={"amount": "5.00", "note": "n"},
        headers=operator.headers | {"Idempotency-Key": "k"},
    )
    resolved = await client.post(
        f"/v1/operator/orders/{order['id']}/resolve",
        json={"outcome": "written_off", "reason": "r"},
        headers=operator.headers | {"Idempotency-Key": "k"},
    )
    read = await client.get(f"/v1/operator/orders/{order['id']}", headers=operator.headers)

    problem(credit, 503, "unavailable")
    problem(resolved, 503, "unavailable")
    assert read.status_code == 200


@pytest.mark.usefixtures("redis_away")
async def test_without_redis_failed_sign_ins_are_still_limited(client: httpx.AsyncClient) -> None:
    statuses = [(await client.get("/v1/balance")).status_code for _ in range(31)]

    assert statuses == [401] * 30 + [429]
