"""The operator's desk of the demo: reads orders over HTTP, asks simulators what they know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from app.cli.demo.world import Account, PretendProvider
from app.cli.refusals import CommandFailed
from app.core.http import AsyncClient, Bounds, HTTPError
from app.core.money import Money
from app.orders.states import ENDED, OrderState

PAGE: Final = 100
BOUNDS: Final = Bounds(connect_seconds=5.0, read_seconds=10.0, connections_max=8, keep_alive=True)
_WAIT_FOR_OPERATOR: Final = frozenset({OrderState.UNKNOWN, OrderState.NEEDS_REVIEW})


@dataclass(frozen=True, slots=True)
class SeenOrder:
    """An order as operators see it."""

    id: int
    purchase: int
    """The number that its reseller knows: its own, or that of the schedule whose run it is."""

    state: OrderState
    charge: Money
    refunded: Money
    seconds: float | None
    """From its placing to its end, once it has ended."""

    @property
    def waits_for_operator(self) -> bool:
        return self.state in _WAIT_FOR_OPERATOR

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Wallet:
    """A reseller's balance as its own API tells it."""

    available: Money
    held: Money


async def see_orders(
    client: AsyncClient, base_url: str, operator_key: str, *, at_most: int
) -> list[SeenOrder]:
    """All orders, newest first; fewer than `at_most` are expected, and no more are read."""
    seen: list[SeenOrder] = []
    cursor = ""
    for _ in range(at_most // PAGE + 2):
        page = await _get(
            client, f"{base_url}/v1/operator/orders?limit={PAGE}{cursor}", operator_key
        )
        seen.extend(_seen(item) for item in page["data"])
        if page["next_cursor"] is None:
            return seen
        cursor = f"&cursor={page['next_cursor']}"
    raise CommandFailed(f"There are more than {at_most} orders.")


async def see_wallet(client: AsyncClient, base_url: str, account: Account) -> Wallet:
    said = await _get(client, f"{base_url}/v1/balance", account.key)
    return Wallet(Money.parse(said["balance"]["amount"]), Money.parse(said["held"]["amount"]))


async def misbehave(
    client: AsyncClient, provider: PretendProvider, next_adds: Sequence[str | None]
) -> None:
    """Tell a simulator what to do wrong with the next orders that it gets."""
    url = f"{provider.control_url}/script"
    answer = await client.put(url, content=orjson.dumps({"next": list(next_adds)}))
    if not answer.is_success:
        raise CommandFailed(f"{provider.name} took no script: {answer.text}")


async def accepted_targets(client: AsyncClient, provider: PretendProvider) -> Counter[str]:
    """The oracle: how often each link or user was accepted, whatever was answered."""
    said = await _get(client, f"{provider.control_url}/accepted", None)
    return Counter(item["link"] for item in said)


async def call_counts(client: AsyncClient, provider: PretendProvider) -> Mapping[str, int]:
    """How often each action was called since the simulator started."""
    said: dict[str, int] = await _get(client, f"{provider.control_url}/calls", None)
    return said


async def _get(client: AsyncClient, url: str, key: str | None) -> Any:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    answer = await client.get(url, headers=headers)
    if not answer.is_success:
        raise HTTPError(f"GET {url} was answered {answer.status_code}")
    return orjson.loads(answer.content)


def _seen(item: Mapping[str, Any]) -> SeenOrder:
    ended = item["ended_at"]
    began = datetime.fromisoformat(item["created_at"])
    return SeenOrder(
        id=item["id"],
        purchase=item["parent_id"] or item["id"],
        state=OrderState(item["state"]),
        charge=Money.parse(item["charge"]["amount"]),
        refunded=Money.parse(item["refunded"]["amount"]),
        seconds=(datetime.fromisoformat(ended) - began).total_seconds() if ended else None,
    )
