"""API v2 as its client: what is asked on the wire, and what real providers answer."""

import json
from collections.abc import AsyncIterator, Sequence
from urllib.parse import parse_qs, quote

import httpx
import pytest

from app.providers.adapters.panel_v2 import PanelV2
from app.providers.protocol import (
    STATUS_BATCH_MAX,
    Accepted,
    IdUnknown,
    NotSent,
    OrderForm,
    Progress,
    ProviderAccount,
    ProviderBalance,
    ProviderState,
    ProviderUnreachable,
    RefusalKind,
    Refused,
    ServiceType,
    StatusAnswer,
    Submission,
    TroubleKind,
    Unreadable,
)
from app.providers.wire import Wire

KEY = "k3y-of-ours"
ACCOUNT = ProviderAccount(
    provider_id="prv_1",
    adapter="panel_v2",
    base_url="https://provider.test/api/v2",
    credentials={"key": KEY},
    currency="EUR",
)
LINK = "https://example.com/p/1"
LIKES = Submission("102", ServiceType.DEFAULT, OrderForm(LINK, 100), "ref-1")


class Provider:
    """A scripted wire: one answer to everything, and what was asked."""

    def __init__(self, body: object, status: int = 200, headers: dict[str, str] | None = None):
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.status = status
        self.headers = headers or {"Content-Type": "text/html"}
        self.asked: list[dict[str, str]] = []
        self.urls: list[str] = []

    def adapter(self) -> PanelV2:
        return PanelV2(Wire(transport=httpx.MockTransport(self._answer)))

    async def status_of(self, *order_ids: str) -> dict[str, StatusAnswer]:
        return dict(await self.adapter().status(ACCOUNT, order_ids))

    async def trouble(self, *order_ids: str) -> ProviderUnreachable:
        with pytest.raises(ProviderUnreachable) as raised:
            await self.adapter().status(ACCOUNT, order_ids or ("1", "2"))
        return raised.value

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.urls.append(str(request.url))
        fields = parse_qs(request.content.decode(), keep_blank_values=True, strict_parsing=True)
        self.asked.append({name: value for name, (value,) in fields.items()})
        return httpx.Response(self.status, headers=self.headers, content=self._stream())

    async def _stream(self) -> AsyncIterator[bytes]:
        yield self.body


def full(status: str, **changes: object) -> dict[str, object]:
    return {
        "charge": "0.27819",
        "start_count": "3572",
        "status": status,
        "remains": "157",
        "currency": "USD",
    } | changes


async def test_add_says_its_fields_with_the_key_and_nothing_else() -> None:
    provider = Provider({"order": 23501})
    outcome = await provider.adapter().submit(ACCOUNT, LIKES, may_send=lambda: True)

    assert outcome == Accepted("23501", '{"order": 23501}')
    fields = {"service": "102", "link": LINK, "quantity": "100"}
    assert provider.asked == [{"key": KEY, "action": "add"} | fields]
    assert provider.urls == [ACCOUNT.base_url]


async def test_a_refusal_says_how_long_to_wait() -> None:
    provider = Provider({"error": "Slow down"}, 429, {"Retry-After": "9"})
    outcome = await provider.adapter().submit(ACCOUNT, LIKES, may_send=lambda: True)
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.retry_after_seconds) == (RefusalKind.RATE_LIMITED, 9.0)


async def test_the_key_is_in_no_outcome_and_no_repr() -> None:
    provider = Provider({"error": f"Key {KEY} is bad", "key": KEY})
    outcome = await provider.adapter().submit(ACCOUNT, LIKES, may_send=lambda: True)
    assert KEY not in repr(outcome)
    assert KEY not in repr(ACCOUNT)
    assert KEY not in str(await Provider({"error": f"Key {KEY} is bad"}).trouble())


