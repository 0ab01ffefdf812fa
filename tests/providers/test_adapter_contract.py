"""What every adapter promises, proved for each against a provider over real HTTP."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import httpx
import pytest

from app.providers.protocol import (
    Accepted,
    Adapter,
    IdUnknown,
    NotSent,
    Progress,
    ProviderAccount,
    ProviderState,
    ProviderUnreachable,
    RefusalKind,
    Refused,
    ServiceType,
    Submission,
    SubmitOutcome,
    Timeouts,
    TroubleKind,
    Unconfirmed,
)
from app.providers.registry import ADAPTERS, AdapterUnknown, get_adapter
from app.providers.wire import Wire
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import Provider
from app.simulator.server import Addresses, in_background

KEY = "the-right-key"
LINK = "https://example.com/p/1"
LIKES = Submission("102", ServiceType.DEFAULT, LINK, 100)
FAST = Timeouts(connect_seconds=1, read_seconds=0.3, total_seconds=0.8)


def panel_account(simulator: Addresses) -> ProviderAccount:
    return ProviderAccount(
        provider_id="prv_1",
        adapter="panel_v2",
        base_url=simulator.provider_url,
        credentials={"key": KEY},
        currency="USD",
        timeouts=FAST,
    )


# Each adapter's account with something that speaks its dialect.
ACCOUNTS: Final[dict[str, Callable[[Addresses], ProviderAccount]]] = {"panel_v2": panel_account}


class Bench:
    """One adapter, its account, and the control of the provider behind it."""

    def __init__(self, adapter: Adapter, account: ProviderAccount, control: httpx.AsyncClient):
        self.adapter = adapter
        self.account = account
        self.control = control

    async def submit(self, submission: Submission = LIKES) -> SubmitOutcome:
        return await self.adapter.submit(self.account, submission, may_send=lambda: True)

    async def accepted_id(self, submission: Submission = LIKES) -> str:
        outcome = await self.submit(submission)
        assert isinstance(outcome, Accepted)
        return outcome.provider_order_id

    async def script(self, *faults: str | None) -> None:
        await self.put("script", {"next": list(faults)})

    async def put(self, name: str, body: dict[str, Any]) -> None:
        answer = await self.control.put(f"/control/{name}", json=body)
        answer.raise_for_status()

    async def oracle(self) -> list[dict[str, Any]]:
        answer = await self.control.get("/control/accepted")
        accepted: list[dict[str, Any]] = answer.json()
        return accepted


@pytest.fixture
def simulator() -> Iterator[Addresses]:
    pace = Pace(units_per_second=1e9, start_delay_seconds=0, slow_byte_seconds=0.005)
    with in_background(Provider(Journal(None), pace=pace, key=KEY)) as addresses:
        yield addresses


@pytest.fixture(params=sorted(ADAPTERS))
async def bench(request: pytest.FixtureRequest, simulator: Addresses) -> AsyncIterator[Bench]:
    origin = simulator.provider_url.removesuffix("/api/v2")
    async with Wire() as wire, httpx.AsyncClient(base_url=origin, trust_env=False) as control:
        adapter = get_adapter(request.param, wire)
        yield Bench(adapter, ACCOUNTS[request.param](simulator), control)


def test_every_adapter_in_the_registry_is_in_the_contract() -> None:
    assert set(ACCOUNTS) == set(ADAPTERS)


async def test_an_adapter_has_the_name_it_is_registered_under(bench: Bench) -> None:
    assert bench.adapter.name == bench.account.adapter


async def test_a_name_that_no_adapter_has_is_told_with_the_names_there_are() -> None:
    async with Wire() as wire:
        with pytest.raises(AdapterUnknown, match="panel_v2"):
            get_adapter("nobody", wire)


@pytest.mark.parametrize(
    ("submission", "quantity"),
    [
        (LIKES, 100),
        (Submission("201", ServiceType.PACKAGE, LINK, 1), 1),
        (Submission("301", ServiceType.CUSTOM_COMMENTS, LINK, 5, tuple("abcde")), 5),
    ],
)
async def test_an_accepted_order_is_the_one_that_was_submitted(
    bench: Bench, submission: Submission, quantity: int
) -> None:
    order_id = await bench.accepted_id(submission)
    (order,) = await bench.oracle()
    assert (str(order["provider_order"]), str(order["service"])) == (
        order_id,
        submission.provider_service,
    )
    assert (order["link"], order["quantity"]) == (LINK, quantity)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("refuse", RefusalKind.PERMANENT),
        ("refuse_funds", RefusalKind.NO_FUNDS),
        ("refuse_unseen", RefusalKind.UNSEEN),
        ("link_busy", RefusalKind.LINK_BUSY),
        ("maintenance", RefusalKind.MAINTENANCE),
        ("too_many_requests", RefusalKind.RATE_LIMITED),
    ],
)
async def test_a_refused_order_was_not_taken(bench: Bench, fault: str, kind: RefusalKind) -> None:
    await bench.script(fault)
    outcome = await bench.submit()
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind
    assert await bench.oracle() == []


@pytest.mark.parametrize(
    "fault", ["accept_then_timeout", "lost_reply", "http_500_after_accept", "garbage"]
)
async def test_a_lost_reply_is_unconfirmed_never_refused(bench: Bench, fault: str) -> None:
    await bench.script(fault)
    assert isinstance(await bench.submit(), Unconfirmed)
    assert len(await bench.oracle()) == 1


@pytest.mark.parametrize("fault", ["http_500", "html"])
async def test_a_failure_that_took_nothing_is_unconfirmed_all_the_same(
    bench: Bench, fault: str
) -> None:
    await bench.script(fault)
    assert isinstance(await bench.submit(), Unconfirmed)
    assert await bench.oracle() == []


async def test_an_answer_byte_by_byte_is_still_an_answer(bench: Bench) -> None:
    await bench.script("slow_bytes")
    assert isinstance(await bench.submit(), Accepted)


async def test_what_may_not_be_sent_was_not_taken(bench: Bench) -> None:
    answers = iter([True, False])
    outcome = await bench.adapter.submit(bench.account, LIKES, may_send=lambda: next(answers))
    assert isinstance(outcome, NotSent)
    assert await bench.oracle() == []


@pytest.mark.parametrize(
    ("submission", "kind"),
    [
        (Submission("999", ServiceType.DEFAULT, LINK, 100), RefusalKind.SERVICE_GONE),
        (Submission("102", ServiceType.DEFAULT, LINK, 1), RefusalKind.PERMANENT),
        (Submission("102", ServiceType.DEFAULT, "nonsense", 100), RefusalKind.PERMANENT),
    ],
)
async def test_an_order_that_breaks_the_services_rules_is_refused(
    bench: Bench, submission: Submission, kind: RefusalKind
) -> None:
    outcome = await bench.submit(submission)
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


async def test_one_status_call_tells_how_each_order_ended(bench: Bench) -> None:
    await bench.script(None, "partial", "cancel")
    done, short, dropped = [await bench.accepted_id() for _ in range(3)]
    answers = await bench.adapter.status(bench.account, [done, short, dropped, "99"])

    assert set(answers) == {done, short, dropped, "99"}
    assert answers["99"] == IdUnknown()
    ended = {order_id: said for order_id, said in answers.items() if isinstance(said, Progress)}
    assert ended[done].state == ProviderState.COMPLETED
    assert (ended[done].remains, ended[done].charge_micros) == (0, 30_000)
    assert ended[short].state == ProviderState.PARTIAL
    assert 0 < (ended[short].remains or 0) < 100
    assert ended[dropped].state == ProviderState.CANCELED
    assert (ended[dropped].remains, ended[dropped].charge_micros) == (100, 0)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("status_html", TroubleKind.UNREADABLE), ("status_500", TroubleKind.SERVER)],
)
async def test_a_status_call_that_failed_says_nothing_of_any_order(
    bench: Bench, fault: str, kind: TroubleKind
) -> None:
    order_id = await bench.accepted_id()
    await bench.put("faults", {fault: 1})
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.status(bench.account, [order_id])
    assert raised.value.kind == kind


async def test_the_balance_falls_by_what_an_order_costs(bench: Bench) -> None:
    before = await bench.adapter.balance(bench.account)
    await bench.accepted_id()
    after = await bench.adapter.balance(bench.account)
    assert before.currency == after.currency == "USD"
    assert before.amount_micros - after.amount_micros == 30_000


async def test_the_catalogue_has_what_is_sold(bench: Bench) -> None:
    entries = {entry.service: entry for entry in await bench.adapter.services(bench.account)}
    assert entries["102"].rate_micros == 300_000
    assert (entries["102"].min, entries["102"].max) == (10, 100_000)
    assert {entry.service_type for entry in entries.values()} == {
        "Default",
        "Package",
        "Custom Comments",
    }


async def test_a_provider_that_is_gone_is_unreachable_and_takes_nothing(bench: Bench) -> None:
    gone = ProviderAccount(
        provider_id="prv_2",
        adapter=bench.account.adapter,
        base_url="http://127.0.0.1:1/api/v2",
        credentials=bench.account.credentials,
        currency="USD",
        timeouts=FAST,
    )
    assert isinstance(await bench.adapter.submit(gone, LIKES, may_send=lambda: True), NotSent)
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.balance(gone)
    assert raised.value.kind == TroubleKind.TRANSPORT


async def test_a_wrong_key_is_a_matter_of_credentials(bench: Bench) -> None:
    locked_out = ProviderAccount(
        provider_id="prv_1",
        adapter=bench.account.adapter,
        base_url=bench.account.base_url,
        credentials={"key": "the-wrong-key"},
        currency="USD",
        timeouts=FAST,
    )
    outcome = await bench.adapter.submit(locked_out, LIKES, may_send=lambda: True)
    assert isinstance(outcome, Refused)
    assert outcome.kind == RefusalKind.CREDENTIALS
    assert outcome.kind.pauses_provider
    with pytest.raises(ProviderUnreachable) as raised:
        await bench.adapter.status(locked_out, ["1"])
    assert raised.value.kind == TroubleKind.CREDENTIALS
