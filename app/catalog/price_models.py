"""Tables of prices: the rules that mark costs up, and every price that a service ever had."""

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
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class RuleScope(StrEnum):
    """What a rule is for; the narrowest one that there is holds."""

    SERVICE = "service"
    PROVIDER = "provider"
    DEFAULT = "default"


class PriceReason(StrEnum):
    """What gave a service its price."""

    CREATED = "created"
    CHANGED = "changed"
    REPRICED = "repriced"
    ACCEPTED = "accepted"


class MarkupRuleRow(Base):
    """How the price of a service follows its cost. One that is not automatic keeps prices still."""

    __tablename__ = "markup_rules"
    __table_args__ = (
        UniqueConstraint("scope", "provider_id", "service_id", postgresql_nulls_not_distinct=True),
        CheckConstraint(
            "CASE scope WHEN 'default' THEN provider_id IS NULL AND service_id IS NULL"
            " WHEN 'provider' THEN provider_id IS NOT NULL AND service_id IS NULL"
            " WHEN 'service' THEN provider_id IS NULL AND service_id IS NOT NULL"
            " ELSE false END",
            name="scope",
        ),
        CheckConstraint("percent_basis_points BETWEEN -10000 AND 1000000", name="percent"),
        CheckConstraint("fixed_micros >= 0", name="fixed"),
        CheckConstraint("step_micros >= 1", name="step"),
        CheckConstraint("floor_micros >= 0", name="floor"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    scope: Mapped[str]
    provider_id: Mapped[UUID | None] = mapped_column(ForeignKey("providers.id"))
    service_id: Mapped[int | None] = mapped_column(ForeignKey("services.id"))
    percent_basis_points: Mapped[int] = mapped_column(Integer)
    fixed_micros: Mapped[int]
    step_micros: Mapped[int]
    floor_micros: Mapped[int]
    automatic: Mapped[bool] = mapped_column(Boolean)
    changed_at: Mapped[datetime]


class ServicePrice(Base):
    """A price from a moment on, with the cost that it was made from, where one was. Append-only."""

    __tablename__ = "service_prices"
    __table_args__ = (Index("ix_service_prices_service_id_id", "service_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    service_id: Mapped[int] = mapped_column(ForeignKey("services.id"))
    at: Mapped[datetime]
    rate_micros: Mapped[int]
    cost_micros: Mapped[int | None]
    reason: Mapped[str]
    actor: Mapped[str]
