"""Following: what a provider says of running orders moves each one alone, and only forward."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.core.clock import Clock
from app.core.metrics import (
    PROVIDER_CHARGE_DRIFT,
    PROVIDER_CHARGE_EXPECTED,
    PROVIDER_STATUS_UNKNOWN,
)
from app.core.money import ZERO, Money
from app.core.runtime import Runtime
from app.ledger.service import Balance
from app.orders import follow
from app.orders.dispatch import BATCH_MAX
from app.orders.doubts import UNUSABLE_MAX
from app.orders.follow import POLL_MAX, POLL_MIN, Poll, next_poll
from app.orders.models import Order
from app.providers.protocol import (
    IdUnknown,
    Progress,
    ProviderState,
    ServiceType,
    StatusAnswer,
    Unconfirmed,
    Unreadable,
)
from app.supply import pausing, protection
from app.supply.pausing import PauseReason
from app.supply.protection import Closed
from tests.fixtures.world import World
from tests.orders.conftest import Desk, progress

S = ProviderState


@pytest.mark.parametrize(
    ("said", "state", "refunded", "remains"),
    [
        (progress(S.COMPLETED, remains=3), "completed", "0.00", 0),
        (progress(S.PARTIAL, remains=250), "partial", "0.225", 250),
        (progress(S.PARTIAL, remains=0), "completed", "0.00", 0),
        (progress(S.PARTIAL, remains=1000), "canceled", "0.90", 1000),
        (progress(S.CANCELED, remains=400), "canceled", "0.90", 1000),
        (progress(S.CANCELED, remains=400, charge_micros=1), "partial", "0.36", 400),
    ],
    ids=lambda case: getattr(case, "state", None),
)
async def test_a_final_status_ends_the_order_and_settles_its_money(
    world: World, desk: Desk, said: Progress, state: str, refunded: str, remains: int
) -> None:
    provider = await world.provider()
    reseller = await world.reseller(balance="10.00")
    service = await world.service(routes=[provider])
    order_id = await desk.running(provider, service, reseller, quantity=1000)
    await desk.hear(provider, said)
    order = await world.row(order_id)
    assert (order.state, order.remains) == (state, remains)
    assert Money(order.refunded) == Money.parse(refunded)
    assert order.earned + order.refunded == order.charge
    assert order.ended_at is not None
    assert await desk.work_of(order_id) == {}
    spent = Money.parse("0.90") - Money.parse(refunded)
    assert await world.balance(reseller) == Balance(Money.parse("10.00") - spent, ZERO)
    assert (await desk.attempt(order_id)).provider_charge_micros == said.charge_micros


async def test_a_package_ends_by_its_units_where_they_are_stated(world: World, desk: Desk) -> None:
    provider = await world.provider()
    service = await world.service(
        type=ServiceType.PACKAGE, rate="6.00", package_units=1000, routes=[provider]
    )
    order_id = await desk.running(provider, service)
    await desk.hear(provider, progress(S.PARTIAL, remains=250, charge_micros=1))
    order = await world.row(order_id)
    assert (order.state, order.refunded, order.remains) == ("partial", 1_500_000, 250)


async def test_a_package_without_units_ends_by_what_the_provider_took(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    service = await world.service(type=ServiceType.PACKAGE, rate="6.00", routes=[provider])
    order_id = await desk.running(provider, service)
    await desk.hear(provider, progress(S.PARTIAL, remains=7, charge_micros=125_000))
    order = await world.row(order_id)
    assert (order.state, order.refunded, order.remains) == ("partial", 4_500_000, None)
    assert (await desk.attempt(order_id)).provider_charge_micros == 125_000


async def test_three_partials_without_remains_are_looked_at_by_a_person(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for doubts in (1, 2):
        await desk.hear(provider, progress(S.PARTIAL))
        order = await world.row(order_id)
        assert (order.state, order.doubts) == ("in_progress", doubts)
    await desk.hear(provider, progress(S.PARTIAL))
    order = await world.row(order_id)
    assert (order.state, order.held) == ("needs_review", order.charge)
    assert await desk.work_of(order_id) == {}


async def test_a_hundred_orders_are_asked_about_in_one_call(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    service = await world.service(routes=[provider], rate="0.09", below_cost_allowed=True)
    reseller = await world.reseller(balance="100.00")
    await desk.place_many(reseller, service, 130)
    while len((await desk.submit(provider)).handovers) == BATCH_MAX:
        pass
    runtime.clock.move(POLL_MIN)
    first, second = await desk.poll(provider), await desk.poll(provider)
    assert (len(first.orders), len(second.orders)) == (100, 30)
    assert not set(first.orders) & set(second.orders)
    odd, *rest = sorted(first.orders.values())
    said: dict[int, StatusAnswer] = dict.fromkeys(rest, progress(S.COMPLETED))
    await desk.answer(first, said | {odd: Unreadable("not an object")})
    assert (await world.row(odd)).state == "in_progress"
    assert {(await world.row(one)).state for one in rest} == {"completed"}
    await desk.answer(second, progress(S.COMPLETED))


async def test_a_dialect_of_one_id_a_call_spends_a_call_on_each_and_asks_within_its_budget(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(adapter="smoservice", in_flight_max=200)
    service = await world.service(routes=[provider], rate="0.09", below_cost_allowed=True)
    reseller = await world.reseller(balance="100.00")
    await desk.place_many(reseller, service, 24)
    await desk.submit(provider)
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE providers SET calls_per_minute = 16"))
    runtime.clock.move(timedelta(minutes=2))
    poll = await desk.poll(provider)
    assert len(poll.orders) == 12  # a quarter is kept for orders
    assert (await desk.provider(provider)).budget_reads == 12
    async with runtime.uow.begin() as session:
        again = await follow.lease_poll(session, runtime.keys, provider.id, time_scale=1.0)
    assert again is Closed.BUDGET
    await desk.answer(poll, progress(S.COMPLETED))


async def test_one_bad_answer_spoils_none_of_the_others(world: World, desk: Desk) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    ids = [await desk.running(provider, service) for _ in range(5)]
    await desk.hear(
        provider,
        {
            ids[0]: Unreadable("an array"),
            ids[1]: IdUnknown(),
            ids[2]: progress(S.UNKNOWN, raw_status="Sulking"),
            ids[3]: progress(S.IN_PROGRESS, remains=-(10**12)),
            ids[4]: progress(S.COMPLETED),
        },
    )
    states = [(await world.row(one)).state for one in ids]
    assert states == ["in_progress"] * 4 + ["completed"]


async def test_remains_fall_only_and_the_rest_is_kept_as_an_observation_once(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]), quantity=1000)
    told = [900, 900, 950, 950, -5, 2000, 10**15, 400, None, 0]
    seen = []
    for remains in told:
        await desk.hear(provider, progress(S.IN_PROGRESS, remains=remains))
        seen.append((await world.row(order_id)).remains)
    assert seen == [900, 900, 900, 900, 900, 900, 900, 400, 400, 0]
    observed = [one for one in await desk.events(order_id) if one.type == "observation"]
    assert [one.data["remains"] for one in observed] == [950, -5, 2000, 10**15]
    assert not any(one.public for one in observed)
    progressed = [one for one in await desk.events(order_id) if one.type == "progress"]
    assert [one.data["remains"] for one in progressed] == [900, 400, 0]


async def test_the_first_start_count_stands(world: World, desk: Desk) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for count in (None, 120, 999):
        await desk.hear(provider, progress(S.IN_PROGRESS, start_count=count))
    assert (await world.row(order_id)).start_count == 120


async def test_a_final_status_uses_its_own_remains_not_those_seen_before(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]), quantity=1000)
    await desk.hear(provider, progress(S.IN_PROGRESS, remains=100))
    await desk.hear(provider, progress(S.PARTIAL, remains=500))
    order = await world.row(order_id)
    assert (order.state, order.remains, order.refunded) == ("partial", 500, 450_000)


async def test_an_id_that_the_provider_does_not_know_three_times_in_an_hour_needs_a_person(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    reseller = await world.reseller(balance="10.00")
    order_id = await desk.running(provider, await world.service(routes=[provider]), reseller)
    for _ in range(2):
        await desk.hear(provider, IdUnknown())
        assert (await world.row(order_id)).state == "in_progress"
    await desk.hear(provider, IdUnknown())
    order = await world.row(order_id)
    assert (order.state, order.held, order.refunded) == ("needs_review", order.charge, 0)
    assert await world.balance(reseller) == Balance(Money.parse("9.10"), Money.parse("0.90"))


async def test_an_id_that_is_known_again_between_starts_the_count_anew(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for said in (IdUnknown(), IdUnknown(), progress(S.IN_PROGRESS), IdUnknown(), IdUnknown()):
        await desk.hear(provider, said)
    order = await world.row(order_id)
    assert (order.state, order.doubts) == ("in_progress", 2)


async def test_doubts_spread_over_more_than_an_hour_do_not_add_up(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for _ in range(6):
        await desk.hear(provider, IdUnknown())
        clock.move(timedelta(minutes=61))
    order = await world.row(order_id)
    assert (order.state, order.doubts) == ("in_progress", 1)


async def test_useless_answers_are_counted_by_what_is_wrong_with_them(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    counts = []
    for said in (
        *(IdUnknown(), IdUnknown(), progress(S.PARTIAL), progress(S.PARTIAL)),
        *(IdUnknown(), IdUnknown(), Unreadable("HTML")),
    ):
        await desk.hear(provider, said)
        order = await world.row(order_id)
        counts.append((order.doubt_reason, order.doubts))
        assert order.state == "in_progress"
    unknown, untold = "id_unknown_to_provider", "partial_without_remains"
    assert counts == [
        *((unknown, 1), (unknown, 2), (untold, 1), (untold, 2)),
        # What cannot be read tells nothing of the id either: the count stands.
        *((unknown, 1), (unknown, 2), (unknown, 2)),
    ]
    await desk.hear(provider, IdUnknown())
    assert (await world.row(order_id)).state == "needs_review"


USELESS = [
    pytest.param([Unreadable("HTML")], "status_unreadable", id="unreadable"),
    pytest.param([progress(S.UNKNOWN, raw_status="Sulking")], "status_word_unknown", id="word"),
    pytest.param(
        [Unreadable("HTML"), IdUnknown(), progress(S.UNKNOWN, raw_status="Sulking")],
        "status_unreadable",
        id="all in turn",
    ),
]


@pytest.mark.parametrize(("said", "why"), USELESS)
async def test_an_order_of_which_nothing_usable_was_said_for_a_day_needs_a_person(
    world: World, desk: Desk, clock: Clock, said: list[StatusAnswer], why: str
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    hours = 12  # a poll every other hour, none of them usable
    for turn in range(hours):
        await desk.hear(provider, said[turn % len(said)])
        assert (await world.row(order_id)).state == "in_progress"
        clock.move(timedelta(hours=2))
    await desk.hear(provider, said[hours % len(said)])
    order = await world.row(order_id)
    assert (order.state, order.held) == ("needs_review", order.charge)
    assert await desk.work_of(order_id) == {}
    last = (await desk.events(order_id))[-1]
    assert (last.type, last.data["why"]) == ("review", why)
    # Found again by a person, it is judged afresh.
    assert (order.doubts, order.doubt_reason, order.unusable_since) == (0, None, None)


async def test_one_usable_answer_starts_the_day_of_useless_ones_anew(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for said in (Unreadable("HTML"), progress(S.IN_PROGRESS), Unreadable("HTML")):
        await desk.hear(provider, said)
        clock.move(timedelta(hours=23))
    await desk.hear(provider, Unreadable("HTML"))
    assert (await world.row(order_id)).state == "in_progress"
    clock.move(timedelta(hours=1))
    await desk.hear(provider, Unreadable("HTML"))
    assert (await world.row(order_id)).state == "needs_review"


async def test_the_day_of_useless_answers_is_shorter_where_a_simulator_delivers(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    for wait in (POLL_MIN, UNUSABLE_MAX / 60):
        clock.move(wait)
        poll = replace(await desk.poll(provider), time_scale=60.0)
        await desk.answer(poll, Unreadable("HTML"))
    assert (await world.row(order_id)).state == "needs_review"


async def test_a_status_word_that_nobody_knows_keeps_the_order_as_it_was(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    await desk.hear(provider, progress(S.IN_PROGRESS, remains=700))
    before = await world.row(order_id)
    counted = PROVIDER_STATUS_UNKNOWN.labels(provider.name)
    for _ in range(5):
        await desk.hear(
            provider, progress(S.UNKNOWN, raw_status="Sulking", remains=0, charge_micros=0)
        )
    order = await world.row(order_id)
    assert (order.state, order.remains) == ("in_progress", 700)
    assert counted._value.get() == 5
    # The timeline tells once that nothing usable is heard any more.
    assert order.version == before.version + 1
    assert (await desk.events(order_id))[-1].data == {"why": "status_word_unknown"}
    assert "follow" in await desk.work_of(order_id)


async def test_a_provider_that_gave_up_has_proven_nothing(world: World, desk: Desk) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    await desk.hear(provider, progress(S.FAILED, remains=1000, charge_micros=0))
    order = await world.row(order_id)
    assert (order.state, order.held) == ("needs_review", order.charge)


async def test_an_order_is_polled_after_a_tenth_of_its_age_within_bounds(
    clock: Clock,
) -> None:
    now = clock.now()
    for age, interval in (
        (timedelta(0), POLL_MIN),
        (timedelta(minutes=4), POLL_MIN),
        (timedelta(minutes=10), timedelta(minutes=1)),
        (timedelta(minutes=60), timedelta(minutes=6)),
        (timedelta(hours=3), POLL_MAX),
        (timedelta(days=30), POLL_MAX),
    ):
        order = Order(created_at=now - age)
        assert next_poll(order, now, 1.0) - now == interval
        scaled = next_poll(Order(created_at=now - age / 60), now, 60.0) - now
        assert scaled == interval / 60


async def test_the_next_poll_is_promised_at_that_cadence(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    clock.move(timedelta(minutes=20))
    await desk.hear(provider, progress(S.IN_PROGRESS))
    due = (await desk.work_of(order_id))["follow"].due_at
    assert abs((due - clock.now()) - timedelta(minutes=2)) < timedelta(seconds=5)


async def test_a_call_that_gave_nothing_changes_no_order_and_is_made_again(
    world: World, desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    before = await world.row(order_id)
    clock.move(POLL_MIN)
    for asked, wait, answered in ((None, POLL_MIN, False), (90, timedelta(seconds=90), True)):
        poll = await desk.poll(provider)
        async with runtime.uow.begin() as session:
            await follow.record_failure(session, poll, retry_after_seconds=asked, answered=answered)
        due = (await desk.work_of(order_id))["follow"].due_at
        assert abs((due - clock.now()) - wait) < timedelta(seconds=2)
        now = await desk.provider(provider)
        # A poll that fails is a read that fails: it is no submit that does.
        assert (now.breaker_read_failures, now.breaker_failures) == (0 if answered else 1, 0)
        clock.move(wait)
    assert (await world.row(order_id)).version == before.version


async def test_a_failed_poll_that_is_recorded_again_counts_once(
    world: World, desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    clock.move(POLL_MIN)
    poll = await desk.poll(provider)
    for asked in (None, 600):
        async with runtime.uow.begin() as session:
            await follow.record_failure(session, poll, retry_after_seconds=asked, answered=False)
    assert (await desk.provider(provider)).breaker_read_failures == 1
    due = (await desk.work_of(order_id))["follow"].due_at
    assert abs((due - clock.now()) - POLL_MIN) < timedelta(seconds=2)


async def test_an_answered_poll_does_not_excuse_submits_that_hang(
    world: World, desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    await desk.running(provider, service)
    for silent in range(1, protection.BREAKER_FAILURES_MAX + 1):
        await world.order(service=service)
        await desk.submit(provider, Unconfirmed("ReadTimeout"))
        if silent < protection.BREAKER_FAILURES_MAX:
            await desk.hear(provider, progress(S.IN_PROGRESS))
            assert (await desk.provider(provider)).breaker_failures == silent
    assert (await desk.provider(provider)).breaker_open_until is not None


async def test_an_open_breaker_stops_polls_until_it_is_due_and_a_pause_does_not(
    world: World, desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    clock.move(POLL_MIN)
    async with runtime.uow.begin() as session:
        await protection.record_failures(session, provider.id, 5, time_scale=1.0)
        await pausing.pause(session, provider.id, PauseReason.OPERATOR)
    async with runtime.uow.begin() as session:
        closed = await follow.lease_poll(session, runtime.keys, provider.id, time_scale=1.0)
    assert closed is Closed.BREAKER
    clock.move(protection.BREAKER_OPEN_BASE)
    await desk.answer(await desk.poll(provider), progress(S.COMPLETED))
    assert (await world.row(order_id)).state == "completed"
    # It was the probe. That is weak proof: what opens the door for good is an answered order.
    now = await desk.provider(provider)
    assert (now.breaker_open_until, now.breaker_closed_at is None) == (None, False)


async def test_a_worker_that_lost_its_lease_ends_nothing(
    world: World, desk: Desk, clock: Clock, runtime: Runtime
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    clock.move(POLL_MIN)
    lost = await desk.poll(provider)
    async with runtime.uow.begin() as session:
        await session.execute(text("UPDATE work SET lease_token = NULL, lease_until = NULL"))
    taken_over = await desk.poll(provider)
    await desk.answer(lost, progress(S.CANCELED))
    assert (await world.row(order_id)).state == "in_progress"
    await desk.answer(taken_over, progress(S.COMPLETED))
    await desk.answer(lost, progress(S.CANCELED))
    assert (await world.row(order_id)).state == "completed"


async def test_the_same_final_answer_twice_settles_once(
    world: World, desk: Desk, clock: Clock
) -> None:
    provider = await world.provider()
    reseller = await world.reseller(balance="10.00")
    order_id = await desk.running(
        provider, await world.service(routes=[provider]), reseller, quantity=1000
    )
    clock.move(POLL_MIN)
    poll: Poll = await desk.poll(provider)
    for _ in range(3):
        await desk.answer(poll, progress(S.PARTIAL, remains=500))
    assert (await desk.event_types(order_id)).count("end_short") == 1
    assert await world.balance(reseller) == Balance(Money.parse("9.55"), ZERO)


async def test_what_a_provider_charges_beside_its_cost_is_added_up_as_drift(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])  # 0.50 a thousand
    for charge in (500_000, 450_000, 600_000, None):
        await desk.running(provider, service, quantity=1000)
        await desk.hear(provider, progress(ProviderState.COMPLETED, charge_micros=charge))
    # In another currency, or of a part only, a charge says nothing of the cost.
    await desk.running(provider, service, quantity=1000)
    other = progress(ProviderState.COMPLETED, charge_micros=1, currency="EUR")
    await desk.hear(provider, other)
    await desk.running(provider, service, quantity=1000)
    part = progress(ProviderState.PARTIAL, charge_micros=1, remains=500)
    await desk.hear(provider, part)
    name = provider.name
    assert PROVIDER_CHARGE_EXPECTED.labels(name)._value.get() == pytest.approx(1.5)
    assert PROVIDER_CHARGE_DRIFT.labels(name)._value.get() == pytest.approx(0.15)


async def test_a_charge_in_another_currency_is_not_kept_as_one_in_that_of_the_account(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    for currency, kept in (("RUB", None), (None, 7), ("USD", 7)):
        order_id = await desk.running(provider, service)
        said = progress(ProviderState.COMPLETED, charge_micros=7, currency=currency)
        await desk.hear(provider, said)
        [attempt] = await desk.attempts(order_id)
        assert attempt.provider_charge_micros == kept


async def test_a_start_count_that_is_first_told_at_the_end_is_kept(
    world: World, desk: Desk
) -> None:
    provider = await world.provider()
    order_id = await desk.running(provider, await world.service(routes=[provider]))
    await desk.hear(provider, progress(ProviderState.COMPLETED, start_count=1245))
    assert (await world.row(order_id)).start_count == 1245
    assert (await desk.events(order_id))[-1].data["start_count"] == 1245
