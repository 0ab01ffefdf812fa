"""The odd ways in which providers speak API v2, each to be switched on by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from app.simulator.faults import ControlInvalid
from app.simulator.replies import Reply


class Manner(StrEnum):
    """What is said is true in each of them; only how it is said differs."""

    NUMBERS = "numbers"
    """Numbers where the standard has texts."""

    TEXTS = "texts"
    """Texts where the standard has numbers."""

    CAPITALS = "capitals"
    """Keys with a capital letter."""

    LOUD_WORDS = "loud_words"
    """Status words in capitals."""

    OTHER_WORDS = "other_words"
    """Cancelled and Awaiting for Canceled and Pending."""

    SUCCESS_ORDER = "success_order"
    """A word of success beside the id of a new order."""

    UNKNOWN_FIGURES = "unknown_figures"
    """`remains` is Unknown and `start_count` empty, as long as an order runs."""

    WHOLE_ERROR = "whole_error"
    """One bad id, and the whole batch is answered by its error."""

    HTTP_400 = "http_400"
    """An error as a whole comes with HTTP 400."""

    HTML_TYPE = "html_type"
    """JSON that is called HTML."""


_OTHER_WORDS: Final = {"Canceled": "Cancelled", "Pending": "Awaiting"}
_RUNNING: Final = frozenset({"Pending", "In progress", "Active"})
_NUMBERS: Final = frozenset(
    {"charge", "start_count", "remains", "balance", "rate", "min", "max", "refill", "posts"}
)
_KEYS: Final = _NUMBERS | {
    "order", "status", "currency", "error", "service", "name", "type", "category", "cancel",
    "dripfeed",
}  # fmt: skip


def chosen(wanted: object) -> frozenset[Manner]:
    """The manners of these names. Raises ControlInvalid."""
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        raise ControlInvalid("manners", "Not a list.")
    try:
        return frozenset(Manner(name) for name in wanted)
    except ValueError as error:
        raise ControlInvalid("manners", f"There is none but: {', '.join(Manner)}.") from error


def spoken(reply: Reply, manners: frozenset[Manner]) -> Reply:
    """The same answer, as a provider of these manners gives it."""
    payload = reply.payload
    for manner, change in _CHANGES.items():
        if manner in manners:
            payload = change(payload)
    is_error = isinstance(payload, Mapping) and any(key.lower() == "error" for key in payload)
    status = HTTPStatus.BAD_REQUEST if is_error and Manner.HTTP_400 in manners else reply.status
    media_type = "text/html" if Manner.HTML_TYPE in manners else reply.media_type
    return replace(reply, payload=payload, status=int(status), media_type=media_type)


def _whole_error(payload: Any) -> Any:
    """An error in an entry, or in the value of one, stands for all."""
    entries = payload if isinstance(payload, list) else list(payload.values())
    for entry in entries:
        for said in (entry, *(entry.values() if isinstance(entry, Mapping) else ())):
            if isinstance(said, Mapping) and "error" in said:
                return {"error": said["error"]}
    return payload


def _success_order(payload: Any) -> Any:
    if isinstance(payload, Mapping) and set(payload) == {"order"}:
        return {"status": "success", **payload}
    return payload


def _unknown_figures(said: dict[str, Any]) -> dict[str, Any]:
    if _word(said) not in _RUNNING:
        return said
    unknown = {"remains": "Unknown", "start_count": ""}
    return said | {key: text for key, text in unknown.items() if key in said}


def _other_words(said: dict[str, Any]) -> dict[str, Any]:
    word = _word(said)
    return said | {"status": _OTHER_WORDS[word]} if word in _OTHER_WORDS else said


def _loud_words(said: dict[str, Any]) -> dict[str, Any]:
    word = _word(said)
    return said | {"status": word.upper()} if word else said


def _word(said: dict[str, Any]) -> str:
    """The status word, where there is one: of a refill an error may stand in its place."""
    word = said.get("status")
    return word if isinstance(word, str) else ""


def _numbers(said: dict[str, Any]) -> dict[str, Any]:
    return {key: _number(value) if key in _NUMBERS else value for key, value in said.items()}


def _texts(said: dict[str, Any]) -> dict[str, Any]:
    return {
        key: str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for key, value in said.items()
    }


def _capitals(said: dict[str, Any]) -> dict[str, Any]:
    return {key.capitalize() if key in _KEYS else key: value for key, value in said.items()}


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return float(value) if "." in value else int(value)
    except ValueError:
        return value


def _everywhere(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Any], Any]:
    """The same change to every object in a payload."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(item) for item in value]
        if isinstance(value, Mapping):
            return change({key: changed(item) for key, item in value.items()})
        return value

    return changed


# In this order: what looks at words and keys comes before what changes them.
_CHANGES: Final[Mapping[Manner, Callable[[Any], Any]]] = {
    Manner.WHOLE_ERROR: _whole_error,
    Manner.SUCCESS_ORDER: _success_order,
    Manner.UNKNOWN_FIGURES: _everywhere(_unknown_figures),
    Manner.OTHER_WORDS: _everywhere(_other_words),
    Manner.LOUD_WORDS: _everywhere(_loud_words),
    Manner.NUMBERS: _everywhere(_numbers),
    Manner.TEXTS: _everywhere(_texts),
    Manner.CAPITALS: _everywhere(_capitals),
}
