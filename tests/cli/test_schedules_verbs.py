"""Schedules from a shell: looked at, paused, resumed and canceled, each on record."""

import asyncio

import pytest

from app.core.money import Money
from app.schedules.starting import SCHEDULE
from tests.cli.conftest import Shell
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World

pytestmark = pytest.mark.committing


async def test_a_drip_feed_is_listed_shown_paused_resumed_and_canceled(
    shell: Shell, world: World, worker: Worker
) -> None:
    reseller = await world.reseller(balance="10.00")
    order = await world.order(reseller, quantity=100, runs=3, interval_minutes=60)
    await worker.drain(SCHEDULE)
    number = str(order["id"])

    async def run(*arguments: str) -> str:
        done = await asyncio.to_thread(shell, "schedules", *arguments)
        assert done.code == 0, done.err
        return str(done.out)

    assert "1 of 3" in await run("list")
    await run("pause", number, "--reason", "asked by phone")
    assert number in await run("list", "--state", "paused")
    await run("resume", number)
    canceled = await run("cancel", number, "--reason", "asked again")
    shown = await run("show", number)

    assert "canceled_by_operator" in canceled
    assert all(verb in shown for verb in ("place", "run", "pause", "resume", "cancel"))
    assert order["link"] not in shown
    assert (await world.balance(reseller)).available == Money.parse("10.00")
    assert await world.count("audit_log") >= 3
    refused = await asyncio.to_thread(shell, "schedules", "resume", number)
    assert refused.err == "Only a drip-feed that is paused can be resumed.\n"
