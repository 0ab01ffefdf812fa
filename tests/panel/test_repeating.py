"""An order is placed once: by a key of its own, by its content within a window, in a race too."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app.catalog import service as catalog
from app.catalog.models import ServiceState
from app.core.clock import Clock
from app.core.errors import OutcomeUnknown
from app.core.runtime import Runtime
from app.panel import adding, repository
from app.resellers.models import PanelOptions
from tests.fixtures.web import OpenClient
from tests.fixtures.world import World
from tests.panel.conftest import Panel, wire_fields

WINDOW = PanelOptions(window_seconds=60)


async def test_without_either_the_same_content_is_another_order(panel: Panel, world: World) -> None:
    reseller, service = await world.reseller(), await world.service()
    assert await panel.add(reseller, service) != await panel.add(reseller, service)


async def test_an_idempotency_key_answers_the_same_order(panel: Panel, world: World) -> None:
    reseller, service = await world.reseller(), await world.service()
    first = await panel.add(reseller, service, idempotency_key="a-1")
    assert await panel.add(reseller, service, idempotency_key="a-1") == first
    assert await panel.add(reseller, service, idempotency_key="a-2") != first
    assert await world.count("orders") == 2


async def test_a_repetition_is_answered_although_the_service_is_sold_no_more(
    panel: Panel, world: World, runtime: Runtime
) -> None:
    reseller, service = await world.reseller(), await world.service()
    windowed = await world.key(reseller, panel=WINDOW)
    by_key = await panel.add(reseller, service, idempotency_key="a-1")
    by_content = await panel.add(windowed, service)
    async with runtime.uow.begin() as session:
        await catalog.change(session, service.id, {"state": ServiceState.OFF_SALE})
    assert await panel.add(reseller, service, idempotency_key="a-1") == by_key
    assert await panel.add(windowed, service) == by_content
    assert await panel.add(reseller, service) == {"error": "Incorrect service ID"}


@pytest.mark.parametrize("key", ["a b", "x" * 256, "ключ"])
async def test_a_key_that_is_none_is_an_incorrect_request(
    key: str, panel: Panel, world: World
) -> None:
    answer = await panel.add(await world.reseller(), await world.service(), idempotency_key=key)
    assert answer == {"error": "Incorrect request"}


async def test_two_books_may_use_the_same_key(panel: Panel, world: World) -> None:
    service = await world.service()
    numbers = [
        (await panel.add(await world.reseller(), service, idempotency_key="a-1"))["order"]
        for _ in range(2)
    ]
    assert len(set(numbers)) == 2


async def test_a_key_used_for_another_content_is_an_incorrect_request(
    panel: Panel, world: World
) -> None:
    reseller, service = await world.reseller(), await world.service()
    await panel.add(reseller, service, idempotency_key="a-1")
    answer = await panel.add(reseller, service, idempotency_key="a-1", quantity=500)
    assert answer == {"error": "Incorrect request"}
    assert await world.count("orders") == 1


async def test_a_refused_order_leaves_its_key_free(panel: Panel, world: World) -> None:
    reseller, service = await world.reseller(), await world.service()
    refused = await panel.add(reseller, service, idempotency_key="a-1", quantity=5)
    assert list(refused) == ["error"]
    assert list(await panel.add(reseller, service, idempotency_key="a-1")) == ["order"]


async def test_within_its_window_the_same_content_is_the_same_order(
    panel: Panel, world: World, clock: Clock
) -> None:
    reseller, service = await world.reseller(), await world.service()
    caller = await world.key(reseller, panel=WINDOW)
    first = await panel.add(caller, service)
    assert await panel.add(caller, service) == first
    assert await panel.add(caller, service, quantity=500) != first
    assert await panel.add(reseller, service) != first  # another key, without a window
    clock.move(timedelta(seconds=61))
    assert await panel.add(caller, service) != first


@pytest.mark.committing
@pytest.mark.parametrize("by_key", [True, False])
async def test_twenty_at_once_are_one_order(
    by_key: bool, world: World, another_client: OpenClient
) -> None:
    reseller, service = await world.reseller(balance="100.00"), await world.service()
    caller = await world.key(reseller, panel=PanelOptions() if by_key else WINDOW)
    doors = [Panel(await another_client()) for _ in range(2)]
    fields: dict[str, Any] = wire_fields(service)
    if by_key:
        fields["idempotency_key"] = "a-1"
    form = {"key": caller.key, "action": "add"} | fields
    answers = await asyncio.gather(
        *(doors[n % 2].client.post("/api/v2", data=form) for n in range(20))
    )
    numbers = {answer.json()["order"] for answer in answers if answer.status_code == 200}
    assert len(numbers) == 1
    assert {answer.status_code for answer in answers} <= ({200, 503} if by_key else {200})
    assert all(list(answer.json()) == ["error"] for answer in answers if answer.status_code == 503)
    assert await world.count("orders") == 1


async def test_a_commit_that_was_cut_off_is_looked_up_and_not_placed_again(
    panel: Panel, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = repository.insert
    cut_off = False

    async def insert_and_commit(session: Any, *args: Any) -> None:
        nonlocal cut_off
        await insert(session, *args)
        if not cut_off:
            cut_off = True
            await session.commit()
            raise OutcomeUnknown

    monkeypatch.setattr("app.panel.repository.insert", insert_and_commit)
    answer = await panel.add(await world.reseller(), await world.service())
    assert list(answer) == ["order"]
    assert cut_off
    assert await world.count("orders") == 1


async def test_intakes_are_forgotten_after_thirty_days(
    panel: Panel, world: World, runtime: Runtime, clock: Clock
) -> None:
    await panel.add(await world.reseller(), await world.service())
    for days, left in ((29, 1), (2, 0)):
        clock.move(timedelta(days=days))
        async with runtime.uow.begin() as session:
            await adding.forget_intakes(session)
        assert await world.count("panel_intakes") == left
