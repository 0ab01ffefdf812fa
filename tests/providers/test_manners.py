"""API v2 as odd providers speak it: said in any of these ways, it means the same to us."""

import pytest

from app.providers.aftercare import (
    CancelAsked,
    CancelRefused,
    RefillProgress,
    RefillRefused,
    RefillState,
    RefillTaken,
)
from app.providers.forms import OrderForm
from app.providers.protocol import (
    Accepted,
    IdUnknown,
    Progress,
    ProviderState,
    RefusalKind,
    Refused,
)
from app.simulator.manners import Manner
from tests.providers.conftest import LINK, Bench, likes

# Words, keys, types and figures may all be odd at once.
TOGETHER = [manner for manner in Manner if manner != Manner.TEXTS]
MANNERS = pytest.mark.parametrize(
    "manners", [[], *([manner] for manner in Manner), TOGETHER], ids="+".join
)


async def speak(bench: Bench, manners: list[Manner]) -> None:
    await bench.put("manners", {"manners": manners})


@MANNERS
async def test_orders_are_taken_refused_and_followed(panel: Bench, manners: list[Manner]) -> None:
    await speak(panel, manners)
    await panel.script(None, "partial", "cancel")
    ids = [await panel.accepted_id() for _ in range(3)]
    assert [str(order["provider_order"]) for order in await panel.oracle()] == ids
    refused = await panel.submit(likes(OrderForm(LINK, 1)))
    assert isinstance(refused, Refused)
    assert refused.kind == RefusalKind.PERMANENT

    told = await panel.adapter.status(panel.account, [*ids, "99"])
    assert told["99"] == IdUnknown()
    ended = [said for said in told.values() if isinstance(said, Progress)]
    assert [said.state for said in ended] == [
        ProviderState.COMPLETED,
        ProviderState.PARTIAL,
        ProviderState.CANCELED,
    ]
    assert (ended[0].remains, ended[0].charge_micros) == (0, 30_000)
    assert (ended[2].remains, ended[2].charge_micros) == (100, 0)
    assert {said.currency for said in ended} == {"USD"}


@MANNERS
async def test_a_running_order_is_running(panel: Bench, manners: list[Manner]) -> None:
    await speak(panel, manners)
    await panel.put("speed", {"start_delay_seconds": 1000})
    order_id = await panel.accepted_id()
    said = (await panel.adapter.status(panel.account, [order_id]))[order_id]
    assert isinstance(said, Progress)
    assert said.state == ProviderState.PENDING
    assert said.remains == (None if Manner.UNKNOWN_FIGURES in manners else 100)


@MANNERS
async def test_refills_and_cancels_are_understood(panel: Bench, manners: list[Manner]) -> None:
    await speak(panel, manners)
    outcome = await panel.submit(likes(service="101"))
    assert isinstance(outcome, Accepted)
    order_id = outcome.provider_order_id
    taken = (await panel.adapter.refill(panel.account, [order_id]))[order_id]
    assert isinstance(taken, RefillTaken)
    again = (await panel.adapter.refill(panel.account, ["99"]))["99"]
    assert again == RefillRefused("Incorrect order ID")
    told = await panel.adapter.refill_status(panel.account, [taken.provider_refill_id, "9"])
    progress = told[taken.provider_refill_id]
    assert isinstance(progress, RefillProgress)
    assert (progress.state, told["9"]) == (RefillState.COMPLETED, IdUnknown())

    await panel.put("speed", {"start_delay_seconds": 1000})
    running = await panel.accepted_id()
    asked = await panel.adapter.cancel(panel.account, [running, "99"])
    assert asked == {running: CancelAsked(), "99": CancelRefused("Incorrect order ID")}


@MANNERS
async def test_the_balance_and_the_catalogue_are_read(panel: Bench, manners: list[Manner]) -> None:
    plain = (
        await panel.adapter.balance(panel.account),
        await panel.adapter.services(panel.account),
    )
    await speak(panel, manners)
    assert await panel.adapter.balance(panel.account) == plain[0]
    assert await panel.adapter.services(panel.account) == plain[1]
