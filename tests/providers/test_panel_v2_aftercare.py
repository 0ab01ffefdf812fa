"""Refills, cancels and spoilt batches in API v2: every shape in which providers answer them."""

import json
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qsl

import httpx
import pytest

from app.providers.adapters.panel_v2 import PanelV2
from app.providers.aftercare import (
    CancelAsked,
    CancelRefused,
    RefillProgress,
    RefillRefused,
    RefillState,
    RefillTaken,
)
from app.providers.batches import EXTRA_CALLS_MAX
from app.providers.protocol import (
    CANCEL_BATCH_MAX,
    REFILL_BATCH_MAX,
    STATUS_BATCH_MAX,
    CancelAnswer,
    IdUnknown,
    Progress,
    ProviderAccount,
    ProviderUnreachable,
    RefillAnswer,
    RefillStatusAnswer,
    TroubleKind,
    Unconfirmed,
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
UNKNOWN_ORDER = {"error": "Incorrect order ID"}
UNKNOWN_REFILL = {"error": "Refill not found"}

Answering = Callable[[dict[str, str]], object]


class Provider:
    """A scripted wire: what it answers to a form, or one answer to all; and what was asked."""

    def __init__(self, answer: object, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.asked: list[dict[str, str]] = []

    def adapter(self) -> PanelV2:
        return PanelV2(Wire(transport=httpx.MockTransport(self._respond)))

    async def refills(self, *order_ids: str) -> dict[str, RefillAnswer]:
        return dict(await self.adapter().refill(ACCOUNT, order_ids))

    async def refill_statuses(self, *refill_ids: str) -> dict[str, RefillStatusAnswer]:
        return dict(await self.adapter().refill_status(ACCOUNT, refill_ids))

    async def cancels(self, *order_ids: str) -> dict[str, CancelAnswer]:
        return dict(await self.adapter().cancel(ACCOUNT, order_ids))

    def _respond(self, request: httpx.Request) -> httpx.Response:
        form = dict(parse_qsl(request.content.decode(), keep_blank_values=True))
        self.asked.append(form)
        body = self.answer(form) if callable(self.answer) else self.answer
        if isinstance(body, Exception):
            raise body
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(self.status, headers={"Retry-After": "4"}, content=_stream(raw))


async def _stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


def spoilt_by(bad: set[str], ids: str, error: object, fine: Callable[[str], object]) -> Answering:
    """Answers one error to every batch that holds a bad id."""

    def answer(form: dict[str, str]) -> object:
        asked = form[ids].split(",")
        return error if bad & set(asked) else fine(form[ids])

    return answer


def statuses(ids: str) -> object:
    return {one: {"status": "In progress", "remains": 5} for one in ids.split(",")}


async def test_a_batch_that_an_unknown_id_spoils_is_told_id_by_id() -> None:
    ids = [str(number) for number in range(50)]
    provider = Provider(spoilt_by({"41", "17"}, "orders", UNKNOWN_ORDER, statuses))
    answers = dict(await provider.adapter().status(ACCOUNT, ids))

    assert set(answers) == set(ids)
    assert {one for one, said in answers.items() if said == IdUnknown()} == {"41", "17"}
    assert sum(isinstance(said, Progress) for said in answers.values()) == 48
    assert len(provider.asked) <= 1 + EXTRA_CALLS_MAX


async def test_what_is_still_open_is_unreadable_and_not_unknown() -> None:
    ids = [str(number) for number in range(100)]
    provider = Provider(spoilt_by(set(ids), "orders", UNKNOWN_ORDER, statuses))
    answers = dict(await provider.adapter().status(ACCOUNT, ids))

    alone = {form["orders"] for form in provider.asked if "," not in form["orders"]}
    assert {one for one, said in answers.items() if said == IdUnknown()} == alone
    assert {type(said) for said in answers.values()} == {IdUnknown, Unreadable}
    assert len(provider.asked) == 1 + EXTRA_CALLS_MAX


@pytest.mark.parametrize(
    ("body", "answers"),
    [
        ({"refill": "1"}, {"7": RefillTaken("1")}),
        ({"refill": 1}, {"7": RefillTaken("1")}),
        ({"Refill": "1", "status": "success"}, {"7": RefillTaken("1")}),
        ({"order": 7, "refill": "1"}, {"7": RefillTaken("1")}),
        ([{"order": 7, "refill": 1}], {"7": RefillTaken("1")}),
        ([{"Order": "7", "Refill": "1"}], {"7": RefillTaken("1")}),
        ({"7": {"refill": "1"}}, {"7": RefillTaken("1")}),
        ({"7": 1}, {"7": RefillTaken("1")}),
        ({"refill": {"error": "No refill"}}, {"7": RefillRefused("No refill")}),
        ([{"order": 7, "refill": {"error": "No refill"}}], {"7": RefillRefused("No refill")}),
        ([{"order": 7, "error": "No refill"}], {"7": RefillRefused("No refill")}),
        ({"7": {"error": "No refill"}}, {"7": RefillRefused("No refill")}),
        ({"error": "No refill"}, {"7": RefillRefused("No refill")}),
        (UNKNOWN_ORDER, {"7": RefillRefused("Incorrect order ID")}),
    ],
)
async def test_a_refill_of_one_order_is_understood_in_every_shape(
    body: object, answers: dict[str, RefillAnswer]
) -> None:
    provider = Provider(body)
    assert await provider.refills("7") == answers
    assert provider.asked == [{"key": KEY, "action": "refill", "orders": "7"}]


async def test_a_batch_of_refills_answers_each_order_for_itself() -> None:
    listed: list[object] = [
        {"order": 1, "refill": 11},
        {"order": "2", "refill": "12"},
        {"order": 3, "refill": {"error": "Incorrect order ID"}},
        {"order": 4, "refill": None},
        {"order": 5, "refill": 0},
        {"order": 6, "refill": 16},
        {"order": 6, "refill": 17},
        {"order": 7, "refill": 17},
        {"order": 7, "refill": 17},
        {"order": 99, "refill": 1},
        {"refill": 5},
        {"order": 8, "Order": 9, "refill": 1},
        "nonsense",
    ]
    provider = Provider(listed)
    answers = await provider.refills(*"12345678", "1")

    assert provider.asked == [{"key": KEY, "action": "refill", "orders": "1,2,3,4,5,6,7,8"}]
    assert set(answers) == set("12345678")
    assert (answers["1"], answers["2"]) == (RefillTaken("11"), RefillTaken("12"))
    assert answers["3"] == RefillRefused("Incorrect order ID")
    assert answers["7"] == RefillTaken("17")
    for unclear in "4568":
        assert isinstance(answers[unclear], Unconfirmed)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"<html>", 200),
        (b"<html>", 404),
        (b'[{"order": 1, "ref', 200),
        (b"5", 200),
        ([], 200),
        ({}, 200),
        ([{"order": 1, "refill": 1}], 500),
        (b"", 408),
        (b"", 302),
        (UNKNOWN_ORDER, 200),
        ({"error": "Something else"}, 200),
        (httpx.ReadTimeout("silent"), 200),
        (httpx.WriteError("reset"), 200),
        (httpx.RemoteProtocolError("half"), 200),
    ],
)
async def test_a_refill_whose_answer_is_lost_or_unclear_may_have_been_taken(
    body: object, status: int
) -> None:
    provider = Provider(body, status)
    answers = await provider.refills("1", "2")
    assert len(provider.asked) == 1
    assert set(answers) == {"1", "2"}
    assert all(isinstance(said, Unconfirmed) for said in answers.values())


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (httpx.ConnectError("refused"), 200, TroubleKind.TRANSPORT),
        ({"error": "Invalid API key"}, 200, TroubleKind.CREDENTIALS),
        (b"<html>", 403, TroubleKind.CREDENTIALS),
        (b"", 429, TroubleKind.RATE_LIMITED),
        ({"error": "We are under maintenance"}, 200, TroubleKind.MAINTENANCE),
    ],
)
async def test_a_refill_that_was_certainly_not_taken_is_trouble_and_may_be_asked_again(
    body: object, status: int, kind: TroubleKind
) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body, status).refills("1", "2")
    assert raised.value.kind == kind


