"""What a submit attempt means: one failure or one answer in, one outcome out, nothing else.

Where two readings are possible the one that never sends twice and never refunds a guess wins.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import httpx

from app.providers import error_texts
from app.providers.excerpt import excerpt, reason
from app.providers.protocol import (
    Accepted,
    NotSent,
    RefusalKind,
    Refused,
    Unconfirmed,
)
from app.providers.reading import NotReadable, load_json, lower_keys

RETRY_AFTER_SECONDS_MIN: Final = 1.0
"""A provider that says "at once", or a date that has passed, must not be asked in a busy loop."""

RETRY_AFTER_SECONDS_MAX: Final = 86_400.0


class SendWithheld(Exception):
    """The sender's deadline passed between connecting and the first byte."""


# By their type these end before a byte is written, whatever else is known of the call.
_BEFORE_THE_WIRE: Final = (
    SendWithheld,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
# Of those, what never was the provider's doing: our deadline, our own bound on connections.
_OURS: Final = (SendWithheld, httpx.PoolTimeout)
# And these only come once the request is on its way.
_AFTER_THE_WIRE: Final = (
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.RemoteProtocolError,
)

# The provider, or a gateway before it, gave up waiting: on what, it does not say.
_GAVE_UP_WAITING: Final = HTTPStatus.REQUEST_TIMEOUT
_CREDENTIALS_STATUSES: Final = frozenset({401, 403})
_TURNED_AWAY_STATUSES: Final = _CREDENTIALS_STATUSES | {HTTPStatus.TOO_MANY_REQUESTS}
_PERMANENT_STATUSES: Final = frozenset({400, 404, 405, 413, 415, 422})

_VERDICT_KEYS: Final = ("status", "success")
_ID_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_A_TOKEN: Final = frozenset(
    {"null", "none", "nil", "undefined", "nan", "true", "false", "error"}
)
_FAILURE_WORDS: Final = frozenset({"error", "fail", "failed", "failure", "false", "0"})


def _as_said(said: dict[str, Any]) -> dict[str, Any]:
    return said


def classify_failure(
    failure: Exception, *, first_byte_begun: bool, secrets: Collection[str] = ()
) -> NotSent | Unconfirmed:
    """The outcome of a submit that ended without an answer."""
    said = reason(f"{type(failure).__name__}: {failure}".rstrip(": "), secrets)
    if isinstance(failure, _BEFORE_THE_WIRE):
        return NotSent(said, ours=isinstance(failure, _OURS))
    if first_byte_begun or isinstance(failure, _AFTER_THE_WIRE):
        return Unconfirmed(said)
    return NotSent(said)


def classify_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    secrets: Collection[str],
    terms: Callable[[dict[str, Any]], dict[str, Any]] = _as_said,
) -> Accepted | Refused | Unconfirmed:
    """The outcome of a submit that was answered; `headers` are looked up in lower case.

    `terms` says an answer of another dialect, its keys in lower case, in the words of API v2:
    `order`, `error`, and `status` or `success`.
    """
    answer = excerpt(body, secrets)
    said = _read(body, terms)

    taken = httpx.codes.is_success(status)
    if not taken and (not httpx.codes.is_client_error(status) or status == _GAVE_UP_WAITING):
        return Unconfirmed(f"HTTP {status}", answer)
    # A page or garbage comes from whatever stands before the provider as often as from itself, so
    # that a 400 or 404 without an object proves nothing of the order, and its money stays held.
    # Who is locked out or told to slow down was turned away before an order could be taken.
    if said is None and status not in _TURNED_AWAY_STATUSES:
        return Unconfirmed(f"HTTP {status}, and the answer is not a JSON object.", answer)
    said = said or {}
    if "order" in said:
        return _classify_order(status, said, answer)

    text = said.get("error")
    text = text.strip() if isinstance(text, str) else ""
    kind = refusal_kind(status, text)
    if kind is None:
        return Unconfirmed(f"HTTP {status} with neither an order nor an error.", answer)
    return Refused(
        kind, reason(text or f"HTTP {status}", secrets), answer, retry_after_seconds(headers, now)
    )


def retry_after_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the provider asks to wait, from seconds or an HTTP date, within our bounds.

    None when it does not ask.
    """
    asked = headers.get("retry-after", "").strip()
    if not asked:
        return None
    seconds = _seconds_until(asked, now)
    if seconds is None or not math.isfinite(seconds):
        return None
    return min(max(seconds, RETRY_AFTER_SECONDS_MIN), RETRY_AFTER_SECONDS_MAX)


def _read(body: bytes, terms: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any] | None:
    """The object that the body says, whatever its content type; None when it says none."""
    try:
        value = load_json(body)
        return terms(lower_keys(value)) if isinstance(value, dict) else None
    except NotReadable:
        return None


def _classify_order(status: int, said: Mapping[str, Any], answer: str) -> Accepted | Unconfirmed:
    """An answer that speaks of an order is accepted without a blemish, or it is unconfirmed."""
    if "error" in said:
        return Unconfirmed("Both an order and an error.", answer)
    if status >= HTTPStatus.BAD_REQUEST:
        return Unconfirmed(f"HTTP {status} with an order.", answer)
    if any(str(said.get(key, "")).strip().lower() in _FAILURE_WORDS for key in _VERDICT_KEYS):
        return Unconfirmed("An order, and a word that says it failed.", answer)
    order_id = given_id(said["order"])
    if order_id is None:
        return Unconfirmed("The order id is not an id.", answer)
    return Accepted(order_id, answer)


def given_id(value: object) -> str | None:
    """A positive integer or a short token, as text; a float or a boolean is no id."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    token = str(value).strip()
    if not _ID_TOKEN.fullmatch(token) or token.startswith("-"):
        return None
    if not token.strip("0") or token.lower() in _NOT_A_TOKEN:
        return None
    return token


def refusal_kind(status: int, text: str) -> RefusalKind | None:
    """The kind of refusal that an error text and a status state; None when neither does.

    A known text says more than the status.
    """
    kind = error_texts.kind_of(text) if text else RefusalKind.UNSEEN
    if kind is not RefusalKind.UNSEEN:
        return kind
    if status in _CREDENTIALS_STATUSES:
        return RefusalKind.CREDENTIALS
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RefusalKind.RATE_LIMITED
    if status in _PERMANENT_STATUSES:
        return RefusalKind.PERMANENT
    return RefusalKind.UNSEEN if text else None


def _seconds_until(asked: str, now: datetime) -> float | None:
    try:
        return float(asked)
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(asked)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
