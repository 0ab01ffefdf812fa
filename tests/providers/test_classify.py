"""What a submit attempt means: every row of the send classification, one by one."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.core.http import BodyTooLarge, BodyUnreadable
from app.providers.classify import (
    RETRY_AFTER_SECONDS_MAX,
    RETRY_AFTER_SECONDS_MIN,
    SendWithheld,
    classify_answer,
    classify_failure,
    retry_after_seconds,
)
from app.providers.protocol import (
    ANSWER_CHARS_MAX,
    Accepted,
    NotSent,
    RefusalKind,
    Refused,
    Unconfirmed,
)

NOW = datetime(2026, 11, 23, 8, 15, 30, tzinfo=UTC)
KEY = "s3cret/key+ä"


def outcome_of(
    body: object, status: int = 200, headers: dict[str, str] | None = None
) -> Accepted | Refused | Unconfirmed:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return classify_answer(status, headers or {}, raw, now=NOW, secrets=(KEY,))


@pytest.mark.parametrize(
    "failure",
    [
        SendWithheld("late"),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.PoolTimeout("no slot"),
        httpx.UnsupportedProtocol("ftp"),
        httpx.InvalidURL("nonsense"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_fails_before_the_wire_was_not_sent(failure: Exception, *, begun: bool) -> None:
    assert isinstance(classify_failure(failure, first_byte_begun=begun), NotSent)


@pytest.mark.parametrize(
    ("failure", "ours"),
    [
        (SendWithheld("late"), True),
        (httpx.PoolTimeout("no slot"), True),
        (httpx.ConnectTimeout("slow"), False),
        (httpx.ConnectError("refused"), False),
        (TimeoutError(), False),
    ],
)
def test_what_we_withheld_ourselves_is_told_from_what_could_not_reach_the_provider(
    failure: Exception, *, ours: bool
) -> None:
    outcome = classify_failure(failure, first_byte_begun=False)
    assert isinstance(outcome, NotSent)
    assert outcome.ours is ours


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadError("reset"),
        httpx.ReadTimeout("silent"),
        httpx.WriteError("broken pipe"),
        httpx.WriteTimeout("stuck"),
        httpx.RemoteProtocolError("half an answer"),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
def test_what_fails_on_the_wire_is_unconfirmed(failure: Exception, *, begun: bool) -> None:
    assert isinstance(classify_failure(failure, first_byte_begun=begun), Unconfirmed)


@pytest.mark.parametrize(
    "failure",
    [
        TimeoutError(),
        OSError("no route"),
        httpx.LocalProtocolError("bad head"),
        BodyTooLarge("bomb"),
        BodyUnreadable("br"),
    ],
)
def test_any_other_failure_goes_by_the_first_byte(failure: Exception) -> None:
    assert isinstance(classify_failure(failure, first_byte_begun=False), NotSent)
    assert isinstance(classify_failure(failure, first_byte_begun=True), Unconfirmed)


@pytest.mark.parametrize(
    ("body", "order_id"),
    [
        ({"order": 23501}, "23501"),
        ({"order": "23501"}, "23501"),
        ({"order": " 23501 "}, "23501"),
        ({"Order": 23501}, "23501"),
        ({"status": "success", "order": 151}, "151"),
        ({"success": True, "order": 151}, "151"),
        ({"order": "ab_C-9"}, "ab_C-9"),
        ({"order": "x" * 64}, "x" * 64),
        ({"order": 2**63}, str(2**63)),
        ({"order": 7, "charge": "0.10", "currency": "USD"}, "7"),
        (b'\xef\xbb\xbf{"order": 7}', "7"),
    ],
)
def test_a_valid_order_id_is_accepted(body: object, order_id: str) -> None:
    outcome = outcome_of(body)
    assert isinstance(outcome, Accepted)
    assert outcome.provider_order_id == order_id


def test_a_created_status_with_an_order_id_is_accepted() -> None:
    assert isinstance(outcome_of({"order": 7}, 201), Accepted)


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", 0, "0", "000", True, False, -5, "-5", 7.0, 7.5, [7], {"id": 7},
        "null", "None", "undefined", "false", "x" * 65, "a b", "ä1", "7\x00", "１２",
    ],
)  # fmt: skip
def test_an_order_id_that_is_none_is_unconfirmed(value: object) -> None:
    assert isinstance(outcome_of({"order": value}), Unconfirmed)


@pytest.mark.parametrize(
    "body",
    [
        {"order": 7, "error": "Bad link"},
        {"order": None, "error": "Bad link"},
        {"order": 7, "Error": ""},
        {"order": 7, "status": "fail"},
        {"order": 7, "success": False},
        b'{"order": 7, "order": 8}',
        {"order": 7, "Order": 8},
    ],
)
def test_an_answer_that_contradicts_itself_is_unconfirmed(body: object) -> None:
    assert isinstance(outcome_of(body), Unconfirmed)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b'{"order": 235',
        b'{"order": NaN}',
        b"\xff\xfe",
        b"null",
        b"23501",
        b"[" * 100_000,
        b'{"order": ' + b"9" * 5000 + b"}",
        b'{"order": 1e99999999999999999999999}',
        [{"order": 7}],
        "23501",
        {},
        {"message": "Bad link"},
        {"data": {"order": 7}},
        {"error": ""},
        {"error": None},
        {"error": 5},
        {"error": {"code": 1}},
    ],
)
def test_garbage_is_unconfirmed(body: object) -> None:
    assert isinstance(outcome_of(body), Unconfirmed)


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308, 408, 500, 502, 503, 504, 520])
@pytest.mark.parametrize("body", [b"", {"order": 7}, {"error": "Bad link"}])
def test_redirects_408_and_5xx_are_unconfirmed_whatever_they_say(status: int, body: object) -> None:
    assert isinstance(outcome_of(body, status), Unconfirmed)


TEXTS = [
    ("Invalid API key", RefusalKind.CREDENTIALS),
    ("invalid api key.", RefusalKind.CREDENTIALS),
    ("Not enough funds on balance", RefusalKind.NO_FUNDS),
    ("NOT ENOUGH FUNDS", RefusalKind.NO_FUNDS),
    ("neworder.error.not_enough_funds", RefusalKind.NO_FUNDS),
    ("Недостаточно средств на балансе.", RefusalKind.NO_FUNDS),
    ("Incorrect service ID", RefusalKind.SERVICE_GONE),
    ("error.incorrect_service_id", RefusalKind.SERVICE_GONE),
    (
        "You have active order with this link. Please wait until order being completed.",
        RefusalKind.LINK_BUSY,
    ),
    ("neworder.error.link_duplicate", RefusalKind.LINK_BUSY),
    ("Bad link", RefusalKind.PERMANENT),
    ("bad link.", RefusalKind.PERMANENT),
    ("neworder.error.link", RefusalKind.PERMANENT),
    ("Incorrect request", RefusalKind.PERMANENT),
    ("Quantity less than minimal 50", RefusalKind.PERMANENT),
    ("quantity  less than minimal 50.", RefusalKind.PERMANENT),
    ("Quantity more than maximum 10000", RefusalKind.PERMANENT),
    ("neworder.error.min_quantity", RefusalKind.PERMANENT),
    ("neworder.error.max_quantity", RefusalKind.PERMANENT),
    ("Too many requests, slow down", RefusalKind.RATE_LIMITED),
    ("Rate limit exceeded", RefusalKind.RATE_LIMITED),
    ("The panel is under maintenance", RefusalKind.MAINTENANCE),
    ("The stars do not allow it", RefusalKind.UNSEEN),
    ("Bad link or good link, who knows", RefusalKind.UNSEEN),
]


@pytest.mark.parametrize(("text", "kind"), TEXTS)
def test_an_error_text_says_what_kind_of_refusal_it_is(text: str, kind: RefusalKind) -> None:
    outcome = outcome_of({"error": text})
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.reason) == (kind, text)


@pytest.mark.parametrize(("text", "kind"), [row for row in TEXTS if row[1] != RefusalKind.UNSEEN])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429])
def test_a_known_error_text_wins_over_a_4xx(text: str, kind: RefusalKind, status: int) -> None:
    outcome = outcome_of({"Error": text}, status)
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


@pytest.mark.parametrize("body", [{"error": "Who are you?"}, {"message": "no"}, {}])
@pytest.mark.parametrize("status", [400, 404, 405, 413, 415, 422])
def test_a_4xx_whose_object_has_no_known_text_is_permanent(body: object, status: int) -> None:
    outcome = outcome_of(body, status)
    assert isinstance(outcome, Refused)
    assert outcome.kind == RefusalKind.PERMANENT


@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b'{"order": 7', b"[]", b'"no"', b"null"])
@pytest.mark.parametrize("status", [400, 402, 404, 405, 409, 413, 415, 422])
def test_a_4xx_that_is_no_object_is_no_proof_of_a_refusal(body: bytes, status: int) -> None:
    assert isinstance(outcome_of(body, status), Unconfirmed)


@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b"[]", {"error": "Who are you?"}, {}])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, RefusalKind.CREDENTIALS),
        (403, RefusalKind.CREDENTIALS),
        (429, RefusalKind.RATE_LIMITED),
    ],
)
def test_who_is_locked_out_or_told_to_slow_down_was_refused_whatever_the_body_is(
    body: object, status: int, kind: RefusalKind
) -> None:
    outcome = outcome_of(body, status)
    assert isinstance(outcome, Refused)
    assert outcome.kind == kind


@pytest.mark.parametrize("status", [402, 406, 409, 410, 418, 451, 499])
def test_a_4xx_that_nobody_classified_is_no_proof_of_a_refusal(status: int) -> None:
    assert isinstance(outcome_of(b"<html>", status), Unconfirmed)
    said = outcome_of({"error": "Something new"}, status)
    assert isinstance(said, Refused)
    assert said.kind == RefusalKind.UNSEEN


@pytest.mark.parametrize("status", [400, 403, 422, 429])
def test_a_4xx_that_speaks_of_an_order_is_unconfirmed(status: int) -> None:
    assert isinstance(outcome_of({"order": 7}, status), Unconfirmed)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("0", RETRY_AFTER_SECONDS_MIN),
        ("0.001", RETRY_AFTER_SECONDS_MIN),
        ("-3", RETRY_AFTER_SECONDS_MIN),
        ("Mon, 23 Nov 2026 08:16:00 GMT", 30.0),
        ("Mon, 23 Nov 2026 08:00:00 GMT", RETRY_AFTER_SECONDS_MIN),
        ("99999999999", RETRY_AFTER_SECONDS_MAX),
        ("nan", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str, seconds: float | None) -> None:
    outcome = outcome_of(b"", 429, {"retry-after": header})
    assert isinstance(outcome, Refused)
    assert outcome.retry_after_seconds == seconds


@given(st.text())
@example("Mon, 23 Nov 99999999999999999999 08:16:00 GMT")
@example("Mon, 23 Nov 2026 08:16:00 +99999999999999999999")
def test_no_retry_after_header_can_raise(header: str) -> None:
    waited = retry_after_seconds({"retry-after": header}, NOW)
    assert waited is None or RETRY_AFTER_SECONDS_MIN <= waited <= RETRY_AFTER_SECONDS_MAX


@given(st.binary(), st.integers(min_value=100, max_value=599))
def test_no_bytes_can_raise_and_random_ones_are_never_accepted(body: bytes, status: int) -> None:
    assert not isinstance(outcome_of(body, status), Accepted)


@pytest.mark.parametrize("said", [f"Bad key {KEY}", "Bad key s3cret%2Fkey%2B%C3%A4", KEY])
def test_a_key_that_is_echoed_never_reaches_the_evidence(said: str) -> None:
    for outcome in (outcome_of({"error": said}), outcome_of({"order": 7, "echo": said})):
        assert "s3cret" not in repr(outcome)


def test_the_evidence_is_short_and_fit_for_postgres() -> None:
    outcome = outcome_of(b'{"order": 7, "x": "\x00\xed\xa0\x80' + b"y" * 5000 + b'"}')
    assert len(outcome.answer) == ANSWER_CHARS_MAX
    outcome.answer.encode()
    assert "\x00" not in outcome.answer

    refused = outcome_of(b'{"error": "nul \\u0000 and half a pair \\ud800"}')
    assert isinstance(refused, Refused)
    refused.reason.encode()
    assert "\x00" not in refused.reason
