"""Orders from a shell: looked at, taken back, and resolved by what an operator found out."""

import asyncio

import pytest

from app.core.settings import Settings
from app.orders.states import OrderState
from app.providers.forms import ServiceType
from app.providers.protocol import RefusalKind
from app.supply import service as supply
from tests.cli.conftest import Shell
from tests.fixtures.supplying import Simulator, Worker
from tests.fixtures.world import World
from tests.orders.conftest import Desk, refused

pytestmark = pytest.mark.committing


async def run(shell: Shell, *arguments: str) -> str:
    """A command in a thread, because it brings an event loop of its own."""
    done = await asyncio.to_thread(shell, *arguments)
    assert done.code == 0, done.err
    return str(done.out)


async def refuse(shell: Shell, *arguments: str) -> str:
    done = await asyncio.to_thread(shell, *arguments)
    assert done.code == 1
    return str(done.err)


async def test_an_order_that_waits_is_taken_back_with_its_money(shell: Shell, world: World) -> None:
    reseller = await world.reseller(balance="10.00")
    order = await world.order(reseller)

    told = await run(shell, "orders", "cancel", str(order["id"]), "--reason", "asked by phone")

    assert "canceled_by_operator" in told
    assert str((await world.balance(reseller)).available) == "10.00"
    assert "canceled" in await run(shell, "orders", "list", "--state", "canceled")
    again = await refuse(shell, "orders", "cancel", str(order["id"]), "--reason", "again")
    assert again == "The order has ended.\n"


async def test_an_order_without_an_answer_is_listed_shown_and_found(
    shell: Shell, world: World, simulator: Simulator, worker: Worker
) -> None:
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[provider])
    order = await world.order(service=service)
    number = str(order["id"])
    await simulator.script("lost_reply")
    await worker.dispatch(provider)

    listed = await run(shell, "orders", "unknown")
    assert number in listed
    assert provider.name in listed
    assert "needs_review at" in " ".join(listed.split())
    shown = await run(shell, "orders", "show", number)
    assert "lose" in shown
    assert "https://example.com" not in shown
    early = await refuse(shell, "orders", "resolve", number, "absent", "--reason", "not there")
    assert early.startswith("Absence can be proven only 15 minutes")

    [accepted] = await simulator.accepted()
    given = ["--provider-order-id", str(accepted["provider_order"]), "--reason", "asked them"]
    await run(shell, "orders", "resolve", number, "accepted", *given)

    assert (await world.row(order)).state == OrderState.IN_PROGRESS
    assert number not in await run(shell, "orders", "unknown")


async def test_what_may_be_evidence_and_what_time_does_are_declared(
    shell: Shell, world: World
) -> None:
    provider = await world.provider()
    service = await world.service(routes=[provider])
    public = supply.public_provider_id(provider.id)

    told = await run(shell, "providers", "evidence", public, "--balance-is-proof")
    assert [line.split()[-1] for line in told.splitlines() if "_" in line] == ["yes", "no", "no"]
    number = str(service.id)
    written_off = ["on-unknown", number, "write_off", "--hours", "5"]
    assert await run(shell, "catalogue", *written_off) == "written off after 5 hours\n"
    assert await run(shell, "catalogue", "on-unknown", number) == "written off after 5 hours\n"
    assert await run(shell, "catalogue", "on-unknown", number, "hold") == "held\n"
    assert await run(shell, "catalogue", "on-unknown", number) == "held\n"


async def test_accepted_without_the_providers_number_is_refused(shell: Shell, world: World) -> None:
    order = await world.order()

    told = await refuse(
        shell, "orders", "resolve", str(order["id"]), "accepted", "--reason", "asked them"
    )

    assert "--provider-order-id" in told


def test_an_order_that_does_not_exist_is_not_found(shell: Shell, settings: Settings) -> None:
    assert settings.currency == "USD"
    assert shell("orders", "show", "5").err == "There is nothing here under that id.\n"


async def test_what_people_fulfil_is_listed_without_its_links(
    shell: Shell, world: World, worker: Worker
) -> None:
    provider = await world.provider(adapter="manual")
    service = await world.service(routes=[provider])
    order = await world.order(service=service)
    assert str(order["id"]) not in await run(shell, "orders", "work-list")
    await worker.dispatch(provider)

    told = await run(shell, "orders", "work-list")

    assert str(order["id"]) in told
    assert service.name in told
    assert order["link"] not in told


async def test_a_package_that_came_in_part_is_settled_by_an_amount(
    shell: Shell, world: World, desk: Desk
) -> None:
    reseller, provider = await world.reseller(balance="10.00"), await world.provider()
    service = await world.service(type=ServiceType.PACKAGE, rate="6.00", routes=[provider])
    order = await world.order(reseller, service)
    await desk.submit(provider, refused(RefusalKind.UNSEEN))
    wanted = ["orders", "resolve", str(order["id"]), "partial", "--reason", "asked them"]

    assert "refunded must be above 0" in await refuse(shell, *wanted)
    assert "refunded: must be a decimal" in await refuse(shell, *wanted, "--refunded", "much")
    await run(shell, *wanted, "--refunded", "2.50")

    assert str((await world.balance(reseller)).available) == "6.50"
