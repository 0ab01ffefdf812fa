"""Tables of supply: our accounts with providers, samples of their balances, and dated rates."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class ProviderState(StrEnum):
    """Whether orders are handed to a provider at all."""

    ACTIVE = "active"
    PAUSED = "paused"


class Provider(Base):
    """Our account with one upstream: how to reach it, and whether it may be used now.

    Below `low_balance_micros` our balance is told to be low. `pause_balance_micros` is the lowest
    balance learned during a pause for want of funds; `funds_trials` counts how often such a pause
    was lifted on trial, the last time at `funds_trial_at`. `breaker_failures` counts submits in a
    row without an answer, `breaker_read_failures` all other calls; `breaker_closed_at` is when a
    probe closed the breaker, while no submit has been answered since; `probe_until` is when the
    probe that is under way has ended at the latest. `budget_…` are the calls of the minute
    `budget_window`, and no question is asked before `reads_wait_until`. `in_flight_bound` is the
    bound on orders in flight while trouble has narrowed it, `bound_cuts` how often it was halved,
    `bound_clean` the orders that were answered well since it last changed.

    An operator declares `balance_is_proof` (we alone spend from this account, and an order is
    charged when it is taken), `may_probe_ids` (the provider agrees to be asked about ids that may
    be another's) and `quiet_after_unknown`: then no order is sent there until `quiet_until`.
    """

    __tablename__ = "providers"
    __table_args__ = (
        CheckConstraint("state IN ('active','paused')", name="state"),
        CheckConstraint("in_flight_max BETWEEN 1 AND 200", name="in_flight_max"),
        CheckConstraint("calls_per_minute BETWEEN 1 AND 100000", name="calls_per_minute"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    adapter: Mapped[str]
    base_url: Mapped[str]  # empty where the adapter calls nobody
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    currency: Mapped[str]
    simulated: Mapped[bool] = mapped_column(Boolean)
    in_flight_max: Mapped[int] = mapped_column(Integer)
    in_flight_bound: Mapped[int | None] = mapped_column(Integer)
    bound_cuts: Mapped[int] = mapped_column(Integer, server_default="0")
    bound_clean: Mapped[int] = mapped_column(Integer, server_default="0")
    calls_per_minute: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    pause_reason: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    pause_until: Mapped[datetime | None]
    pause_balance_micros: Mapped[int | None]
    funds_trials: Mapped[int] = mapped_column(Integer, server_default="0")
    funds_trial_at: Mapped[datetime | None]
    balance_micros: Mapped[int | None]
    balance_at: Mapped[datetime | None]
    low_balance_micros: Mapped[int | None]
    breaker_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    breaker_read_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    breaker_opens: Mapped[int] = mapped_column(Integer, server_default="0")
    breaker_open_until: Mapped[datetime | None]
    breaker_closed_at: Mapped[datetime | None]
    probe_until: Mapped[datetime | None]
    budget_window: Mapped[datetime | None]
    budget_submits: Mapped[int] = mapped_column(Integer, server_default="0")
    budget_reads: Mapped[int] = mapped_column(Integer, server_default="0")
    reads_wait_until: Mapped[datetime | None]
    balance_is_proof: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    may_probe_ids: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    quiet_after_unknown: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    quiet_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class BalanceSample(Base):
    """What our account held when asked between `asked_at` and `at`, and how many orders were on the
    wire meanwhile: their charge may be in it or not.
    """

    __tablename__ = "balance_samples"
    __table_args__ = (
        Index("ix_balance_samples_provider_id_at", "provider_id", "at"),
        Index("ix_balance_samples_at", "at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    balance_micros: Mapped[int]
    currency: Mapped[str]
    in_flight: Mapped[int] = mapped_column(Integer)
    asked_at: Mapped[datetime]
    at: Mapped[datetime]


class ExchangeRate(Base):
    """What one unit of a provider's currency is worth in ours, in micros, from a moment on."""

    __tablename__ = "exchange_rates"
    __table_args__ = (CheckConstraint("rate_micros > 0", name="rate_micros"),)

    currency: Mapped[str] = mapped_column(primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    rate_micros: Mapped[int]
