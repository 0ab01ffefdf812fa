"""A reseller's shop system: places orders over HTTP, each once, however often it must repeat."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from app.cli.demo.posting import post
from app.cli.demo.shopping import Errand
from app.cli.demo.world import Account
from app.core.http import AsyncClient, Bounds, bounded_client
from app.core.money import Money

CONCURRENT: Final = 8
_CREATED: Final = 201
_BOUNDS: Final = Bounds(
    connect_seconds=5.0, read_seconds=30.0, connections_max=2 * CONCURRENT, keep_alive=True
)


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was accepted, as its reseller was told; of a schedule with its runs.

    `target` is what it acts on: a link, or the user that a subscription watches.
    """

    id: int
    reseller: int
    service: int
    target: str
    charge: Money
    runs: int = 1


@dataclass(slots=True)
class Receipts:
    """What came of the errands so far."""

    placed: list[Placed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    single_seconds: list[float] = field(default_factory=list)
    repeated: int = 0


async def place_all(
    base_url: str, accounts: Sequence[Account], errands: Sequence[Errand], receipts: Receipts
) -> None:
    """Run all errands, a few at a time, each exactly once however often it has to be repeated."""
    waiting = iter(errands)
    async with bounded_client(_BOUNDS) as client:
        shop = _Shop(client, base_url, accounts, receipts)
        await asyncio.gather(*(shop.run(waiting) for _ in range(CONCURRENT)))


@dataclass(frozen=True, slots=True)
class _Shop:
    client: AsyncClient
    base_url: str
    accounts: Sequence[Account]
    receipts: Receipts

    async def run(self, waiting: Iterator[Errand]) -> None:
        for errand in waiting:
            if errand.is_batch:
                answer = await self._post("/v1/orders/batch", errand, {"orders": errand.orders})
                for item in answer["data"]:
                    self._note(errand, item["order"], item["problem"])
            else:
                self._note(errand, await self._post("/v1/orders", errand, errand.orders[0]), None)

    def _note(
        self, errand: Errand, order: dict[str, Any] | None, problem: dict[str, Any] | None
    ) -> None:
        if order is None:
            self.receipts.refused.append(str((problem or {}).get("code")))
            return
        charge = Money.parse(order["charge"]["amount"])
        target = order["link"] or errand.orders[0]["username"]
        runs = order["runs"]["total"] if order["runs"] else 1
        service = order["service_id"]
        placed = Placed(order["id"], errand.reseller, service, target, charge, runs)
        self.receipts.placed.append(placed)

    async def _post(self, path: str, errand: Errand, body: dict[str, Any]) -> dict[str, Any]:
        key = self.accounts[errand.reseller].key
        answer = await post(self.client, self.base_url + path, key=key, body=body)
        self.receipts.repeated += answer.repeated
        if answer.status == _CREATED:
            self.receipts.single_seconds.append(answer.seconds)
        return answer.body
