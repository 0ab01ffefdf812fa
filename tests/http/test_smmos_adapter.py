"""The adapter `smmos` against the platform itself: what it promises holds for our own API v1."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from app.providers.adapters.smmos import Smmos
from app.providers.forms import OrderForm, ServiceType
from app.providers.protocol import (
    Accepted,
    Found,
    IdUnknown,
    NotThere,
    Progress,
    ProviderAccount,
    ProviderState,
    ProviderUnreachable,
    RefusalKind,
    Refused,
    Submission,
    SubmitOutcome,
    TroubleKind,
    Unconfirmed,
)
from app.providers.wire import Wire
from tests.fixtures.world import LINK, ResellerCaller, World

REFERENCE = "01999999-0000-7000-8000-000000000001"


class Other:
    """The other installation, as one of its resellers reaches it."""

    def __init__(self, adapter: Smmos, reseller: ResellerCaller) -> None:
        self.adapter = adapter
        self.account = ProviderAccount(
            provider_id="prv_1",
            adapter="smmos",
            base_url="http://smmos.test/",
            credentials={"key": reseller.key},
            currency="USD",
        )

    async def submit(
        self, service: object, *, reference: str = REFERENCE, quantity: int = 1000
    ) -> SubmitOutcome:
        form = OrderForm(LINK, quantity)
        return await self.adapter.submit(
            self.account,
            Submission(str(service), ServiceType.DEFAULT, form, reference),
            may_send=lambda: True,
        )


@pytest.fixture
async def other(app: FastAPI, world: World) -> AsyncIterator[Other]:
    async with Wire(transport=httpx.ASGITransport(app)) as wire:
        yield Other(Smmos(wire), await world.reseller(balance="1.00"))


async def test_an_order_is_placed_followed_and_found_by_our_reference(
    other: Other, world: World
) -> None:
    service = await world.service()

    placed = await other.submit(service.id)

    assert isinstance(placed, Accepted)
    assert LINK not in placed.answer  # what is kept of an answer names nobody
    found = await other.adapter.find(other.account, [REFERENCE, "another"])
    assert found == {REFERENCE: Found(placed.provider_order_id), "another": NotThere()}
    told = await other.adapter.status(other.account, [placed.provider_order_id, "1"])
    assert told["1"] == IdUnknown()
    progress = told[placed.provider_order_id]
    assert isinstance(progress, Progress)
    assert (progress.state, progress.charge_micros) == (ProviderState.PENDING, 900_000)
    balance = await other.adapter.balance(other.account)
    assert (balance.amount_micros, balance.currency) == (100_000, "USD")


async def test_an_order_sent_twice_under_one_reference_is_one_order(
    other: Other, world: World
) -> None:
    service = await world.service()
    first = await other.submit(service.id)
    assert await other.submit(service.id) == first
    assert await world.count("orders") == 1


async def test_another_order_under_a_used_reference_is_unconfirmed_for_one_was_taken(
    other: Other, world: World
) -> None:
    service = await world.service()
    await other.submit(service.id, quantity=100)
    assert isinstance(await other.submit(service.id, quantity=200), Unconfirmed)


async def test_refusals_are_understood_by_their_codes(other: Other, world: World) -> None:
    service, gone = await world.service(), await world.service(on_sale=False)
    kinds = [
        (await other.submit(service.id, quantity=5000, reference="r-1"), RefusalKind.NO_FUNDS),
        (await other.submit(gone.id, reference="r-2"), RefusalKind.SERVICE_GONE),
        (await other.submit("none", reference="r-3"), RefusalKind.PERMANENT),
        (await other.submit(service.id, quantity=1, reference="r-4"), RefusalKind.PERMANENT),
    ]
    for outcome, kind in kinds:
        assert isinstance(outcome, Refused), outcome
        assert outcome.kind == kind, outcome
    assert await world.count("orders") == 0


async def test_what_is_on_sale_is_listed(other: Other, world: World) -> None:
    services = [await world.service() for _ in range(3)]
    entries = {one.service: one for one in await other.adapter.services(other.account)}
    assert set(entries) == {str(one.id) for one in services}
    assert entries[str(services[0].id)].rate_micros == services[0].rate_micros


async def test_a_wrong_key_is_told_as_such(other: Other, world: World) -> None:
    service = await world.service()
    other.account = replace(other.account, credentials={"key": "smm_live_wrong"})
    refused = await other.submit(service.id)
    assert isinstance(refused, Refused)
    assert refused.kind is RefusalKind.CREDENTIALS
    with pytest.raises(ProviderUnreachable) as raised:
        await other.adapter.balance(other.account)
    assert raised.value.kind is TroubleKind.CREDENTIALS