async def test_the_address_of_an_order_is_cut_out_of_what_is_answered_to_it() -> None:
    # As PHP writes it, and as a URL does.
    escaped, quoted = LINK.replace("/", r"\/"), quote(LINK, safe="")
    body = f'{{"error": "Taken: {escaped}", "link": "{LINK}", "at": "?link={quoted}"}}'.encode()
    outcome = await Provider(body).adapter().submit(ACCOUNT, LIKES, may_send=lambda: True)
    assert isinstance(outcome, Refused)
    assert outcome.reason == "Taken: [redacted]"
    assert outcome.answer.count("[redacted]") == 3


async def test_a_submit_that_may_no_longer_be_sent_asks_nothing() -> None:
    provider = Provider({"order": 1})
    outcome = await provider.adapter().submit(ACCOUNT, LIKES, may_send=lambda: False)
    assert isinstance(outcome, NotSent)
    assert provider.asked == []


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Pending", ProviderState.PENDING),
        ("Awaiting", ProviderState.PENDING),
        ("In progress", ProviderState.IN_PROGRESS),
        ("IN PROGRESS", ProviderState.IN_PROGRESS),
        ("in_progress", ProviderState.IN_PROGRESS),
        ("Inprogress", ProviderState.IN_PROGRESS),
        ("Processing", ProviderState.IN_PROGRESS),
        ("Completed", ProviderState.COMPLETED),
        ("Partial", ProviderState.PARTIAL),
        ("Canceled", ProviderState.CANCELED),
        ("Cancelled", ProviderState.CANCELED),
        ("Refunded", ProviderState.CANCELED),
        ("Fail", ProviderState.FAILED),
        ("Error", ProviderState.FAILED),
        ("Active", ProviderState.IN_PROGRESS),
        ("Paused", ProviderState.PAUSED),
        ("Expired", ProviderState.EXPIRED),
        ("Not completed", ProviderState.UNKNOWN),
        ("Выполнен", ProviderState.UNKNOWN),
        ("", ProviderState.UNKNOWN),
    ],
)
async def test_every_status_word_has_a_state_and_a_new_one_is_unknown(
    word: str, state: ProviderState
) -> None:
    said = (await Provider({"7": full(word)}).status_of("7"))["7"]
    assert isinstance(said, Progress)
    assert (said.state, said.raw_status) == (state, word)


async def test_a_batch_is_asked_once_and_answers_every_id() -> None:
    provider = Provider(
        {
            "1": full("Partial"),
            "10": {"error": "Incorrect order ID"},
            "11": {"error": "error.incorrect_order_id."},
            "12": {"error": "Ask me later"},
            "13": "nonsense",
            "14": {"charge": "1"},
            "15": full("Completed", charge="free"),
            "16": full("Completed", Status="Partial"),
            "99": full("Completed"),
        }
    )
    asked = ("1", "10", "11", "12", "13", "14", "15", "16", "17", "1")
    answers = await provider.status_of(*asked)

    assert provider.asked == [
        {"key": KEY, "action": "status", "orders": "1,10,11,12,13,14,15,16,17"}
    ]
    assert set(answers) == set(asked)
    assert answers["1"] == Progress(
        state=ProviderState.PARTIAL,
        remains=157,
        start_count=3572,
        charge_micros=278_190,
        currency="USD",
        raw_status="Partial",
    )
    assert answers["10"] == answers["11"] == IdUnknown()
    assert answers["17"] == IdUnknown(told=False)
    assert answers["12"] == Unreadable("Ask me later")
    for spoilt in ("13", "14", "15", "16"):
        assert isinstance(answers[spoilt], Unreadable)


