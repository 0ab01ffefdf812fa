"""Clients that race, hang up and meet an API that dies: a key stands for one order."""

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.faults import peers
from tests.faults.clients import order_body
from tests.faults.stacks import WALLET_LOCK, RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180)]

IMPATIENCE_SECONDS = 0.05
HANGING_UP = 10


def balance(stack: RunningStack) -> Decimal:
    """What the reseller has, spent or held."""
    with stack.api() as client:
        told = client.get("/v1/balance").json()
    return Decimal(told["balance"]["amount"])


@pytest.mark.fault(34)
def test_an_api_killed_between_commit_and_answer_has_taken_the_order_once(
    stack: RunningStack,
) -> None:
    key, body = uuid4().hex, order_body()
    before = balance(stack)
    with peers.api(stack, spoilt="committed") as (base_url, mortal), stack.api(base_url) as client:
        with pytest.raises(httpx.TransportError):
            client.post("/v1/orders", json=body, headers={"Idempotency-Key": key})
        peers.wait_for_death(mortal, seconds=20)
    with stack.api() as client:
        answer = client.post("/v1/orders", json=body, headers={"Idempotency-Key": key})
    assert answer.status_code == 201
    assert answer.headers["Idempotency-Replayed"] == "true"
    order = answer.json()
    assert order["link"] == body["link"]
    assert before - balance(stack) == Decimal(order["charge"]["amount"])
    stack.until_over([order["id"]])


@pytest.mark.fault(35)
def test_a_client_that_hangs_up_finds_one_order_under_its_key(stack: RunningStack) -> None:
    bodies = {uuid4().hex: order_body() for _ in range(HANGING_UP)}

    async def ask_and_hang_up(client: httpx.AsyncClient, key: str) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/orders", json=bodies[key], headers={"Idempotency-Key": key})

    async def hang_up() -> None:
        headers = {"Authorization": f"Bearer {stack.ready()['reseller_key']}"}
        waits = httpx.Timeout(10, read=IMPATIENCE_SECONDS)
        async with httpx.AsyncClient(
            base_url=stack.ready()["base_url"], headers=headers, timeout=waits, trust_env=False
        ) as client:
            await asyncio.gather(*(ask_and_hang_up(client, key) for key in bodies))

    # Nobody can be answered so soon: the wallet is not to be had.
    with stack.holding(WALLET_LOCK):
        asyncio.run(hang_up())
    numbers = {}
    with stack.api() as client:
        for key, body in bodies.items():
            asked = {"json": body, "headers": {"Idempotency-Key": key}}

            def answered(key: str = key, asked: dict[str, Any] = asked) -> bool:
                answer = client.post("/v1/orders", **asked)
                # Refused while the one that was hung up on is still under way.
                assert answer.status_code in {201, 409}, answer.text
                numbers[key] = answer.json().get("id")
                return answer.is_success

            until(answered, 20, "the key is free or has its order")
    assert len(set(numbers.values())) == HANGING_UP
    stack.until_over(list(numbers.values()))


@pytest.mark.fault(36)
def test_two_hundred_orders_over_two_processes_on_a_balance_for_fifty_are_fifty(
    stack: RunningStack,
) -> None:
    ready = stack.ready()
    operator = {"Authorization": f"Bearer {ready['operator_key']}"}

    async def race() -> tuple[list[int], dict[str, str]]:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(trust_env=False, timeout=30, limits=limits) as client:
            base = ready["base_url"]

            async def post(path: str, body: object, headers: dict[str, str]) -> httpx.Response:
                headers = headers | {"Idempotency-Key": uuid4().hex}
                answer = await client.post(base + path, json=body, headers=headers)
                for _ in range(10):
                    if answer.status_code != 503:
                        break
                    # A test before this one has killed Redis: wait as told, and try again.
                    await asyncio.sleep(int(answer.headers["retry-after"]))
                    answer = await client.post(base + path, json=body, headers=headers)
                return answer

            made = await post(
                "/v1/operator/resellers",
                {"name": "Race", "email": f"{uuid4().hex}@example.com", "country": "DE"},
                operator,
            )
            assert made.status_code == 201, made.text
            reseller = made.json()["id"]
            keyed = await post(
                f"/v1/operator/resellers/{reseller}/api-keys",
                {"name": "race", "scopes": ["orders:read", "orders:write", "account"]},
                operator,
            )
            assert keyed.status_code == 201, keyed.text
            credited = await post(
                f"/v1/operator/resellers/{reseller}/credits",
                {"amount": "2.00", "note": "race"},
                operator,
            )
            assert credited.status_code == 201, credited.text
            caller = {"Authorization": f"Bearer {keyed.json()['key']}"}
            body = {"service_id": 2, "quantity": 100}

            async def order(number: int) -> int:
                answer = await client.post(
                    ready["base_urls"][number % 2] + "/v1/orders",
                    json=body | {"link": f"https://www.instagram.com/p/race-{number}"},
                    headers=caller | {"Idempotency-Key": uuid4().hex},
                )
                return answer.status_code

            codes = await asyncio.gather(*(order(number) for number in range(200)))
            balance = await client.get(base + "/v1/balance", headers=caller)
            return list(codes), balance.json()["balance"]

    codes, balance = asyncio.run(race())
    assert Counter(codes) == {201: 50, 402: 150}
    assert balance["amount"] == "0.00"
