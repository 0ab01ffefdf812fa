"""Lost orders at a provider over real HTTP: found or proven absent, and each delivered once."""

from datetime import timedelta

import pytest

from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders import unresolved
from app.orders.judging import ABSENCE_AFTER
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.service import Evidence
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import RouteTo, World

TAKEN, NOT_TAKEN = "lost_reply", "http_500"


class Lost:
    """An order that its provider took, or did not take, and whose answer was lost either way."""

    def __init__(
        self, world: World, runtime: Runtime, simulator: Simulator, worker: Worker
    ) -> None:
        self._world, self.runtime = world, runtime
        self._simulator, self._worker = simulator, worker

    async def provider(self, adapter: str = "panel_v2", **declared: bool) -> Provider:
        url = self._simulator.url
        provider = await self._world.provider(
            adapter=adapter,
            base_url=url.removesuffix("/api/v2") if adapter == "smmos" else url,
            key=self._simulator.key,
        )
        async with self.runtime.uow.begin() as session:
            await supply.declare(session, provider, Evidence(**declared))
        return provider

    async def order(self, provider: Provider, fault: str | None) -> int:
        """An order that was handed over, and how that went."""
        placed = await self._world.order(
            service=await self._world.service(routes=[RouteTo(provider, cost="0.90")]),
            quantity=100,
        )
        if fault is not None:
            await self._simulator.script(fault)
        await self._worker.dispatch(provider)
        order_id: int = placed["id"]
        return order_id


@pytest.fixture
def lost(world: World, runtime: Runtime, simulator: Simulator, worker: Worker) -> Lost:
    return Lost(world, runtime, simulator, worker)


@pytest.mark.parametrize("fault", [TAKEN, NOT_TAKEN])
async def test_by_its_reference(
    lost: Lost, world: World, worker: Worker, simulator: Simulator, clock: Clock, fault: str
) -> None:
    provider = await lost.provider("smmos")
    order_id = await lost.order(provider, fault)
    assert (await world.row(order_id)).state == "unknown"
    clock.move(timedelta(minutes=2))
    await worker.reconcile()
    expected = "in_progress" if fault == TAKEN else "unknown"
    assert (await world.row(order_id)).state == expected, "absence is not proven so soon"
    clock.move(ABSENCE_AFTER)
    await worker.until_ended()
    assert (await world.row(order_id)).state == "completed"
    assert len(await simulator.accepted()) == 1


@pytest.mark.parametrize("fault", [TAKEN, NOT_TAKEN])
async def test_by_the_providers_balance(
    lost: Lost, world: World, worker: Worker, simulator: Simulator, clock: Clock, fault: str
) -> None:
    provider = await lost.provider(balance_is_proof=True)
    # A cent that shows is a digit that would show.
    answer = await simulator.control.put("/balance", json={"balance": "99.99"})
    answer.raise_for_status()
    await worker.probe()
    clock.move(timedelta(minutes=1))
    order_id = await lost.order(provider, fault)
    for _ in range(4):
        clock.move(timedelta(minutes=11))
        await worker.probe()
        await worker.reconcile()
    state = (await world.row(order_id)).state
    if fault == TAKEN:
        assert state == "unknown", "taken, but nobody knows under which id"
        async with lost.runtime.uow.begin() as session:
            [shown] = await unresolved.page(session, after=None, limit=1, unknown_hours_max=24)
        assert shown.evidence["balance"].startswith("taken")
    else:
        assert state == "queued"
        await worker.until_ended()
        assert (await world.row(order_id)).state == "completed"
    assert len(await simulator.accepted()) == 1


@pytest.mark.parametrize("fault", [TAKEN, NOT_TAKEN])
async def test_by_the_ids_around_it(
    lost: Lost, world: World, worker: Worker, simulator: Simulator, clock: Clock, fault: str
) -> None:
    provider = await lost.provider(may_probe_ids=True)
    await lost.order(provider, None)
    clock.move(timedelta(minutes=1))
    order_id = await lost.order(provider, fault)
    clock.move(ABSENCE_AFTER + timedelta(minutes=1))
    await lost.order(provider, None)
    clock.move(timedelta(minutes=1))
    await worker.reconcile()
    assert (await world.row(order_id)).state == ("in_progress" if fault == TAKEN else "queued")
    await worker.until_ended()
    assert (await world.row(order_id)).state == "completed"
    assert len(await simulator.accepted()) == 3


async def test_a_provider_that_does_not_answer_is_asked_again_later(
    lost: Lost, world: World, worker: Worker, simulator: Simulator, clock: Clock
) -> None:
    provider = await lost.provider("smmos")
    order_id = await lost.order(provider, TAKEN)
    async with lost.runtime.uow.begin() as session:
        await supply.change_address(session, provider, "http://127.0.0.1:9")
    clock.move(timedelta(minutes=2))
    await worker.reconcile()
    assert (await world.row(order_id)).state == "unknown"
    async with lost.runtime.uow.begin() as session:
        await supply.change_address(session, provider, simulator.url.removesuffix("/api/v2"))
    clock.move(timedelta(minutes=11))
    await worker.reconcile()
    assert (await world.row(order_id)).state == "in_progress"
