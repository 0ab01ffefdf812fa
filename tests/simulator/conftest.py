"""A simulator, its clock, and a client at its public door."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from app.simulator.application import create_app
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import Provider

LINK: Final = "https://example.com/p/1"
PACE: Final = Pace(units_per_second=10, start_delay_seconds=5)


class Simulator:
    """A simulator whose time is moved by the test."""

    def __init__(self, state_file: Path | None = None) -> None:
        self.time = 1_800_000_000.0
        self.provider = Provider(Journal(state_file), pace=PACE, now=lambda: self.time)
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=create_app(self.provider)), base_url="http://sim"
        )

    async def call(self, action: str, **fields: object) -> Any:
        answer = await self.http.post("/api/v2", data={"key": "k", "action": action, **fields})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    async def add(self, quantity: int = 100, service: int = 102, link: str = LINK) -> Any:
        return await self.call("add", service=service, link=link, quantity=quantity)

    async def order(self, **fields: Any) -> str:
        return str((await self.add(**fields))["order"])

    async def status(self, order_id: str) -> Any:
        return await self.call("status", order=order_id)

    async def control(self, method: str, name: str, body: object = None) -> httpx.Response:
        return await self.http.request(method, f"/control/{name}", json=body)

    async def faults(self, **wanted: object) -> None:
        assert (await self.control("PUT", "faults", wanted)).status_code == 200

    async def script(self, *entries: str | None) -> None:
        assert (await self.control("PUT", "script", {"next": list(entries)})).status_code == 200

    async def oracle(self, name: str = "accepted") -> list[dict[str, Any]]:
        accepted: list[dict[str, Any]] = (await self.control("GET", name)).json()
        return accepted

    async def balance(self) -> str:
        return str((await self.call("balance"))["balance"])


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    made = Simulator()
    async with made.http:
        yield made
