"""Refund claims of the demo: filed on orders of every fate, decided by rule or at the desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.cli.demo.office import SeenOrder
from app.cli.demo.posting import post
from app.cli.demo.shop import Placed
from app.cli.demo.world import World
from app.core.http import AsyncClient
from app.orders.states import OrderState

APPROVED_IN_PART: Final = "0.001"
"""No order costs less."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A claim on an order in a state, and what is to become of it."""

    reason: str
    state: OrderState
    expected: str
    at_the_desk: bool = False


WISHES: Final = (
    Wish("drop", OrderState.COMPLETED, "refused"),
    Wish("not-delivered", OrderState.COMPLETED, "refused"),
    Wish("not-delivered", OrderState.PARTIAL, "refused"),
    Wish("not-delivered", OrderState.UNKNOWN, "awaiting_deadline"),
    Wish("not-as-described", OrderState.COMPLETED, "approved", at_the_desk=True),
)


@dataclass(frozen=True, slots=True)
class SeenClaim:
    """What became of a claim, as its reseller reads it."""

    wish: Wish
    order_id: int
    status: str
    clause: str
    words: str


async def claim_some(
    client: AsyncClient,
    base_url: str,
    world: World,
    placed: Sequence[Placed],
    seen: Sequence[SeenOrder],
) -> list[SeenClaim]:
    """One claim for each wish that an order is there for, none on the same order twice."""
    claims = []
    for wish, order in _fitting(placed, {one.id: one.state for one in seen}):
        key = world.accounts[order.reseller].key
        filing = {"order_id": order.id, "reason": wish.reason, "description": "As seen today."}
        filed = (await post(client, f"{base_url}/v1/refund-claims", key=key, body=filing)).body
        if wish.at_the_desk:
            await _approve(client, base_url, world, filed["id"])
        answer = await client.get(
            f"{base_url}/v1/refund-claims/{filed['id']}", headers={"Authorization": f"Bearer {key}"}
        )
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        told = found["decision"]
        claims.append(SeenClaim(wish, order.id, found["status"], told["clause"], told["words"]))
    return claims


def _fitting(
    placed: Sequence[Placed], states: dict[int, OrderState]
) -> Iterator[tuple[Wish, Placed]]:
    free = [one for one in placed if one.id in states]
    for wish in WISHES:
        for order in free:
            if states[order.id] is wish.state:
                free.remove(order)
                yield wish, order
                break


async def _approve(client: AsyncClient, base_url: str, world: World, claim_id: str) -> None:
    url = f"{base_url}/v1/operator/claims/{claim_id}/approve"
    body = {"amount": APPROVED_IN_PART, "reason": "As the picture shows."}
    await post(client, url, key=world.operator_key, body=body)
