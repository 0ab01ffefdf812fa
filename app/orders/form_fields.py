"""The types of the fields that say what an order is for."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field, StrictInt, StrictStr

from app.core.money import ZERO, Money
from app.orders.links import LINK_LENGTH_MAX, check_link
from app.web.fields import SAFE_INTEGER_MAX, Line, MoneyText, check_text

COMMENTS_MAX: Final = 1000
COMMENT_LENGTH_MAX: Final = 500
NAMES_MAX: Final = 1000
WORDS_MAX: Final = 100
INTERVAL_MINUTES_MAX: Final = 43_200
SPEND_CAP_MAX: Final = Money.parse("1000000000")

Url = Annotated[StrictStr, AfterValidator(check_text), AfterValidator(check_link)]
_URL_SCHEMA: Final = {"maxLength": LINK_LENGTH_MAX, "format": "uri"}
Link = Annotated[
    Url,
    Field(
        description="Where the service is delivered, on its platform; it is stored encrypted and"
        " never fetched.",
        examples=["https://www.instagram.com/my.profile"],
        json_schema_extra=_URL_SCHEMA,
    ),
]
OtherUrl = Annotated[Url, Field(json_schema_extra=_URL_SCHEMA)]
Quantity = Annotated[
    StrictInt,
    Field(ge=1, le=SAFE_INTEGER_MAX, description="How much to deliver.", examples=[1000]),
]
SelfCounted = Annotated[
    StrictInt | None,
    Field(ge=1, le=SAFE_INTEGER_MAX, description="Counted by itself; if given, it must agree."),
]
Comments = Annotated[
    list[Annotated[Line, Field(max_length=COMMENT_LENGTH_MAX)]],
    Field(min_length=1, max_length=COMMENTS_MAX, description="The texts to post."),
]
Name = Annotated[Line, Field(max_length=200)]
Names = Annotated[list[Name], Field(min_length=1, max_length=NAMES_MAX)]
Words = Annotated[
    list[Annotated[Line, Field(max_length=100)]], Field(min_length=1, max_length=WORDS_MAX)
]
Groups = Annotated[
    list[Annotated[Line, Field(max_length=500)]], Field(min_length=1, max_length=NAMES_MAX)
]


def _check_cap(cap: Money) -> Money:
    if not ZERO < cap <= SPEND_CAP_MAX:
        raise ValueError("must be above 0 and at most 1000000000")
    return cap


SpendCap = Annotated[MoneyText, AfterValidator(_check_cap)]
