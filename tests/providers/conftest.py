"""Every adapter on one bench: its account, and a real server that speaks its dialect."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import httpx
import pytest

from app.providers.forms import OrderForm, ServiceType
from app.providers.protocol import (
    Accepted,
    Adapter,
    Capability,
    ProviderAccount,
    Submission,
    SubmitOutcome,
    Timeouts,
)
from app.providers.registry import ADAPTERS, get_adapter
from app.providers.wire import Wire
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import Provider
from app.simulator.server import BackgroundServer
from tests.fixtures.pace import GIVE_UP_SECONDS
from tests.fixtures.sockets import PLAIN_HTTP

KEY: Final = "the-right-key"
LINK: Final = "https://example.com/p/1"
PATIENT: Final = Timeouts(
    connect_seconds=GIVE_UP_SECONDS, read_seconds=GIVE_UP_SECONDS, total_seconds=GIVE_UP_SECONDS
)

# Where each adapter's dialect is spoken, and what it signs in with.
SPOKEN_AT: Final = {
    "panel_v2": ("/api/v2", {"key": KEY}),
    "smoservice": ("/smoservice/api/", {"user_id": "17", "api_key": KEY}),
    "smmos": ("", {"key": KEY}),
    "manual": ("", {}),
}
WIRELESS: Final = {"manual"}


def likes(
    form: OrderForm | None = None,
    *,
    service: str = "102",
    service_type: ServiceType = ServiceType.DEFAULT,
    reference: str = "ref-1",
) -> Submission:
    """An order that any dialect can say, or another that the test gives."""
    return Submission(service, service_type, form or OrderForm(LINK, 100), reference)


class Bench:
    """One adapter, its account, and the control of the provider behind it."""

    def __init__(self, adapter: Adapter, account: ProviderAccount, control: httpx.AsyncClient):
        self.adapter = adapter
        self.account = account
        self.control = control

    def needs(self, capability: Capability) -> None:
        """Leave out what the adapter does not promise; that it says so is proved elsewhere."""
        if capability not in self.adapter.capabilities:
            pytest.skip(f"{self.adapter.name} makes no such promise: {capability}")

    async def submit(self, submission: Submission | None = None) -> SubmitOutcome:
        return await self.adapter.submit(self.account, submission or likes(), may_send=lambda: True)

    async def accepted_id(self, submission: Submission | None = None) -> str:
        outcome = await self.submit(submission)
        assert isinstance(outcome, Accepted), outcome
        return outcome.provider_order_id

    async def script(self, *faults: str | None) -> None:
        await self.put("script", {"next": list(faults)})

    async def put(self, name: str, body: dict[str, Any]) -> None:
        answer = await self.control.put(f"/control/{name}", json=body)
        answer.raise_for_status()

    async def oracle(self, name: str = "accepted") -> list[dict[str, Any]]:
        answer = await self.control.get(f"/control/{name}")
        accepted: list[dict[str, Any]] = answer.json()
        return accepted


@pytest.fixture
def origin(background: BackgroundServer) -> Iterator[str]:
    """A provider that delivers at once."""
    pace = Pace(
        units_per_second=1e9, start_delay_seconds=0, slow_byte_seconds=0.002, hang_seconds=0.1
    )
    with background.serving(Provider(Journal(None), pace=pace, key=KEY)) as addresses:
        yield addresses.provider_url.removesuffix("/api/v2")


async def benches(name: str, origin: str) -> AsyncIterator[Bench]:
    path, credentials = SPOKEN_AT[name]
    account = ProviderAccount(
        provider_id="prv_1",
        adapter=name,
        base_url=f"{origin}{path}",
        credentials=credentials,
        currency="USD",
        timeouts=PATIENT,
    )
    control = httpx.AsyncClient(base_url=origin, trust_env=False, verify=PLAIN_HTTP)
    async with Wire() as wire, control:
        yield Bench(get_adapter(name, wire), account, control)


@pytest.fixture(params=sorted(ADAPTERS))
async def any_bench(request: pytest.FixtureRequest, origin: str) -> AsyncIterator[Bench]:
    """Every adapter there is."""
    async for bench in benches(request.param, origin):
        yield bench


@pytest.fixture(params=sorted(set(ADAPTERS) - WIRELESS))
async def bench(request: pytest.FixtureRequest, origin: str) -> AsyncIterator[Bench]:
    """Every adapter that speaks over a wire."""
    async for made in benches(request.param, origin):
        yield made


@pytest.fixture
async def panel(origin: str) -> AsyncIterator[Bench]:
    """The adapter of API v2."""
    async for made in benches("panel_v2", origin):
        yield made
