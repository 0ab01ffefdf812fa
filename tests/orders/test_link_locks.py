"""One running order per link and provider service: who waits, who is woken, who is refused."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.catalog.models import Service
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders import dispatch, link_locks, outcomes, placing, resolving, sweeping
from app.orders.dispatch import Batch
from app.orders.errors import LinkBusy
from app.orders.hand_settlement import Settlement
from app.orders.judging import ABSENCE_AFTER
from app.orders.link_locks import look_again_after
from app.orders.models import Order
from app.orders.pricing import NewOrder
from app.orders.states import OrderState
from app.providers.forms import OrderForm
from app.providers.protocol import (
    NotSent,
    ProviderState,
    RefusalKind,
    SubmitOutcome,
    Unconfirmed,
)
from app.supply.models import Provider
from tests.fixtures.supplying import Worker
from tests.fixtures.world import RouteTo, World
from tests.orders.conftest import RESELLER, Desk, accepted, progress, refused

LINK = "https://example.com/one-profile"
OPERATOR = Actor("operator", "opr_1")
LOST = Unconfirmed("ReadTimeout")


async def locks(runtime: Runtime) -> list[int]:
    async with runtime.uow.begin() as session:
        return list(await session.scalars(text("SELECT order_id FROM link_locks ORDER BY 1")))


async def two_on_one_link(
    world: World, desk: Desk, say: SubmitOutcome | None = None
) -> tuple[Provider, Service, int, int]:
    """The first was handed over, with this answer; the second was looked at and waits."""
    provider = await world.provider()
    service = await world.service(routes=[provider])
    first = await world.order(service=service, link=LINK)
    await desk.submit(provider, say or accepted)
    second = await world.order(service=service, link=LINK)
    batch = await desk.lease(provider)
    assert isinstance(batch, Batch)
    assert batch.handovers == ()
    return provider, service, first["id"], second["id"]


async def test_a_later_order_on_the_same_link_waits_and_runs_once_the_first_has_ended(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider, _, first, second = await two_on_one_link(world, desk)
    waiting = await world.row(second)
    assert (waiting.state, waiting.wait_reason) == ("queued", "link_busy")
    assert await desk.attempts(second) == []
    assert await locks(runtime) == [first]
    await desk.hear(provider, progress(ProviderState.COMPLETED))
    assert await locks(runtime) == []
    # Woken by the end of the first, without any time having passed.
    await desk.submit(provider)
    running = await world.row(second)
    assert (running.state, running.wait_reason) == ("in_progress", None)
    assert await locks(runtime) == [second]


async def test_of_several_leased_together_only_the_first_placed_gets_the_link(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    placed = [(await world.order(service=service, link=LINK))["id"] for _ in range(3)]
    other = (await world.order(service=service))["id"]
    batch = await desk.send(provider)
    assert sorted(h.order_id for h in batch.handovers) == sorted([placed[0], other])
    await desk.record(batch, accepted)
    for order_id in placed[1:]:
        assert (await world.row(order_id)).wait_reason == "link_busy"


async def test_those_who_wait_run_in_the_order_in_which_they_were_placed(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider, service, _, second = await two_on_one_link(world, desk)
    third = (await world.order(service=service, link=LINK))["id"]
    assert isinstance(await desk.lease(provider), Batch)
    clock.move(timedelta(seconds=20))
    newcomer = (await world.order(service=service, link=LINK))["id"]
    ran = []
    for _ in range(3):
        await desk.hear(provider, progress(ProviderState.COMPLETED))
        batch = await desk.send(provider)
        ran += [handover.order_id for handover in batch.handovers]
        await desk.record(batch, accepted)
    assert ran == [second, third, newcomer]


async def test_an_order_that_waits_is_looked_at_ever_less_often_and_spends_no_calls(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider, _, _, second = await two_on_one_link(world, desk)
    waits = []
    for _ in range(4):
        due = (await desk.work_of(second))["dispatch"].due_at
        waits.append(round((due - clock.now()).total_seconds()))
        assert await desk.lease(provider) is None
        clock.move(due - clock.now())
        assert isinstance(await desk.lease(provider), Batch)
    assert waits == [60, 120, 240, 480]
    assert look_again_after(1000) == timedelta(minutes=8)
    assert (await desk.provider(provider)).budget_submits == 0


async def test_links_are_apart_per_provider_service_and_free_where_it_does_not_ask_for_that(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    likes = await world.service(routes=[RouteTo(provider, provider_service="101")])
    views = await world.service(routes=[RouteTo(provider, provider_service="102")])
    free = await world.service(
        routes=[RouteTo(provider, provider_service="103", link_exclusive=False)]
    )
    placed = [await world.order(service=one, link=LINK) for one in (likes, views, free, free)]
    await desk.submit(provider)
    assert {(await world.row(one)).state for one in placed} == {"in_progress"}
    assert await locks(runtime) == sorted(one["id"] for one in placed[:2])


async def test_two_services_of_ours_share_the_link_at_one_provider_service(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    cheap = await world.service(routes=[provider])
    dear = await world.service(routes=[provider], rate="2.00")
    await world.order(service=cheap, link=LINK)
    await desk.submit(provider)
    second = await world.order(service=dear, link=f"{LINK}/")
    await desk.lease(provider)
    assert (await world.row(second)).wait_reason == "link_busy"
    await desk.hear(provider, progress(ProviderState.CANCELED))
    await desk.submit(provider)
    assert (await world.row(second)).state == "in_progress"


@pytest.mark.parametrize(
    "said",
    [
        NotSent("ConnectError"),
        refused(RefusalKind.PERMANENT),
        refused(RefusalKind.RATE_LIMITED),
        refused(RefusalKind.LINK_BUSY),
    ],
    ids=lambda said: getattr(said, "kind", "not_sent"),
)
async def test_an_order_that_the_provider_did_not_take_gives_up_its_link(
    world: World, desk: Desk, runtime: Runtime, said: SubmitOutcome
) -> None:
    provider = await world.provider()
    await world.order(service=await world.service(routes=[provider]), link=LINK)
    await desk.submit(provider, said)
    assert await locks(runtime) == []


async def test_an_order_busy_elsewhere_at_the_provider_is_not_woken_by_its_own_return(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=LINK)
    await desk.submit(provider, refused(RefusalKind.LINK_BUSY))
    assert await desk.lease(provider) is None
    due = (await desk.work_of(placed["id"]))["dispatch"].due_at
    assert round((due - clock.now()).total_seconds()) == 60


async def test_an_order_that_goes_on_to_another_provider_lets_the_next_one_in(
    world: World, desk: Desk
) -> None:
    first, second = await world.provider(), await world.provider()
    both = await world.service(routes=[RouteTo(first, priority=1), RouteTo(second, priority=2)])
    only = await world.service(routes=[first])
    await world.order(service=both, link=LINK)
    batch = await desk.send(first)
    waits = await world.order(service=only, link=LINK)
    assert isinstance(await desk.lease(first), Batch)
    assert (await world.row(waits)).wait_reason == "link_busy"
    await desk.record(batch, refused(RefusalKind.PERMANENT))
    await desk.submit(first)
    assert (await world.row(waits)).state == "in_progress"


async def test_a_worker_that_died_before_sending_leaves_no_link_behind(
    world: World, desk: Desk, runtime: Runtime, worker: Worker
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=LINK)
    assert isinstance(await desk.lease(provider), Batch)
    assert await locks(runtime) == [placed["id"]]
    await worker.lose_leases()
    async with runtime.uow.begin() as session:
        assert await sweeping.sweep_dispatch(session) == 1
    assert await locks(runtime) == []


async def test_an_order_whose_form_cannot_be_opened_keeps_no_link(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=LINK)
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE order_inputs SET sealed = 'nobody''s'"))
    assert isinstance(await desk.lease(provider), Batch)
    assert (await world.row(placed)).state == "needs_review"
    assert await locks(runtime) == []


async def _free_doubtful(runtime: Runtime) -> int:
    async with runtime.uow.begin() as session:
        return await link_locks.release_doubtful(session)


@pytest.mark.parametrize("said", [LOST, refused(RefusalKind.UNSEEN)], ids=["unknown", "review"])
async def test_an_order_of_which_nothing_is_known_keeps_its_link_for_a_day_and_no_longer(
    world: World, desk: Desk, runtime: Runtime, clock: Clock, said: SubmitOutcome
) -> None:
    provider, _, first, second = await two_on_one_link(world, desk, said)
    clock.move(timedelta(hours=24, seconds=-1))
    # Handed to a person meanwhile: it is doubtful since it was lost, not since then.
    await desk.look(first, hours=1)
    assert await _free_doubtful(runtime) == 0
    assert await locks(runtime) == [first]
    clock.move(timedelta(seconds=1))
    assert await _free_doubtful(runtime) == 1
    await desk.submit(provider)
    assert (await world.row(second)).state == "in_progress"
    assert (await world.row(first)).state == "needs_review"
    # Found after all: the provider has both now, and the first takes nothing from the second.
    async with runtime.uow.begin() as session:
        await resolving.find(
            session, first, provider_order_id="77", actor=OPERATOR, reason="seen there"
        )
    assert await locks(runtime) == [second]


async def test_a_running_order_keeps_its_link_however_long_it_runs(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=LINK)
    await desk.submit(provider)
    clock.move(timedelta(days=30))
    assert await _free_doubtful(runtime) == 0
    assert await locks(runtime) == [placed["id"]]


async def _prove_absent(desk: Desk, order_id: int) -> None:
    desk.runtime.clock.move(ABSENCE_AFTER)
    async with desk.runtime.uow.begin() as session:
        await resolving.prove_absent(session, order_id, actor=OPERATOR, reason="not there")


async def _write_off(desk: Desk, order_id: int) -> None:
    async with desk.runtime.uow.begin() as session:
        await resolving.write_off(session, order_id, actor=OPERATOR, reason="enough")


async def _settle(desk: Desk, order_id: int) -> None:
    await desk.look(order_id, hours=0)
    async with desk.runtime.uow.begin() as session:
        await resolving.settle_by_hand(
            session, order_id, Settlement(OrderState.COMPLETED), actor=OPERATOR, reason="seen"
        )


@pytest.mark.parametrize("resolve", [_prove_absent, _write_off, _settle])
async def test_a_person_who_resolves_an_unknown_order_frees_its_link(
    world: World,
    desk: Desk,
    runtime: Runtime,
    resolve: Callable[[Desk, int], Awaitable[None]],
) -> None:
    provider = await world.provider()
    placed = await world.order(service=await world.service(routes=[provider]), link=LINK)
    await desk.submit(provider, LOST)
    assert await locks(runtime) == [placed["id"]]
    await resolve(desk, placed["id"])
    assert await locks(runtime) == []


async def test_a_service_that_refuses_a_busy_link_says_nothing_of_the_order_that_runs(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    strict = await world.service(routes=[provider], busy_link="refuse")
    first = await world.order(await world.reseller(), strict, link=LINK)
    await desk.submit(provider)
    another, body = await world.reseller(), OrderForm(link=LINK, quantity=10)
    async with desk.runtime.uow.begin() as session:
        with pytest.raises(LinkBusy) as caught:
            await placing.place(
                session,
                desk.runtime.keys,
                another.book_id,
                NewOrder(strict.id, body),
                actor=RESELLER,
            )
    assert str(first["id"]) not in f"{caught.value!r} {caught.value.title}"
    await desk.hear(provider, progress(ProviderState.COMPLETED))
    again = await world.order(another, strict, link=LINK)
    await desk.submit(provider)
    assert (await world.row(again)).state == "in_progress"


@pytest.mark.parametrize("runs", [None, 3])
async def test_what_is_delivered_in_runs_is_refused_a_busy_link_too(
    runs: int | None, world: World, desk: Desk
) -> None:
    provider = await world.provider()
    strict = await world.service(routes=[provider], busy_link="refuse")
    await desk.running(provider, strict, link=LINK)
    repeat: dict[str, Any] = {} if runs is None else {"runs": runs, "interval_minutes": 10}
    with pytest.raises(AssertionError, match=LinkBusy.code):
        await world.order(service=strict, link=LINK, **repeat)
    await world.order(service=strict, **repeat)


@pytest.mark.committing
async def test_however_many_place_and_take_at_once_one_order_at_a_time_runs_on_a_link(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider])
    resellers = [await world.reseller() for _ in range(4)]
    on_the_wire = 0
    sent: list[int] = []

    async def place(index: int) -> None:
        form = OrderForm(link=LINK, quantity=service.min_quantity)
        item = NewOrder(service.id, form)
        async with runtime.uow.begin() as session:
            made = await placing.place_batch(
                session, runtime.keys, resellers[index].book_id, [item] * 3, actor=RESELLER
            )
        assert all(isinstance(one, Order) for one in made)

    async def work() -> None:
        nonlocal on_the_wire
        for _ in range(40):
            batch = await desk.lease(provider)
            if not isinstance(batch, Batch) or not batch.handovers:
                await asyncio.sleep(0)
                continue
            async with runtime.uow.begin() as session:
                await dispatch.mark_sending(session, batch)
            on_the_wire += len(batch.handovers)
            assert on_the_wire == 1
            sent.extend(handover.order_id for handover in batch.handovers)
            await asyncio.sleep(0)
            on_the_wire -= len(batch.handovers)
            said = {h: refused(RefusalKind.PERMANENT) for h in batch.handovers}

            async with runtime.uow.begin() as session:
                await outcomes.record_outcomes(session, batch, said)

    await asyncio.gather(*(place(index) for index in range(4)), *(work() for _ in range(4)))
    # What two looked at in the same moment is looked at again by time.
    for _ in range(12):
        runtime.clock.move(timedelta(minutes=8))
        await work()
    assert len(sent) == len(set(sent)) == 12
    assert await locks(runtime) == []
