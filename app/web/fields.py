"""Field types that bodies share: text without control characters, money, addresses."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Final, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainSerializer,
    StrictInt,
    StrictStr,
)

from app.core.money import Money

When = TypeVar("When", bound=date)
SAFE_INTEGER_MAX: Final = 2**53 - 1
YEAR_MIN: Final = 1970
YEAR_MAX: Final = 9998
_NOT_TEXT: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_AND_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:")
_EMAIL_ISH: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def check_text(text: str) -> str:
    """No NUL, no lone surrogate, no control character but a line break or a tab."""
    refused = _NOT_TEXT.search(text)
    if refused is None:
        return text
    if "\ud800" <= refused[0] <= "\udfff":
        raise ValueError("must be valid Unicode text")
    raise ValueError("must not contain control characters")


def check_line(text: str) -> str:
    """The same on one line, and not blank."""
    if any(character in "\n\r\t" for character in check_text(text)):
        raise ValueError("must be a single line")
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def check_reference(text: str) -> str:
    """A reference names an order in the reseller's own books, never a person."""
    if _EMAIL_ISH.search(text):
        raise ValueError("must not contain an e-mail address")
    return check_line(text)


def read_moment(value: object) -> object:
    """A time is text as RFC 3339 writes it: a bare number would pass for seconds since 1970."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _DATE_AND_TIME.match(value):
        raise ValueError("must be a time such as 2026-11-23T08:15:30Z")
    return value


def read_day(value: object) -> object:
    """A day is text as RFC 3339 writes it, for the same reason."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:  # no such day
        pass
    raise ValueError("must be a day such as 2026-11-23")


def check_year(when: When) -> When:
    """A time, or a day, that every time zone and the database can write."""
    if not YEAR_MIN <= when.year <= YEAR_MAX:
        raise ValueError(f"must lie in the years {YEAR_MIN} to {YEAR_MAX}")
    return when


def read_money(value: object) -> object:
    """Money on the wire is a decimal string, so that no float ever touches it."""
    if isinstance(value, Money):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a decimal string")  # noqa: TRY004 - pydantic turns ValueError into a 422
    return Money.parse(value)


Text = Annotated[StrictStr, AfterValidator(check_text)]
Line = Annotated[StrictStr, Field(min_length=1), AfterValidator(check_line)]
Reference = Annotated[
    StrictStr, Field(min_length=1, max_length=128), AfterValidator(check_reference)
]
PublicNumber = Annotated[StrictInt, Field(ge=1, le=SAFE_INTEGER_MAX)]
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(read_moment, json_schema_input_type=AwareDatetime),
    AfterValidator(check_year),
]
Day = Annotated[
    date, BeforeValidator(read_day, json_schema_input_type=date), AfterValidator(check_year)
]
Currency = Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")]
Country = Annotated[StrictStr, Field(pattern=r"^[A-Z]{2}$")]
MoneyText = Annotated[
    Money,
    BeforeValidator(read_money, json_schema_input_type=str),
    PlainSerializer(str, return_type=str, when_used="json"),
    Field(json_schema_extra={"type": "string"}),
]
