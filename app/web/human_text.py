"""Text that people write to people: checked for card numbers, which nobody is to send us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from app.web.fields import Line, Text

_ADDRESS: Final = re.compile(r"https?://\S+")
_GROUPS: Final = re.compile(r"(?<![\w.])\d+(?:[ -]\d+)*(?!\w)")
_CARD_DIGITS_MAX: Final = 19
_GROUP_DIGITS_MAX: Final = 6
_ISSUED: Final = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12,15}"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|62\d{14,17}"  # UnionPay
)
_TWO_DIGITS: Final = 9


def check_no_card(text: str) -> str:
    """Refuse what looks like a card's number: an issuer's digits that pass the check sum.

    Addresses are left out: what platforms number passes it one time in ten.
    """
    for found in _GROUPS.finditer(_ADDRESS.sub(" ", text)):
        if any(_ISSUED.fullmatch(number) and _sums_up(number) for number in _numbers(found[0])):
            raise ValueError("must not contain the number of a payment card")
    return text


def _numbers(digits: str) -> Iterator[str]:
    """Each number that neighbouring groups of digits may be together: an expiry date or a code is
    often written right behind that of a card. Long groups stand alone, as order numbers do.
    """
    groups = re.split("[ -]", digits)
    for first, begins in enumerate(groups):
        number = begins
        yield number
        for group in groups[first + 1 :]:
            number += group
            if max(len(begins), len(group)) > _GROUP_DIGITS_MAX or len(number) > _CARD_DIGITS_MAX:
                break
            yield number


def _sums_up(number: str) -> bool:
    """The check of Luhn."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value if value <= _TWO_DIGITS else value - _TWO_DIGITS
    return total % 10 == 0


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


HumanText = Annotated[
    Text, Field(max_length=4000), AfterValidator(_not_blank), AfterValidator(check_no_card)
]
HumanLine = Annotated[Line, Field(max_length=500), AfterValidator(check_no_card)]
