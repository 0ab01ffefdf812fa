"""Another reseller's things are absent: told apart from nothing by nobody."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.core.runtime import Runtime
from app.main import openapi_documents
from app.resellers.models import Mode
from tests.fixtures.world import ResellerCaller, World
from tests.http.problems import problem
from tests.http.routes import ABSENT, RESELLERS, Guarded

Made = Callable[["Owned"], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Owned:
    """A reseller who owns something, and what makes more of it."""

    reseller: ResellerCaller
    world: World
    runtime: Runtime
    client: httpx.AsyncClient


async def an_order(owned: Owned) -> object:
    return (await owned.world.order(owned.reseller))["id"]


async def a_schedule(owned: Owned) -> object:
    return (await owned.world.order(owned.reseller, runs=2, interval_minutes=60))["id"]


async def a_refill(owned: Owned) -> object:
    order = await owned.world.order(owned.reseller)
    return await ended_refill(owned.runtime, order["id"])


async def a_key(owned: Owned) -> object:
    return owned.reseller.key_id


async def a_claim(owned: Owned) -> object:
    order = await owned.world.order(owned.reseller)
    body = {"order_id": order["id"], "reason": "not-delivered", "description": "Nothing came."}
    made = await owned.client.post("/v1/refund-claims", json=body, headers=owned.reseller.headers)
    return made.json()["id"]


MAKE: dict[str, list[Made]] = {
    "order_id": [an_order, a_schedule],
    "refill_id": [a_refill],
    "key_id": [a_key],
    "claim_id": [a_claim],
}
"""Everything that the id of a path or a query can name and that is a book's own."""

EVERYBODYS = {"service_id"}
"""Ids of what all resellers are shown."""

NOT_OF_A_NEW_ORDER = {"createRefill", "pauseOrder", "resumeOrder"}
TAKES_A_FILE = {"createRefundClaimEvidence"}
IDS_IN_PATHS = {name for g in RESELLERS for name in re.findall(r"{(\w+)}", g.template)}
CASES = [
    pytest.param(guarded, name, make, id=f"{guarded}-{make.__name__}")
    for guarded in RESELLERS
    for name in re.findall(r"{(\w+)}", guarded.template)
    for make in MAKE.get(name, ())
]
FILTERS = [
    pytest.param(path, parameter["name"], make, id=f"{path}-{make.__name__}")
    for path, operations in openapi_documents()["openapi.yaml"]["paths"].items()
    for parameter in operations.get("get", {}).get("parameters", ())
    if parameter["in"] == "query"
    for make in MAKE.get(parameter["name"], ())
]


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


@pytest.mark.policy("PRI-4")
@pytest.mark.policy("REF-4")
@pytest.mark.parametrize(("guarded", "name", "make"), CASES)
async def test_anothers_id_is_answered_like_an_absent_one(
    guarded: Guarded,
    name: str,
    make: Made,
    client: httpx.AsyncClient,
    world: World,
    runtime: Runtime,
) -> None:
    owner = await world.reseller()
    ids = {name: await make(Owned(owner, world, runtime, client))}

    for stranger in await strangers(world, owner):
        absent = await guarded.call(client, stranger.headers)
        anothers = await guarded.call(client, stranger.headers, **ids)

        problem(anothers, 404, "not-found")
        assert without_instance(anothers) == without_instance(absent)
        assert anothers.headers.keys() == absent.headers.keys()
    answer = await guarded.call(client, owner.headers, **ids)
    refuses = NOT_OF_A_NEW_ORDER | TAKES_A_FILE
    assert answer.is_success or guarded.operation in refuses, answer.text
    # A schedule is refilled run by run; its own number names no order that could be.
    assert answer.status_code != 404 or (guarded.operation, make) == ("createRefill", a_schedule)


@pytest.mark.policy("PRI-4")
@pytest.mark.parametrize(("path", "name", "make"), FILTERS)
async def test_a_list_filtered_by_anothers_id_is_that_of_an_absent_one(
    path: str,
    name: str,
    make: Made,
    client: httpx.AsyncClient,
    world: World,
    runtime: Runtime,
) -> None:
    owner = await world.reseller()
    anothers = await make(Owned(owner, world, runtime, client))

    for stranger in await strangers(world, owner):
        answers = [
            await client.get(path, params={name: str(value)}, headers=stranger.headers)
            for value in (anothers, ABSENT[name])
        ]
        assert [answer.json() for answer in answers] == [{"data": [], "next_cursor": None}] * 2


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


def test_every_id_in_a_path_is_somebodys_who_is_tried_here_or_everybodys() -> None:
    assert MAKE.keys() | EVERYBODYS == IDS_IN_PATHS
