"""A balance that falls below what an operator called low is told once, and by the gauge."""

import pytest

from app.core.money import Money
from app.core.runtime import Runtime
from app.supply import gauges
from app.supply import service as supply
from tests.fixtures.world import World
from tests.supply.test_pauses import Till


async def test_a_balance_that_falls_below_the_line_is_told_once_each_time(
    world: World, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    provider = await world.provider()
    till = Till(runtime, provider)

    async def gauge() -> float:
        async with runtime.uow.begin() as session:
            [told] = [
                one.value
                for one in await gauges.samples(session)
                if one.name == "smmos_provider_low_balance" and provider.name in one.labels
            ]
        return told

    async with runtime.uow.begin() as session:
        await supply.watch_balance(session, provider, Money.parse("5.00"))
    told = []
    for balance in ("9.00", "4.99", "4.00", None, "5.00", "1.00"):
        caplog.clear()
        await till.probe(balance)
        told.append((await gauge(), "provider_balance_low" in caplog.text))
    assert told == [(0, False), (1, True), (1, False), (1, False), (0, False), (1, True)]


async def test_a_balance_that_nobody_watches_is_never_low(world: World, runtime: Runtime) -> None:
    provider = await world.provider()
    now = await Till(runtime, provider).probe("-1.00")
    assert not supply.balance_is_low(now, now.balance_micros)


async def test_a_balance_in_another_currency_is_not_shown_as_one_in_that_of_the_account(
    world: World, runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    provider = await world.provider(currency="EUR")
    async with runtime.uow.begin() as session:
        await supply.watch_balance(session, provider, Money.parse("5.00"))

    now = await Till(runtime, provider).probe("1.00")

    assert (now.balance_micros, now.balance_at is None) == (None, False)
    assert "provider_balance_in_another_currency" in caplog.text
    assert "provider_balance_low" not in caplog.text
