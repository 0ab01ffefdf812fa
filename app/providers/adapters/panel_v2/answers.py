"""What is answered in API v2, entry by entry; one that makes no sense spoils no other."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.providers import error_texts
from app.providers.aftercare import (
    CancelAsked,
    CancelRefused,
    RefillProgress,
    RefillRefused,
    RefillTaken,
)
from app.providers.classify import given_id
from app.providers.excerpt import excerpt, reason
from app.providers.protocol import (
    CancelAnswer,
    CatalogEntry,
    IdUnknown,
    Progress,
    RefillAnswer,
    RefillStatusAnswer,
    StatusAnswer,
    Unconfirmed,
    Unreadable,
)
from app.providers.reading import (
    NotReadable,
    flag,
    integer,
    integer_or_none,
    lower_keys,
    micros_up,
    text,
)
from app.providers.reply import error_text
from app.providers.status_words import refill_state_of, state_of

_NAME_CHARS_MAX: Final = 500
_WORD_CHARS_MAX: Final = 64
_SERVICE_TOKEN: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CURRENCY: Final = re.compile(r"\s*[A-Za-z]{3,5}\s*")
_WHOLE_ENTRY: Final = ""  # no key is called so
_NO_WORDS: Final = frozenset({"0", "false", "no"})


def status_answer(entry: object, secrets: Sequence[str]) -> StatusAnswer:
    """What is said of one order."""
    try:
        said = _object(entry)
        error = error_text(said)
        if error is not None:
            unknown = error_texts.says_order_unknown(error)
            return IdUnknown() if unknown else Unreadable(reason(error, secrets))
        status = text(said.get("status"))
        # Settlement hangs on the charge: one that cannot be read is not the same as none.
        charge = said.get("charge")
        return Progress(
            state=state_of(status),
            remains=integer_or_none(said.get("remains")),
            start_count=integer_or_none(said.get("start_count")),
            charge_micros=None if charge in (None, "") else micros_up(charge),
            currency=currency(said.get("currency")),
            raw_status=excerpt(status, secrets, limit=_WORD_CHARS_MAX),
            posts=integer_or_none(said.get("posts")),
        )
    except NotReadable as error:
        return Unreadable(str(error))


def statuses_in(listed: Sequence[Any], asked: Sequence[str]) -> dict[str, Any]:
    """The entries of a list that name their order: some answer so, instead of by id."""
    return by_id(listed, asked, "order", _WHOLE_ENTRY)


def refill_answer(value: object, secrets: Sequence[str]) -> RefillAnswer:
    """What is said of the refill of one order."""
    error = _error_in(value)
    if error is not None:
        return RefillRefused(reason(error, secrets))
    refill_id = given_id(value)
    if refill_id is None:
        return Unconfirmed("Neither a refill id nor an error.", excerpt(repr(value), secrets))
    return RefillTaken(refill_id)


def refill_status_answer(value: object, secrets: Sequence[str]) -> RefillStatusAnswer:
    """What is said of one refill."""
    error = _error_in(value)
    if error is not None:
        unknown = error_texts.says_refill_unknown(error)
        return IdUnknown() if unknown else Unreadable(reason(error, secrets))
    try:
        word = text(value)
    except NotReadable as trouble:
        return Unreadable(str(trouble))
    return RefillProgress(refill_state_of(word), excerpt(word, secrets, limit=_WORD_CHARS_MAX))


def cancel_answer(value: object, secrets: Sequence[str]) -> CancelAnswer:
    """What is said of the cancel of one order."""
    error = _error_in(value)
    if error is not None:
        return CancelRefused(reason(error, secrets))
    if flag(value):
        return CancelAsked()
    if str(value).strip().lower() in _NO_WORDS:
        return CancelRefused("The provider said no, and not why.")
    return Unreadable("Neither a yes nor an error.")


def by_id(
    said: Mapping[str, Any] | Sequence[Any], asked: Sequence[str], id_key: str, value_key: str
) -> dict[str, object]:
    """What an answer says under `value_key` of each id that it names.

    It comes as a list of entries, as an object by id or, of one id, as that entry alone. An id
    that is answered twice and differently is told as None, which nothing can be read from.
    """
    if isinstance(said, Mapping):
        entries = _entries_of(said, asked, id_key, value_key)
    else:
        entries = [entry for entry in said if isinstance(entry, Mapping)]
    told: dict[str, object] = {}
    for entry in entries:
        try:
            lowered = lower_keys(entry)
            entry_id = text(lowered.get(id_key))
        except NotReadable:
            continue
        value = lowered.get(value_key, lowered)
        told[entry_id] = value if told.get(entry_id, value) == value else None
    return {entry_id: told[entry_id] for entry_id in asked if entry_id in told}


def catalog_entry(item: object) -> CatalogEntry:
    """One service of the catalogue. Raises NotReadable."""
    said = _object(item)
    entry = CatalogEntry(
        service=text(said.get("service")),
        name=excerpt(text(said.get("name")), (), limit=_NAME_CHARS_MAX),
        service_type=excerpt(text(said.get("type")), (), limit=_WORD_CHARS_MAX),
        category=excerpt(text(said.get("category") or ""), (), limit=_NAME_CHARS_MAX),
        rate_micros=micros_up(said.get("rate")),
        min=integer(said.get("min")),
        max=integer(said.get("max")),
        refill=flag(said.get("refill")),
        cancel=flag(said.get("cancel")),
        dripfeed=flag(said.get("dripfeed")),
    )
    if not _SERVICE_TOKEN.fullmatch(entry.service) or not 0 <= entry.min <= entry.max:
        raise NotReadable("No service id, or a minimum above the maximum.")
    return entry


def currency(value: object) -> str | None:
    """A currency's three or so letters; anything else is none."""
    return value.strip().upper() if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


def _entries_of(
    said: Mapping[str, Any], asked: Sequence[str], id_key: str, value_key: str
) -> list[Mapping[str, Any]]:
    if len(asked) == 1 and any(key.lower() == value_key for key in said):
        return [{id_key: asked[0]} | {key: said[key] for key in said if key.lower() != id_key}]
    return [
        {id_key: key} | (dict(entry) if isinstance(entry, Mapping) else {value_key: entry})
        for key, entry in said.items()
        if key in asked
    ]


def _error_in(value: object) -> str | None:
    return error_text(value) if isinstance(value, Mapping) else None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotReadable("Not an object.")
    return lower_keys(value)
