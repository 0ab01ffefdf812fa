"""A shop whose orders are claimed on, and the people who decide."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.catalog.models import Service
from app.core.clock import Clock
from app.refunds.deciding import CLAIM
from app.supply.models import Provider
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import OperatorCaller, ResellerCaller, World

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
WEEK = timedelta(hours=168)


@dataclass(frozen=True, slots=True)
class Shop:
    """A reseller with a service at a simulator, and the means to claim on its orders."""

    client: httpx.AsyncClient
    world: World
    worker: Worker
    simulator: Simulator
    clock: Clock
    reseller: ResellerCaller
    provider: Provider
    service: Service

    async def order(self, **body: Any) -> int:
        """A thousand for 0.90, queued."""
        placed = await self.world.order(self.reseller, self.service, **body)
        order_id: int = placed["id"]
        return order_id

    async def running(self, *, delivered: int = 0, **body: Any) -> int:
        """An order that its provider has taken, and of which it has told that so much is done."""
        await self.simulator.speed(units_per_second=0)
        order_id = await self.order(**body)
        await self.worker.dispatch(self.provider)
        await self.delivered(order_id, delivered)
        return order_id

    async def delivered(self, order_id: int, units: int) -> None:
        """So much has the provider delivered by now; the next poll hears of it."""
        row = await self.world.row(order_id)
        taken = self.simulator.provider.orders[int(row.provider_order_id or "")]
        taken._delivered_before = units

    async def completed(self) -> int:
        order_id = await self.order()
        await self.worker.until_ended()
        return order_id

    async def file(
        self, order_id: int, reason: str = "not-delivered", **fields: Any
    ) -> httpx.Response:
        body = {"order_id": order_id, "reason": reason, "description": "Nothing came."} | fields
        return await self.client.post("/v1/refund-claims", json=body, headers=self.reseller.headers)

    async def filed(self, order_id: int, reason: str = "not-delivered") -> dict[str, Any]:
        answer = await self.file(order_id, reason)
        assert answer.status_code == 201, answer.text
        claim: dict[str, Any] = answer.json()
        return claim

    async def read(self, claim: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/refund-claims/{claim['id']}"
        answer = await self.client.get(path, headers=self.reseller.headers)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def decide(self) -> None:
        """Let the worker decide what is due."""
        await self.worker.drain(CLAIM)

    async def decided(self, claim: dict[str, Any]) -> tuple[str, str, str | None]:
        """Status, clause and refund of a claim."""
        found = await self.read(claim)
        refund = found["refund"] and found["refund"]["amount"]
        return found["status"], found["decision"]["clause"], refund

    async def balance(self) -> str:
        return str((await self.world.balance(self.reseller)).available)

    async def timeline(self, order_id: int) -> list[dict[str, Any]]:
        told = await self.client.get(f"/v1/orders/{order_id}/events", headers=self.reseller.headers)
        events: list[dict[str, Any]] = told.json()["data"]
        return events

    async def act(
        self,
        operator: OperatorCaller,
        claim: dict[str, Any],
        verb: str,
        *,
        key: str | None = None,
        **body: Any,
    ) -> httpx.Response:
        """What an operator does to a claim."""
        return await self.client.post(
            f"/v1/operator/claims/{claim['id']}/{verb}",
            json={"reason": "as the evidence shows"} | body,
            headers=operator.headers | {"Idempotency-Key": key or uuid4().hex},
        )


OpenShop = Callable[..., Awaitable[Shop]]


@pytest.fixture
def open_shop(
    client: httpx.AsyncClient, world: World, worker: Worker, simulator: Simulator, clock: Clock
) -> OpenShop:
    async def opened(*, adapter: str = "panel_v2", **fields: Any) -> Shop:
        delivers = simulator if adapter == "panel_v2" else None
        provider = await world.provider(simulator=delivers, adapter=adapter)
        service = await world.service(routes=[provider], **fields)
        reseller = await world.reseller(balance="10.00")
        return Shop(client, world, worker, simulator, clock, reseller, provider, service)

    return opened


@pytest.fixture
async def shop(open_shop: OpenShop) -> Shop:
    return await open_shop()
