"""Another reseller's things are absent: told apart from nothing by nobody."""

from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.runtime import Runtime
from app.resellers.models import Mode
from tests.fixtures.world import ResellerCaller, World
from tests.http.problems import problem
from tests.http.routes import RESELLERS, Guarded

IDS = ("{order_id}", "{refill_id}", "{key_id}", "{claim_id}")
WITH_IDS = [g for g in RESELLERS if any(name in g.template for name in IDS)]
NOT_OF_A_NEW_ORDER = {"createRefill", "pauseOrder", "resumeOrder"}
TAKES_A_FILE = {"createRefundClaimEvidence"}


def without_instance(answer: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    del document["instance"]
    return document


async def strangers(world: World, owner: ResellerCaller) -> list[ResellerCaller]:
    """Another reseller, and the owner's own key to its other book."""
    return [await world.reseller(), await world.key(owner, mode=Mode.TEST)]


async def ended_refill(runtime: Runtime, order_id: int) -> int:
    """A refill of this order that is over, whatever the order is like."""
    async with runtime.uow.begin() as session:
        made = await session.scalar(
            text(
                "INSERT INTO refills (order_id, book_id, provider_id, state, requested_by,"
                " created_at, ended_at) SELECT o.id, o.book_id, r.provider_id, 'completed',"
                " 'reseller:key_1', now(), now() FROM orders o JOIN service_routes r USING"
                " (service_id) WHERE o.id = :order_id RETURNING id"
            ),
            {"order_id": order_id},
        )
    return int(made or 0)


async def filed_claim(client: httpx.AsyncClient, owner: ResellerCaller, order_id: int) -> str:
    """A claim on this order that waits."""
    body = {"order_id": order_id, "reason": "not-delivered", "description": "Nothing came."}
    made = await client.post("/v1/refund-claims", json=body, headers=owner.headers)
    claim_id: str = made.json()["id"]
    return claim_id


@pytest.mark.policy("PRI-4")
@pytest.mark.policy("REF-4")
@pytest.mark.parametrize("guarded", WITH_IDS, ids=str)
async def test_anothers_id_is_answered_like_an_absent_one(
    guarded: Guarded, client: httpx.AsyncClient, world: World, runtime: Runtime
) -> None:
    owner = await world.reseller()
    order = await world.order(owner)
    refill = await ended_refill(runtime, order["id"])
    ids = {
        "order_id": order["id"],
        "refill_id": refill,
        "key_id": owner.key_id,
        "claim_id": await filed_claim(client, owner, order["id"]),
    }

    for stranger in await strangers(world, owner):
        absent = await guarded.call(client, stranger.headers)
        anothers = await guarded.call(client, stranger.headers, **ids)

        problem(anothers, 404, "not-found")
        assert without_instance(anothers) == without_instance(absent)
        assert anothers.headers.keys() == absent.headers.keys()
    answer = await guarded.call(client, owner.headers, **ids)
    refuses = NOT_OF_A_NEW_ORDER | TAKES_A_FILE
    assert answer.is_success or guarded.operation in refuses, answer.text
    assert answer.status_code != 404


async def test_lists_show_only_what_is_of_this_book(
    client: httpx.AsyncClient, world: World
) -> None:
    owner = await world.reseller()
    order = await world.order(owner, reference="mine")
    own = await client.get("/v1/orders", headers=owner.headers)
    assert [one["id"] for one in own.json()["data"]] == [order["id"]]

    for stranger in await strangers(world, owner):
        for query in ({}, {"reference": "mine"}, {"link": order["link"]}):
            listed = await client.get("/v1/orders", params=query, headers=stranger.headers)
            assert listed.json() == {"data": [], "next_cursor": None}
        transactions = (await client.get("/v1/transactions", headers=stranger.headers)).json()
        assert [one["kind"] for one in transactions["data"]] in ([], ["credit"])
        balance = (await client.get("/v1/balance", headers=stranger.headers)).json()
        assert balance["held"]["amount"] == "0.00"


def test_every_route_with_an_id_of_a_book_is_among_these() -> None:
    others = [g.template for g in RESELLERS if "{" in g.template and g not in WITH_IDS]

    assert others == ["/v1/services/{service_id}"]
