"""Bodies and answers of the account and key routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, EmailStr, Field, StrictBool, StrictInt, StrictStr

from app.core.apikeys import MintedKey
from app.resellers.models import ApiKey, Book, Mode, PanelOptions, Plan, Reseller, Standing
from app.resellers.scopes import Scope
from app.resellers.service import (
    PLAN_DEFAULT,
    ROTATION_OVERLAP_MAX,
    public_book_id,
    public_key_id,
    public_reseller_id,
)
from app.web.fields import Country, Line, Moment
from app.web.schemas import AnswerModel, InputModel

Name = Annotated[Line, Field(max_length=200)]
CIDRS_MAX = 50
PANEL_WINDOW_SECONDS_MAX = 86_400


def _check_cidr(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError("must be an address or a network such as 203.0.113.0/24") from None


Cidr = Annotated[StrictStr, AfterValidator(_check_cidr)]


class ResellerCreate(InputModel):
    """A new account, with a live and a test book."""

    name: Name
    email: EmailStr
    country: Country = Field(description="ISO 3166-1 alpha-2.", examples=["DE"])
    plan: Annotated[Line, Field(max_length=60)] = PLAN_DEFAULT


class ResellerChange(InputModel):
    name: Name | None = None
    country: Country | None = None


class ResellerRead(AnswerModel):
    id: str
    name: str
    email: str
    country: str
    standing: Standing
    standing_reason: str | None
    created_at: datetime

    @classmethod
    def of(cls, reseller: Reseller) -> Self:
        return cls(
            id=public_reseller_id(reseller.id),
            name=reseller.name,
            email=reseller.email,
            country=reseller.country,
            standing=Standing(reseller.standing),
            standing_reason=reseller.standing_reason,
            created_at=reseller.created_at,
        )


class PlanRead(AnswerModel):
    """How many requests a minute a key may make."""

    code: str
    limits_per_minute: dict[str, int] = Field(description="By group of routes.")
    default_per_minute: int = Field(description="In each group that has no limit of its own.")


class BooksRead(AnswerModel):
    """The ids by which orders, schedules and claims name a reseller's books."""

    live: str
    test: str


class OperatorResellerRead(ResellerRead):
    """An account with what was set for it."""

    plan: PlanRead
    books: BooksRead

    @classmethod
    def of_plan(
        cls, reseller: Reseller, books: Sequence[Book], plan: Plan, *, default_per_minute: int
    ) -> Self:
        return cls(
            **ResellerRead.of(reseller).model_dump(),
            plan=PlanRead(
                code=plan.code,
                limits_per_minute=plan.limits_per_minute,
                default_per_minute=default_per_minute,
            ),
            books=BooksRead(**{book.mode: public_book_id(book.id) for book in books}),
        )


class ResellerPage(AnswerModel):
    data: list[ResellerRead]
    next_cursor: str | None


class AccountRead(AnswerModel):
    """The account that a key belongs to, and the book it opens."""

    id: str
    name: str
    email: str
    country: str
    standing: Standing
    mode: Mode
    currency: str
    created_at: datetime

    @classmethod
    def of_mode(cls, reseller: Reseller, mode: Mode, currency: str) -> Self:
        return cls(
            id=public_reseller_id(reseller.id),
            name=reseller.name,
            email=reseller.email,
            country=reseller.country,
            standing=Standing(reseller.standing),
            mode=mode,
            currency=currency,
            created_at=reseller.created_at,
        )


class PanelSettings(InputModel):
    """What a key asks of API v2, for software that cannot do better."""

    get_allowed: StrictBool = Field(
        False, description="Take GET requests: the key then stands in URLs, which get into logs."
    )
    window_seconds: StrictInt = Field(
        0,
        ge=0,
        le=PANEL_WINDOW_SECONDS_MAX,
        description="For so many seconds an `add` of the same content is the same order; 0: never.",
    )


class PanelSettingsRead(AnswerModel):
    get_allowed: bool
    window_seconds: int


class ApiKeyCreate(InputModel):
    """A new key to the same book; it can do no more than the key that asks for it."""

    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    allowed_cidrs: list[Cidr] = Field(default_factory=list, max_length=CIDRS_MAX)
    expires_at: Moment | None = None
    panel: PanelSettings = PanelSettings()

    @property
    def panel_options(self) -> PanelOptions:
        return PanelOptions(self.panel.get_allowed, self.panel.window_seconds)


class OperatorApiKeyCreate(ApiKeyCreate):
    """A key that an operator makes for a reseller."""

    mode: Mode = Mode.LIVE


class ApiKeyRotate(InputModel):
    overlap_hours: StrictInt = Field(
        24,
        ge=0,
        le=int(ROTATION_OVERLAP_MAX.total_seconds() // 3600),
        description="How long the old key goes on beside the new one.",
    )


class ApiKeyRead(AnswerModel):
    """A key without its secret."""

    id: str
    name: str
    last4: str
    scopes: list[Scope]
    allowed_cidrs: list[str]
    panel: PanelSettingsRead
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls.model_validate(_shown(key))


class OperatorApiKeyRead(ApiKeyRead):
    """A key as operators see it, with the book that it opens."""

    mode: Mode

    @classmethod
    def of_mode(cls, key: ApiKey, mode: Mode) -> Self:
        return cls.model_validate(_shown(key) | {"mode": mode})


class OperatorApiKeyPage(AnswerModel):
    data: list[OperatorApiKeyRead]
    next_cursor: str | None


class ApiKeyMade(ApiKeyRead):
    """A new key. `key` is shown this once and cannot be had again."""

    key: str

    @classmethod
    def of_minted(cls, key: ApiKey, minted: MintedKey) -> Self:
        return cls.model_validate(_shown(key) | {"key": minted.text})


class ApiKeyPage(AnswerModel):
    data: list[ApiKeyRead]
    next_cursor: str | None


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": public_key_id(key.id),
        "name": key.name,
        "last4": key.last4,
        "scopes": key.scopes,
        "allowed_cidrs": key.allowed_cidrs,
        "panel": {
            "get_allowed": key.panel_get_allowed,
            "window_seconds": key.panel_window_seconds,
        },
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }
