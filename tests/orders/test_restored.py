"""What providers' lists tell after a restore, and what they leave to a person."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.catalog.models import OnUnknown
from app.core import lineage
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.runtime import Runtime
from app.orders import holding, number_repository, provider_lists, resolving, restored
from app.orders.errors import OrderStateConflict
from app.orders.number_repository import NUMBERS_SKIPPED
from app.orders.provider_lists import Listed, Reading
from app.orders.restored import Doubted
from app.providers.protocol import Accepted, NotThere, ProviderState
from app.supply.models import Provider
from tests.fixtures.world import RouteTo, World
from tests.orders.conftest import Desk, progress
from tests.orders.test_reconciling import COST, LOST, Search

DESK = Actor("operator", "opr_1")
APP_ROLE = Path(__file__).resolve().parents[2] / "deploy" / "app-role.sql"
PLACE = "https://www.instagram.com/p/Cabc123/"


@pytest.fixture
async def search(world: World, desk: Desk) -> Search:
    return Search(world, desk, await world.provider(adapter="smmos"))


async def restore(runtime: Runtime) -> Doubted:
    async with runtime.uow.begin() as session:
        return await restored.doubt_waiting(session, since=None, actor=DESK)


async def read(runtime: Runtime, provider: Provider, listed: Sequence[Listed]) -> Reading:
    async with runtime.uow.begin() as session:
        return await provider_lists.read_list(session, runtime.keys, provider, listed, since=None)


async def restore_elsewhere(runtime: Runtime) -> None:
    """The database comes back in another place, and nobody has vouched for it yet."""
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE database_lineage SET identity = 'elsewhere'"))
        assert await lineage.is_restored(session)


async def rule_out(runtime: Runtime, provider: Provider, order_id: int) -> bool:
    async with runtime.uow.begin() as session:
        return await restored.rule_out(session, provider, order_id, time_scale=1.0, actor=DESK)


async def test_fewer_listed_than_could_be_meant_are_found_for_nobody(
    world: World, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[RouteTo(provider, link_exclusive=False)])
    alike = [(await world.order(service=service, link=PLACE))["id"] for _ in range(2)]
    other = (await world.order(service=service, link=PLACE, quantity=500))["id"]
    assert (await restore(runtime)).orders == 3
    # Another spelling of the place.
    first, second = (Listed(its, "http://instagram.com/p/Cabc123?igsh=x", 1000) for its in "12")
    smaller = Listed("3", PLACE, 500)

    one = await read(runtime, provider, [first, smaller])
    both = await read(runtime, provider, [first, second, smaller])
    without_quantity = await read(runtime, provider, [Listed("4", PLACE), smaller])

    assert one.found == ((other, smaller),)
    assert one.ambiguous == (((alike[0], alike[1]), first),)
    assert set(both.found) == {(alike[0], first), (alike[1], second), (other, smaller)}
    assert without_quantity.found == ()
    assert without_quantity.unlisted == ()


async def test_what_is_listed_otherwise_or_from_before_our_order_is_not_ours(
    world: World, runtime: Runtime, clock: Clock
) -> None:
    provider = await world.provider()
    order = await world.order(service=await world.service(routes=[provider]), link=PLACE)
    await restore(runtime)
    listed = [
        Listed("1", PLACE.replace("C", "D")),
        Listed("2", quantity=999),
        Listed("3", PLACE, at=clock.now() - timedelta(days=2)),
    ]

    reading = await read(runtime, provider, listed)

    assert (reading.found, reading.ambiguous, reading.undecided) == ((), (), ())
    assert reading.lost == tuple(listed)
    assert reading.unlisted == (order["id"],)


async def test_where_a_list_does_not_tell_two_orders_apart_neither_is_found(
    world: World, runtime: Runtime
) -> None:
    provider = await world.provider()
    routes = [RouteTo(provider, provider_service=one) for one in ("101", "102")]
    followers, likes = [await world.service(routes=[route]) for route in routes]
    first = (await world.order(service=followers, link=PLACE))["id"]
    second = (await world.order(service=likes, link=PLACE))["id"]
    await restore(runtime)
    listed = [Listed("1", PLACE, 1000), Listed("2", PLACE, 1000)]

    untold = await read(runtime, provider, listed)
    told = await read(
        runtime,
        provider,
        [replace(listed[0], service="102"), replace(listed[1], service="101")],
    )

    assert (untold.found, untold.unlisted) == ((), ())
    assert untold.ambiguous == tuple(((first, second), one) for one in listed)
    assert {(order_id, one.provider_order_id) for order_id, one in told.found} == {
        (first, "2"),
        (second, "1"),
    }


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"quantity": 1000, "service": "101"},
        {"link": PLACE, "service": "Followers"},
        {"link": PLACE, "quantity": 500},
        # The provider's own time, without its zone.
        {"link": PLACE, "quantity": 1000, "at": timedelta(hours=-8)},
    ],
)
async def test_what_a_list_tells_too_little_of_or_otherwise_proves_no_absence(
    world: World, runtime: Runtime, clock: Clock, told: dict[str, Any]
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[RouteTo(provider, provider_service="101")])
    order = await world.order(service=service, link=PLACE)
    await restore(runtime)
    if "at" in told:
        told = told | {"at": clock.now() + told["at"]}

    reading = await read(runtime, provider, [Listed("1", **told)])

    assert reading.unlisted == ()
    assert order["id"] in (*reading.undecided, *(i for ids, _ in reading.ambiguous for i in ids))


async def test_an_order_is_queued_again_when_no_provider_that_could_have_it_lists_it(
    world: World, runtime: Runtime, clock: Clock
) -> None:
    first, second = await world.provider(), await world.provider()
    service = await world.service(routes=[first, second])
    order_id = (await world.order(service=service))["id"]
    await restore(runtime)
    clock.move(timedelta(minutes=15))

    assert await rule_out(runtime, first, order_id) is False
    assert (await world.row(order_id)).state == "needs_review"
    assert await rule_out(runtime, second, order_id) is True
    assert (await world.row(order_id)).state == "queued"


@pytest.mark.parametrize("by_hand", [False, True])
async def test_an_order_that_was_on_hold_is_on_hold_again(
    world: World, desk: Desk, runtime: Runtime, clock: Clock, by_hand: bool
) -> None:
    provider = await world.provider()
    order_id = (await world.order(service=await world.service(routes=[provider])))["id"]
    async with runtime.uow.begin() as session:
        await holding.put_on_hold(
            session, order_id, source="case", source_id="1", reason="looked at", actor=DESK
        )
    await restore(runtime)
    clock.move(timedelta(minutes=15))

    if by_hand:
        async with runtime.uow.begin() as session:
            await resolving.prove_absent(session, order_id, actor=DESK, reason="not in its panel")
    else:
        assert await rule_out(runtime, provider, order_id) is True

    assert (await world.row(order_id)).state == "on_hold"
    assert await desk.work_of(order_id) == {}


async def test_found_at_one_provider_it_is_no_longer_doubted_at_any(
    world: World, runtime: Runtime
) -> None:
    first, second = await world.provider(), await world.provider()
    service = await world.service(routes=[first, second])
    order_id = (await world.order(service=service, link=PLACE))["id"]
    await restore(runtime)

    async with runtime.uow.begin() as session:
        order = await restored.adopt(session, second, order_id, Listed("77", PLACE), actor=DESK)
        assert await restored.doubts(session) == {}

    assert (order.state, order.provider_order_id) == ("in_progress", "77")
    assert order.provider_id == second.id


async def test_once_the_provider_that_had_it_at_the_backup_has_not_another_may_have_it(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    first, second = await world.provider(), await world.provider()
    service = await world.service(routes=[first, second])
    order_id = (await world.order(service=service, link=PLACE))["id"]
    await desk.send(first)
    await restore(runtime)
    clock.move(timedelta(minutes=20))

    async def adopt() -> None:
        async with runtime.uow.begin() as session:
            await restored.adopt(session, second, order_id, Listed("55", PLACE), actor=DESK)

    with pytest.raises(OrderStateConflict):
        await adopt()
    assert await rule_out(runtime, first, order_id) is False
    await adopt()

    order = await world.row(order_id)
    assert (order.state, order.provider_id) == ("in_progress", second.id)
    assert [one.state for one in await desk.attempts(order_id)] == ["absent", "accepted"]


async def test_a_list_tells_nothing_of_an_order_that_was_sent_after_the_restore(
    search: Search, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    order_id = (await desk.world.order(service=await desk.world.service(routes=[search.provider])))[
        "id"
    ]
    await restore(runtime)
    clock.move(timedelta(minutes=20))
    async with runtime.uow.begin() as session:
        await resolving.prove_absent(session, order_id, actor=DESK, reason="not in its panel")
    await desk.submit(search.provider, LOST)
    clock.move(timedelta(minutes=20))

    # By an export that was made before it was sent.
    assert (await read(runtime, search.provider, [])).unlisted == ()
    assert await rule_out(runtime, search.provider, order_id) is False
    assert (await desk.world.row(order_id)).state == "unknown"


@pytest.mark.parametrize("reviewed", [False, True])
async def test_what_was_lost_before_the_backup_is_doubted_as_it_may_have_been_sent_again_since(
    search: Search, desk: Desk, runtime: Runtime, clock: Clock, reviewed: bool
) -> None:
    order_id = await search.order()
    if reviewed:
        async with runtime.uow.begin() as session:
            await resolving.hand_over(session, order_id, "unknown for too long")

    assert (await restore(runtime)).orders == 1
    async with runtime.uow.begin() as session:
        assert await restored.doubts(session) == {search.provider.id: 1}

    clock.move(timedelta(minutes=20))
    assert (await search.look_up(order_id, NotThere())).state == "needs_review"
    assert await desk.work_of(order_id) == {}
    assert await rule_out(runtime, search.provider, order_id) is True


async def test_until_somebody_vouches_for_it_nothing_is_concluded_about_lost_orders(
    search: Search, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    order_id = await search.order(on_unknown=OnUnknown.WRITE_OFF, write_off_hours=1)
    await restore_elsewhere(runtime)
    clock.move(timedelta(hours=2))

    order = await search.look_up(order_id, NotThere())

    assert (order.state, order.refunded) == ("unknown", 0)
    assert (await search.inquiry(order_id)).lookup == "not_there"
    assert (await desk.work_of(order_id))["reconcile"].due_at > clock.now()


async def test_an_id_from_the_time_that_was_forgotten_proves_nothing_of_a_lost_order(
    search: Search, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    await search.declare(may_probe_ids=True)
    await search.order(Accepted("90", "{}"))
    # An order of after the backup was taken as 91, and is forgotten.
    await restore(runtime)
    clock.move(timedelta(minutes=5))
    order_id = await search.order()
    clock.move(timedelta(minutes=20))
    await search.order(Accepted("92", "{}"))

    look = await desk.look(order_id)

    assert look is not None
    assert [one.ids for one in look.questions if one.ids] == []
    assert (await search.inquiry(order_id)).ids is None


async def test_what_is_adopted_was_sent_in_the_time_that_was_forgotten(
    search: Search, desk: Desk, world: World, runtime: Runtime, clock: Clock
) -> None:
    await search.declare(may_probe_ids=True, balance_is_proof=True)
    await search.completed("90")
    service = await world.service(routes=[search.provider])
    adopted = (await world.order(service=service, link=PLACE))["id"]
    await search.sample("100.01")
    since = (await restore(runtime)).since
    clock.move(timedelta(minutes=5))
    lost = await search.order()
    clock.move(timedelta(minutes=20))
    async with runtime.uow.begin() as session:
        listed = Listed("100", PLACE, at=clock.now())
        await restored.adopt(session, search.provider, adopted, listed, actor=DESK)
    done = progress(ProviderState.COMPLETED, charge_micros=COST)
    await desk.hear(search.provider, {adopted: done})
    clock.move(timedelta(minutes=1))
    # It fell by one charge, which the adopted order had before the restore.
    await search.sample("99.51")

    order = await search.look(lost)

    attempt = await desk.attempt(adopted)
    assert (attempt.started_at, attempt.sending_at) == (since, since)
    assert order.state == "unknown"
    inquiry = await search.inquiry(lost)
    assert (inquiry.ids, inquiry.balance) == (None, "unclear")


async def test_a_balance_from_before_the_backup_proves_nothing_after_the_restore(
    search: Search, runtime: Runtime, clock: Clock
) -> None:
    await search.declare(balance_is_proof=True)
    await search.sample("100.01")
    clock.move(timedelta(minutes=1))
    await restore(runtime)
    clock.move(timedelta(minutes=1))
    order_id = await search.order()
    clock.move(timedelta(minutes=16))
    await search.sample("100.01")

    assert (await search.look(order_id)).state == "unknown"
    assert "restored" in ((await search.inquiry(order_id)).balance_why or "")


async def test_no_number_of_the_time_that_was_forgotten_is_given_again_even_before_anybody_vouches(
    world: World, runtime: Runtime
) -> None:
    reseller = await world.reseller()
    before: int = (await world.order(reseller))["id"]
    await restore_elsewhere(runtime)

    first: int = (await world.order(reseller))["id"]
    drip: int = (await world.order(reseller, runs=2, interval_minutes=60))["id"]
    last: int = (await world.order(reseller))["id"]

    assert first > before + NUMBERS_SKIPPED
    # They are left out once, and not with each order.
    assert first < drip < last < first + NUMBERS_SKIPPED


async def test_two_copies_of_one_backup_give_no_number_twice(
    world: World, runtime: Runtime
) -> None:
    async def number_after(base: int) -> int:
        async with runtime.uow.begin() as session:
            await session.execute(text("SELECT setval('order_numbers', :base)"), {"base": base})
            await number_repository.skip_numbers(session)
            return (await number_repository.next_numbers(session, 1))[0]

    base: int = (await world.order())["id"]

    assert len({await number_after(base) for _ in range(3)}) > 1


async def test_the_apps_role_may_leave_numbers_out(world: World, runtime: Runtime) -> None:
    reseller, service = await world.reseller(), await world.service()
    before = (await world.order(reseller, service))["id"]
    await restore_elsewhere(runtime)
    async with runtime.uow.begin() as session:
        connection = await (await session.connection()).get_raw_connection()
        driver = connection.driver_connection
        assert driver is not None
        await driver.execute(APP_ROLE.read_text())
        await session.execute(text("SET LOCAL ROLE smmos_app"))

    assert (await world.order(reseller, service))["id"] > before + NUMBERS_SKIPPED
    await restore(runtime)


async def test_orders_that_came_before_anybody_vouched_do_not_shorten_what_was_forgotten(
    search: Search, desk: Desk, world: World, runtime: Runtime, clock: Clock
) -> None:
    await search.declare(may_probe_ids=True)
    await search.order(Accepted("90", "{}"))
    backup = clock.now()
    # What follows the backup is forgotten, an order that was taken as 91 among it.
    clock.move(timedelta(hours=8))
    await restore_elsewhere(runtime)
    await world.order(service=await world.service(routes=[search.provider]))
    clock.move(timedelta(minutes=30))

    since = (await restore(runtime)).since
    lost = await search.order()
    clock.move(timedelta(minutes=20))
    await search.order(Accepted("93", "{}"))
    look = await desk.look(lost)

    assert since <= backup
    assert look is not None
    assert [one.ids for one in look.questions if one.ids] == []


@pytest.mark.parametrize("whole", [True, False])
async def test_a_database_that_was_only_moved_is_doubted_in_nothing(
    world: World, runtime: Runtime, whole: bool
) -> None:
    order = await world.order()
    async with runtime.uow.begin() as session:
        doubted = await restored.doubt_waiting(session, since=None, actor=DESK, whole=whole)
        restore = await lineage.last_restore(session)

    assert doubted.orders == (0 if whole else 1)
    assert (restore is None) == whole
    assert (await world.row(order)).state == ("queued" if whole else "needs_review")
