"""Tables of supply: our accounts with providers, and the dated rates of their currencies."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, Integer, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class ProviderState(StrEnum):
    """Whether orders are handed to a provider at all."""

    ACTIVE = "active"
    PAUSED = "paused"


class Provider(Base):
    """Our account with one upstream: how to reach it, and whether it may be used now."""

    __tablename__ = "providers"
    __table_args__ = (
        CheckConstraint("state IN ('active','paused')", name="state"),
        CheckConstraint("in_flight_max BETWEEN 1 AND 200", name="in_flight_max"),
        CheckConstraint("calls_per_minute BETWEEN 1 AND 100000", name="calls_per_minute"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    adapter: Mapped[str]
    base_url: Mapped[str]
    credentials: Mapped[bytes] = mapped_column(LargeBinary)
    currency: Mapped[str]
    simulated: Mapped[bool] = mapped_column(Boolean)
    in_flight_max: Mapped[int] = mapped_column(Integer)
    calls_per_minute: Mapped[int] = mapped_column(Integer)
    state: Mapped[str]
    pause_reason: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    pause_until: Mapped[datetime | None]
    balance_micros: Mapped[int | None]
    balance_at: Mapped[datetime | None]
    breaker_failures: Mapped[int] = mapped_column(Integer, server_default="0")
    breaker_opens: Mapped[int] = mapped_column(Integer, server_default="0")
    breaker_open_until: Mapped[datetime | None]
    budget_window: Mapped[datetime | None]
    budget_used: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime]


class ExchangeRate(Base):
    """What one unit of a provider's currency is worth in ours, in micros, from a moment on."""

    __tablename__ = "exchange_rates"
    __table_args__ = (CheckConstraint("rate_micros > 0", name="rate_micros"),)

    currency: Mapped[str] = mapped_column(primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    rate_micros: Mapped[int]
