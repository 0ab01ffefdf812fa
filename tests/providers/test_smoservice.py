"""SMOService as its client: what is asked on the wire, and what its answers mean."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import parse_qsl

import httpx
import pytest

from app.providers.adapters.smoservice import CALLS_AT_ONCE_MAX, SmoService
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
    SubmitOutcome,
    Timeouts,
    TroubleKind,
    Unconfirmed,
    Unreadable,
)
from app.providers.wire import Wire

KEY = "k3y-of-ours"
ACCOUNT = ProviderAccount(
    provider_id="prv_1",
    adapter="smoservice",
    base_url="https://provider.test/api/",
    credentials={"user_id": "17", "api_key": KEY},
    currency="RUB",
)
SIGNED = {"user_id": "17", "api_key": KEY}
LINK = "https://example.com/p/1"
LIKES = Submission("807", ServiceType.DEFAULT, OrderForm(LINK, 3500), "ref-1")


def success(data: object, **more: object) -> dict[str, object]:
    return {"type": "success", "desc": "Order info", "data": data} | more


def error(desc: str) -> dict[str, object]:
    return {"type": "error", "desc": desc}


def standing(form: dict[str, str], status: str = "in_progress") -> dict[str, object]:
    return success({"order_id": form["order_id"], "status": status})


class Provider:
    """A scripted wire: what it answers to a form, or one answer to all; and what was asked."""

    def __init__(self, answer: object, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.asked: list[dict[str, str]] = []

    def adapter(self) -> SmoService:
        return SmoService(Wire(transport=httpx.MockTransport(self._respond)))

    async def submit(
        self, submission: Submission = LIKES, may_send: Callable[[], bool] = lambda: True
    ) -> SubmitOutcome:
        return await self.adapter().submit(ACCOUNT, submission, may_send=may_send)

    async def status_of(
        self, *ids: str, account: ProviderAccount = ACCOUNT
    ) -> dict[str, StatusAnswer]:
        return dict(await self.adapter().status(account, ids))

    def _respond(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        self.asked.append(form)
        body = self.answer(form) if callable(self.answer) else self.answer
        if isinstance(body, Exception):
            raise body
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(self.status, content=_stream(raw))


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


@pytest.mark.parametrize(
    ("submission", "count"),
    [(LIKES, "3500"), (Submission("807", ServiceType.PACKAGE, OrderForm(LINK), "ref-1"), "1")],
)
async def test_an_order_is_asked_for_in_the_dialects_own_fields(
    submission: Submission, count: str
) -> None:
    provider = Provider(success({"order_id": "17", "price": "45.33"}))
    outcome = await provider.submit(submission)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_order_id == "17"
    assert provider.asked == [
        SIGNED | {"action": "create_order", "service_id": "807", "count": count, "url": LINK}
    ]


@pytest.mark.parametrize(
    "service_type", [kind for kind in ServiceType if kind not in {"default", "package"}]
)
async def test_a_type_without_fields_in_the_dialect_is_refused_and_not_sent(
    service_type: ServiceType,
) -> None:
    provider = Provider(success({"order_id": "17"}))
    outcome = await provider.submit(Submission("807", service_type, OrderForm(LINK, 1), "ref-1"))
    assert isinstance(outcome, Refused)
    assert outcome.kind == RefusalKind.PERMANENT
    assert provider.asked == []


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (error("Invalid API key"), RefusalKind.CREDENTIALS),
        (error("Недостаточно средств"), RefusalKind.NO_FUNDS),
        (error("Недостаточно средств на балансе."), RefusalKind.NO_FUNDS),
        (error("Service not found"), RefusalKind.SERVICE_GONE),
        (error("Что-то новое"), RefusalKind.UNSEEN),
        ({"Type": "ERROR", "Desc": "Bad link"}, RefusalKind.PERMANENT),
        ({"type": "error"}, RefusalKind.UNSEEN),
    ],
)
async def test_an_answer_of_type_error_is_a_refusal(body: object, kind: RefusalKind) -> None:
    outcome = await Provider(body).submit()
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


@pytest.mark.parametrize(
    "body",
    [
        success({}),
        success(None),
        success([]),
        success({"order_id": None}),
        success({"order_id": 0}),
        {"data": {"order_id": "17"}},
        {"type": "pending", "data": {"order_id": "17"}},
        error("Bad link") | {"data": {"order_id": "17"}},
        {"type": "success"},
        {"order_id": "17"},
        success({"order_id": "17", "Order_Id": "18"}),
        [],
        b"<html>",
        b"",
    ],
)
async def test_what_is_neither_an_order_nor_an_error_is_unconfirmed(body: object) -> None:
    assert isinstance(await Provider(body).submit(), Unconfirmed)


async def test_trouble_on_the_wire_is_an_outcome_by_its_moment() -> None:
    assert isinstance(await Provider(httpx.ConnectError("refused")).submit(), NotSent)
    assert isinstance(await Provider(httpx.ReadTimeout("silent")).submit(), Unconfirmed)
    assert isinstance(await Provider(success({}), 502).submit(), Unconfirmed)
    withheld = Provider(success({"order_id": "17"}))
    assert isinstance(await withheld.submit(may_send=lambda: False), NotSent)
    assert withheld.asked == []


async def test_the_key_is_cut_out_of_answers_and_our_number_is_not() -> None:
    outcome = await Provider(success({"order_id": "17", "echo": KEY})).submit()
    assert isinstance(outcome, Accepted)
    assert KEY not in outcome.answer
    assert '"17"' in outcome.answer


async def test_each_order_is_asked_for_alone_and_answered_for_itself() -> None:
    def answer(form: dict[str, str]) -> object:
        return {
            "1": standing(form, "completed"),
            "2": error("Заказ не найден"),
            "3": error("Order not found"),
            "4": error("Ask me later"),
            "5": success({"order_id": "99", "status": "completed"}),
            "6": success({"order_id": "6"}),
            "7": success("nonsense"),
            "8": standing(form, "Отменен"),
        }[form["order_id"]]

    provider = Provider(answer)
    answers = await provider.status_of(*"12345678", "1")

    assert sorted(form["order_id"] for form in provider.asked) == list("12345678")
    assert all(
        form.items() >= (SIGNED | {"action": "check_order"}).items() for form in provider.asked
    )
    assert answers["1"] == Progress(ProviderState.COMPLETED, None, None, None, None, "completed")
    assert answers["2"] == answers["3"] == IdUnknown()
    assert answers["4"] == Unreadable("Ask me later")
    for spoilt in "567":
        assert isinstance(answers[spoilt], Unreadable)
    assert answers["8"] == Progress(ProviderState.CANCELED, None, None, None, None, "Отменен")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("new", ProviderState.PENDING),
        ("Новый", ProviderState.PENDING),
        ("запускается", ProviderState.PENDING),
        ("in_progress", ProviderState.IN_PROGRESS),
        ("Выполняется", ProviderState.IN_PROGRESS),
        ("completed", ProviderState.COMPLETED),
        ("Выполнен", ProviderState.COMPLETED),
        ("Частично", ProviderState.PARTIAL),
        ("canceled", ProviderState.CANCELED),
        ("Отменен", ProviderState.CANCELED),
        ("?", ProviderState.UNKNOWN),
    ],
)
async def test_a_status_word_may_be_of_either_language(word: str, state: ProviderState) -> None:
    said = (await Provider(lambda form: standing(form, word)).status_of("1"))["1"]
    assert isinstance(said, Progress)
    assert (said.state, said.raw_status) == (state, word)


async def test_when_the_provider_hears_no_more_the_rest_is_not_asked() -> None:
    def answer(form: dict[str, str]) -> object:
        return standing(form) if len(provider.asked) <= 10 else error("Too many requests")

    provider = Provider(answer)
    answers = await provider.status_of(*map(str, range(100)))
    assert len(provider.asked) <= 10 + CALLS_AT_ONCE_MAX
    assert sum(isinstance(said, Progress) for said in answers.values()) == 10
    assert sum(said == Unreadable("Not asked this time.") for said in answers.values()) == 90


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (httpx.ReadTimeout("silent"), 200, TroubleKind.TRANSPORT),
        (b"", 502, TroubleKind.SERVER),
        (b"<html>", 200, TroubleKind.UNREADABLE),
        (error("Too many requests"), 200, TroubleKind.RATE_LIMITED),
        (error("Invalid API key"), 200, TroubleKind.CREDENTIALS),
    ],
)
async def test_when_nothing_was_told_the_failure_is(
    body: object, status: int, kind: TroubleKind
) -> None:
    provider = Provider(body, status)
    with pytest.raises(ProviderUnreachable) as raised:
        await provider.status_of(*map(str, range(50)))
    assert raised.value.kind == kind
    assert len(provider.asked) <= CALLS_AT_ONCE_MAX


async def test_no_call_begins_when_the_accounts_time_is_over() -> None:
    provider = Provider(standing)
    hasty = replace(ACCOUNT, timeouts=Timeouts(total_seconds=0))
    assert set((await provider.status_of("1", "2", account=hasty)).values()) == {
        Unreadable("Not asked this time.")
    }
    assert provider.asked == []


async def test_more_ids_than_a_batch_are_a_mistake_and_none_ask_nothing() -> None:
    provider = Provider({})
    with pytest.raises(ValueError, match="At most 100"):
        await provider.status_of(*map(str, range(STATUS_BATCH_MAX + 1)))
    assert await provider.status_of() == {}
    assert provider.asked == []


async def test_the_balance_is_in_the_accounts_currency() -> None:
    provider = Provider(success({"balance": "14625.36"}))
    assert await provider.adapter().balance(ACCOUNT) == ProviderBalance(14_625_360_000, "RUB")
    assert provider.asked == [SIGNED | {"action": "balance"}]


@pytest.mark.parametrize("body", [success({}), success({"balance": "much"}), success([]), {}])
async def test_a_balance_that_cannot_be_read_is_no_balance(body: object) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body).adapter().balance(ACCOUNT)
    assert raised.value.kind == TroubleKind.UNREADABLE


async def test_a_price_is_that_of_one_unit_and_a_rate_that_of_a_thousand() -> None:
    views = {"id": "805", "name": "Views", "min": "1000", "max": "10000000", "price": "0.35"}
    spoilt = [views | {"price": "free"}, views | {"id": "a,b"}, views | {"max": 1}, "text", {}]
    absurd = views | {"price": "999999999999"}
    named = views | {"id": 9, "root_category_name": "YouTube", "category_name": "Views"}
    provider = Provider(success([views, *spoilt, absurd, named]))
    first, second = await provider.adapter().services(ACCOUNT)

    assert (first.service, first.rate_micros, first.min, first.max) == (
        "805",
        350_000_000,
        1000,
        10_000_000,
    )
    assert (first.service_type, first.category, first.refill) == ("Default", "", False)
    assert (second.service, second.category) == ("9", "YouTube / Views")
    assert provider.asked == [SIGNED | {"action": "services"}]


@pytest.mark.parametrize(
    "body",
    [success({}), success([{"name": "no id"}]), success(None), {"data": [], "Data": []}],
)
async def test_a_catalogue_that_cannot_be_read_is_not_an_empty_one(body: object) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body).adapter().services(ACCOUNT)
    assert raised.value.kind == TroubleKind.UNREADABLE