@pytest.mark.parametrize(
    ("changes", "remains", "start_count", "charge_micros"),
    [
        ({"remains": 157, "start_count": 3572, "charge": 0.27819}, 157, 3572, 278_190),
        ({"remains": 157.0, "charge": 1}, 157, 3572, 1_000_000),
        ({"remains": "Unknown", "start_count": "", "charge": ""}, None, None, None),
        ({"remains": None, "start_count": None, "charge": None}, None, None, None),
        ({"remains": "-5"}, -5, 3572, 278_190),
        ({"remains": "1e3", "start_count": "12.5"}, None, None, 278_190),
        ({"remains": "9" * 30, "start_count": True}, None, None, 278_190),
        ({"charge": "0.0000001"}, 157, 3572, 1),
        ({"charge": ".5"}, 157, 3572, 500_000),
        ({"charge": "1.0E-5"}, 157, 3572, 10),
        ({"charge": "2.5e-05"}, 157, 3572, 25),
    ],
)
async def test_numbers_are_read_as_they_come_or_not_at_all(
    changes: dict[str, object],
    remains: int | None,
    start_count: int | None,
    charge_micros: int | None,
) -> None:
    said = (await Provider({"7": full("In progress", **changes)}).status_of("7"))["7"]
    assert isinstance(said, Progress)
    assert (said.remains, said.start_count, said.charge_micros) == (
        remains,
        start_count,
        charge_micros,
    )


@pytest.mark.parametrize("charge", ["-1", "NaN", "Infinity", "1e99", "9" * 20, "1,5", [], True])
async def test_an_absurd_charge_makes_the_answer_unreadable(charge: object) -> None:
    answers = await Provider({"7": full("Completed", charge=charge)}).status_of("7")
    assert isinstance(answers["7"], Unreadable)


@pytest.mark.parametrize("body", [full("Completed"), {"Status": "Completed", "Remains": 0}])
async def test_a_provider_that_answers_one_id_without_a_list_is_understood(
    body: dict[str, object],
) -> None:
    said = (await Provider(body).status_of("7"))["7"]
    assert isinstance(said, Progress)
    assert said.state == ProviderState.COMPLETED


async def test_a_list_of_entries_that_name_their_orders_is_understood() -> None:
    body = [
        full("Partial", order=1),
        {"Order": "2", "error": "Incorrect order ID"},
        full("Completed", order=3),
        full("Canceled", order=3),
        full("Completed"),
        "nonsense",
    ]
    answers = await Provider(body).status_of("1", "2", "3", "4")
    first = answers.pop("1")
    assert isinstance(first, Progress)
    assert (first.state, first.remains) == (ProviderState.PARTIAL, 157)
    assert isinstance(answers.pop("3"), Unreadable)
    assert answers == {"2": IdUnknown(), "4": IdUnknown(told=False)}


async def test_a_subscription_tells_of_its_posts() -> None:
    body = {"7": full("Active", posts="3", remains=None), "8": full("Completed")}
    answers = await Provider(body).status_of("7", "8")
    assert [said.posts for said in answers.values() if isinstance(said, Progress)] == [3, None]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"error": "Invalid API key"}, 200, TroubleKind.CREDENTIALS),
        (b"<html>", 401, TroubleKind.CREDENTIALS),
        ({"error": "Who?"}, 403, TroubleKind.CREDENTIALS),
        (b"", 429, TroubleKind.RATE_LIMITED),
        ({"error": "Too many requests"}, 200, TroubleKind.RATE_LIMITED),
        ({"error": "We are under maintenance"}, 200, TroubleKind.MAINTENANCE),
        ({"error": "Something else"}, 200, TroubleKind.REFUSED),
        ({"error": "Something else"}, 400, TroubleKind.REFUSED),
        (b"<html>", 200, TroubleKind.UNREADABLE),
        (b"", 200, TroubleKind.UNREADABLE),
        (b"<html>", 302, TroubleKind.UNREADABLE),
        (b"<html>", 404, TroubleKind.UNREADABLE),
        ({"1": {}}, 404, TroubleKind.UNREADABLE),
        ([], 200, TroubleKind.UNREADABLE),
        ([{"order": 9, "status": "Completed"}], 200, TroubleKind.UNREADABLE),
        (b'{"1": {"remains": NaN}}', 200, TroubleKind.UNREADABLE),
        (b"<html>", 502, TroubleKind.SERVER),
        ({"error": "Invalid API key"}, 503, TroubleKind.SERVER),
        (b"", 408, TroubleKind.SERVER),
    ],
)
async def test_a_call_that_failed_as_a_whole_says_why(
    body: object, status: int, kind: TroubleKind
) -> None:
    trouble = await Provider(body, status, {"Retry-After": "4"}).trouble()
    assert (trouble.kind, trouble.retry_after_seconds) == (kind, 4.0)