async def test_the_key_is_in_no_answer_about_a_refill_or_a_cancel() -> None:
    echo = {"order": 7, "refill": [KEY], "cancel": {"error": KEY}}
    for said in (await Provider([echo]).refills("7"), await Provider([echo]).cancels("7")):
        assert KEY not in repr(said)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Pending", RefillState.PENDING),
        ("Awaiting", RefillState.PENDING),
        ("In progress", RefillState.IN_PROGRESS),
        ("PROCESSING", RefillState.IN_PROGRESS),
        ("completed", RefillState.COMPLETED),
        ("Rejected", RefillState.REJECTED),
        ("Canceled", RefillState.REJECTED),
        ("Error", RefillState.ERROR),
        ("Fail", RefillState.ERROR),
        ("Perhaps", RefillState.UNKNOWN),
    ],
)
async def test_every_word_for_a_refill_has_a_state_and_a_new_one_is_unknown(
    word: str, state: RefillState
) -> None:
    assert await Provider({"status": word}).refill_statuses("1") == {
        "1": RefillProgress(state, word)
    }


@pytest.mark.parametrize(
    "body",
    [
        [{"refill": 1, "status": "Completed"}, {"refill": 3, "status": UNKNOWN_REFILL}],
        [{"refill": "1", "status": "Completed"}, {"refill": "3", "error": "Refill not found"}],
        [{"refill": 1, "status": "Completed"}],
        {"1": {"status": "Completed"}, "3": {"error": "error.incorrect_refill_id"}},
        {"1": "Completed", "3": UNKNOWN_REFILL},
    ],
)
async def test_a_batch_of_refills_is_asked_once_in_every_shape(body: object) -> None:
    provider = Provider(body)
    assert await provider.refill_statuses("1", "3") == {
        "1": RefillProgress(RefillState.COMPLETED, "Completed"),
        "3": IdUnknown(),
    }
    assert provider.asked == [{"key": KEY, "action": "refill_status", "refills": "1,3"}]


