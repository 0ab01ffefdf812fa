"""Bodies and answers of the routes on providers and exchange rates. Credentials only go in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from app.core.money import Money
from app.supply.bounds import bound_of
from app.supply.models import Provider, ProviderState
from app.supply.service import (
    CALLS_PER_MINUTE_DEFAULT,
    Evidence,
    balance_is_low,
    balance_of,
    public_provider_id,
)
from app.web.fields import Currency, Line, Moment, MoneyText, check_text
from app.web.schemas import AnswerModel, InputModel, MoneyRead

_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def _check_base_url(text: str) -> str:
    try:
        parts = urlsplit(check_text(text))
        host = parts.hostname
    except ValueError:
        raise ValueError("must be a valid URL") from None
    plain = parts.scheme == "http" and host in _LOOPBACK
    if not host or not (parts.scheme == "https" or plain):
        raise ValueError("must be an https:// URL (plain http only on loopback)")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry a user name or password; credentials have a field")
    return text


BaseUrl = Annotated[StrictStr, Field(max_length=500), AfterValidator(_check_base_url)]
Credentials = Annotated[
    dict[Annotated[Line, Field(max_length=60)], Annotated[Line, Field(max_length=500)]],
    Field(max_length=10, description="What the adapter signs in with, for instance `key`."),
]
InFlight = Annotated[StrictInt, Field(ge=1, le=200)]
CallsPerMinute = Annotated[StrictInt, Field(ge=1, le=100_000)]


class ProviderCreate(InputModel):
    """An account with a provider, as its adapter needs it."""

    name: Annotated[Line, Field(max_length=100)]
    adapter: Annotated[Line, Field(max_length=60)]
    base_url: BaseUrl | None = Field(
        None, description="Where its API answers; needed unless people fulfil its orders."
    )
    credentials: Credentials = Field(default_factory=dict)
    currency: Currency
    in_flight_max: InFlight = 8
    calls_per_minute: CallsPerMinute = CALLS_PER_MINUTE_DEFAULT
    simulated: StrictBool = False


def _check_low_balance(low: Money) -> Money:
    if low.micros < 0:
        raise ValueError("must not be below zero")
    return low


LowBalance = Annotated[
    MoneyText,
    Field(
        description="A balance below this is told, in the provider's currency; 0 tells debts, and"
        " null nothing."
    ),
    AfterValidator(_check_low_balance),
]


class ProviderChange(InputModel):
    in_flight_max: InFlight | None = None
    calls_per_minute: CallsPerMinute | None = None
    credentials: Credentials | None = None
    low_balance: LowBalance | None = None
    balance_is_proof: StrictBool | None = Field(
        None,
        description="You declare that nobody else spends from this account, and that an order is"
        " charged when it is taken: its balance then tells what became of lost orders.",
    )
    may_probe_ids: StrictBool | None = Field(
        None,
        description="You declare that the provider numbers orders in sequence, and agrees to be"
        " asked about ids near ours that may be another customer's.",
    )
    quiet_after_unknown: StrictBool | None = Field(
        None,
        description="After a lost order nothing more is sent there until its balance is known, for"
        " 2 minutes at most.",
    )

    def evidence(self) -> Evidence:
        return Evidence(self.balance_is_proof, self.may_probe_ids, self.quiet_after_unknown)


class ProviderRead(AnswerModel):
    id: str
    name: str
    adapter: str
    base_url: str | None = Field(description="None where nobody is called.")
    currency: str
    simulated: bool
    in_flight_max: int
    in_flight_bound: int = Field(
        description="Orders on the wire at once now: below `in_flight_max` after trouble."
    )
    calls_per_minute: int
    state: ProviderState
    pause_reason: str | None
    pause_until: datetime | None
    breaker_open_until: datetime | None
    balance: MoneyRead | None = Field(description="As it was last learned.")
    balance_at: datetime | None
    low_balance: MoneyRead | None = Field(description="Below this the balance is told to be low.")
    balance_is_low: bool
    balance_is_proof: bool
    may_probe_ids: bool
    quiet_after_unknown: bool
    created_at: datetime

    @classmethod
    def of(cls, provider: Provider) -> Self:
        balance, low = balance_of(provider), provider.low_balance_micros
        return cls(
            id=public_provider_id(provider.id),
            name=provider.name,
            adapter=provider.adapter,
            base_url=provider.base_url or None,
            currency=provider.currency,
            simulated=provider.simulated,
            in_flight_max=provider.in_flight_max,
            in_flight_bound=bound_of(provider).at_once,
            calls_per_minute=provider.calls_per_minute,
            state=ProviderState(provider.state),
            pause_reason=provider.pause_reason,
            pause_until=provider.pause_until,
            breaker_open_until=provider.breaker_open_until,
            balance=MoneyRead.of(balance, provider.currency) if balance is not None else None,
            balance_at=provider.balance_at,
            low_balance=None if low is None else MoneyRead.of(Money(low), provider.currency),
            balance_is_low=balance_is_low(provider, provider.balance_micros),
            balance_is_proof=provider.balance_is_proof,
            may_probe_ids=provider.may_probe_ids,
            quiet_after_unknown=provider.quiet_after_unknown,
            created_at=provider.created_at,
        )


class ProviderPage(AnswerModel):
    data: list[ProviderRead]
    next_cursor: str | None


class ExchangeRatePut(InputModel):
    """What one unit of a currency is worth in the selling currency, from a moment on."""

    rate: MoneyText
    valid_from: Moment | None = None


class ExchangeRateRead(AnswerModel):
    currency: str
    rate: str
    valid_from: datetime

    @classmethod
    def of_rate(cls, currency: str, rate: Money, valid_from: datetime) -> Self:
        return cls(currency=currency, rate=str(rate), valid_from=valid_from)


class ExchangeRatePage(AnswerModel):
    data: list[ExchangeRateRead]
    next_cursor: str | None