async def test_trouble_on_the_wire_says_nothing_of_any_order() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("silent", request=request)

    adapter = PanelV2(Wire(transport=httpx.MockTransport(fail)))
    with pytest.raises(ProviderUnreachable) as raised:
        await adapter.status(ACCOUNT, ["1"])
    assert raised.value.kind == TroubleKind.TRANSPORT


async def test_more_ids_than_a_batch_are_a_mistake_and_none_ask_nothing() -> None:
    provider = Provider({})
    with pytest.raises(ValueError, match="At most 100"):
        await provider.status_of(*map(str, range(STATUS_BATCH_MAX + 1)))
    assert await provider.status_of() == {}
    assert provider.asked == []


@pytest.mark.parametrize(
    ("body", "balance"),
    [
        (
            {"balance": "100.84292", "currency": "USD"},
            ProviderBalance(amount_micros=100_842_920, currency="USD"),
        ),
        ({"Balance": 100, "Currency": "usd"}, ProviderBalance(100_000_000, "USD")),
        ({"balance": 0.1}, ProviderBalance(100_000, "EUR")),
        ({"balance": "0.0000019"}, ProviderBalance(1, "EUR")),
        ({"balance": "0", "error": None}, ProviderBalance(0, "EUR")),
        ({"balance": "-5.2000001"}, ProviderBalance(-5_200_001, "EUR")),
        ({"balance": -5.2}, ProviderBalance(-5_200_000, "EUR")),
    ],
)
async def test_a_balance_is_exact_and_never_overstated(
    body: object, balance: ProviderBalance
) -> None:
    provider = Provider(body)
    assert await provider.adapter().balance(ACCOUNT) == balance
    assert provider.asked == [{"key": KEY, "action": "balance"}]


@pytest.mark.parametrize("body", [{}, {"balance": "a lot"}, {"balance": "--1"}, {"balance": None}])
async def test_a_balance_that_cannot_be_read_is_no_balance(body: object) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body).adapter().balance(ACCOUNT)
    assert raised.value.kind == TroubleKind.UNREADABLE


SERVICE = {
    "service": 1,
    "name": "Followers",
    "type": "Default",
    "category": "Instagram",
    "rate": "0.90",
    "min": "50",
    "max": "10000",
    "refill": True,
    "cancel": False,
    "dripfeed": "1",
    "description": "extra keys are allowed",
}


async def test_the_catalogue_is_read_and_what_cannot_be_read_is_left_out() -> None:
    spoilt: Sequence[object] = [
        "text",
        {},
        SERVICE | {"rate": "free"},
        SERVICE | {"rate": -1},
        SERVICE | {"min": "10", "max": "9"},
        SERVICE | {"service": None},
        SERVICE | {"service": "a,b"},
    ]
    loose = {"Service": "2b", "Name": 7, "Type": "package", "Rate": 1.5, "Min": 1, "Max": 1}
    loose |= {"Category": None}
    entries = await Provider([SERVICE, *spoilt, loose]).adapter().services(ACCOUNT)

    assert [entry.service for entry in entries] == ["1", "2b"]
    first, second = entries
    assert (first.rate_micros, first.min, first.max) == (900_000, 50, 10_000)
    assert (first.refill, first.cancel, first.dripfeed) == (True, False, True)
    assert (second.name, second.service_type, second.rate_micros) == ("7", "package", 1_500_000)
    assert (second.category, second.refill) == ("", False)


@pytest.mark.parametrize("body", [{"1": SERVICE}, [{"name": "no id"}]])
async def test_a_catalogue_that_cannot_be_read_is_not_an_empty_one(body: object) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body).adapter().services(ACCOUNT)
    assert raised.value.kind == TroubleKind.UNREADABLE