async def test_a_refill_that_makes_no_sense_spoils_no_other() -> None:
    body = [
        {"refill": 1, "status": "Completed"},
        {"refill": 2, "status": None},
        {"refill": 3, "status": {"error": "Later"}},
    ]
    answers = await Provider(body).refill_statuses("1", "2", "3")
    assert answers["1"] == RefillProgress(RefillState.COMPLETED, "Completed")
    assert isinstance(answers["2"], Unreadable)
    assert answers["3"] == Unreadable("Later")


async def test_an_unknown_refill_that_spoils_a_batch_is_singled_out() -> None:
    def fine(ids: str) -> object:
        return [{"refill": int(one), "status": "Pending"} for one in ids.split(",")]

    provider = Provider(spoilt_by({"5"}, "refills", UNKNOWN_REFILL, fine))
    answers = await provider.refill_statuses(*map(str, range(1, 20)))
    assert [one for one, said in answers.items() if said == IdUnknown()] == ["5"]
    assert sum(isinstance(said, RefillProgress) for said in answers.values()) == 18


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ([{"order": 2, "cancel": 1}], CancelAsked()),
        ([{"order": "2", "cancel": "1"}], CancelAsked()),
        ([{"Order": 2, "Cancel": True}], CancelAsked()),
        ({"2": {"cancel": 1}}, CancelAsked()),
        ({"2": 1}, CancelAsked()),
        ({"cancel": 1}, CancelAsked()),
        ({"order": 2, "cancel": 1}, CancelAsked()),
        ([{"order": 2, "cancel": UNKNOWN_ORDER}], CancelRefused("Incorrect order ID")),
        ([{"order": 2, "error": "Too late"}], CancelRefused("Too late")),
        ({"2": {"error": "Too late"}}, CancelRefused("Too late")),
        ({"error": "Too late"}, CancelRefused("Too late")),
        ([{"order": 2, "cancel": 0}], CancelRefused("The provider said no, and not why.")),
        ([{"order": 2, "cancel": "soon"}], Unreadable("Neither a yes nor an error.")),
        ([{"order": 3, "cancel": 1}], Unreadable("Neither a yes nor an error.")),
    ],
)
async def test_a_cancel_is_understood_in_every_shape(body: object, answer: CancelAnswer) -> None:
    provider = Provider(body)
    assert await provider.cancels("2") == {"2": answer}
    assert provider.asked == [{"key": KEY, "action": "cancel", "orders": "2"}]


async def test_a_cancel_that_one_order_spoils_is_asked_again_for_the_others() -> None:
    def fine(ids: str) -> object:
        return [{"order": int(one), "cancel": 1} for one in ids.split(",")]

    provider = Provider(spoilt_by({"5"}, "orders", {"error": "Order 5 is too far"}, fine))
    answers = await provider.cancels(*map(str, range(1, 9)))
    assert answers.pop("5") == CancelRefused("Order 5 is too far")
    assert set(answers.values()) == {CancelAsked()}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (httpx.ReadTimeout("silent"), 200, TroubleKind.TRANSPORT),
        (b"", 502, TroubleKind.SERVER),
        (b"<html>", 200, TroubleKind.UNREADABLE),
        ({"error": "Invalid API key"}, 200, TroubleKind.CREDENTIALS),
        (b"", 429, TroubleKind.RATE_LIMITED),
    ],
)
async def test_a_cancel_without_an_answer_says_nothing_of_any_order(
    body: object, status: int, kind: TroubleKind
) -> None:
    with pytest.raises(ProviderUnreachable) as raised:
        await Provider(body, status).cancels("1", "2")
    assert raised.value.kind == kind


async def test_more_ids_than_a_batch_are_a_mistake_and_none_ask_nothing() -> None:
    provider = Provider([])
    for ask, ids_max in (
        (provider.refills, REFILL_BATCH_MAX),
        (provider.refill_statuses, STATUS_BATCH_MAX),
        (provider.cancels, CANCEL_BATCH_MAX),
    ):
        with pytest.raises(ValueError, match=f"At most {ids_max}"):
            await ask(*map(str, range(ids_max + 1)))
        assert await ask() == {}
    assert provider.asked == []
