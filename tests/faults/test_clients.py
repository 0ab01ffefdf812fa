"""Clients that race, hang up and meet an API that dies: a key stands for one order."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest

from tests.faults.stacks import RunningStack

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("faults")]


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
