"""Tables of the mirror: what providers sell, how that changed, what waits for a word."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
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
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class FindingState(StrEnum):
    """Open and rejected findings stand: the routes over their service are closed."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class SyncOutcome(StrEnum):
    OK = "ok"
    FAILED = "failed"


class ProviderService(Base):
    """One service of a provider, by the facts that we go by.

    `approved_rate_micros` is the price that a person last had before them: a jump is measured from
    it, so that no number of small steps carries a price away unseen.
    """

    __tablename__ = "provider_services"
    __table_args__ = (
        UniqueConstraint("provider_id", "provider_service"),
        Index("ix_provider_services_provider_id_id", "provider_id", "id"),
        # A sync touches every row: room on the page keeps that off the indexes.
        {"postgresql_with": {"fillfactor": 80}},
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_service: Mapped[str]
    name: Mapped[str]
    type: Mapped[str]
    category: Mapped[str]
    rate_micros: Mapped[int]
    approved_rate_micros: Mapped[int]
    min_quantity: Mapped[int]
    max_quantity: Mapped[int]
    refill: Mapped[bool] = mapped_column(Boolean)
    cancel: Mapped[bool] = mapped_column(Boolean)
    dripfeed: Mapped[bool] = mapped_column(Boolean)
    first_seen_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    changed_at: Mapped[datetime]
    missing_since: Mapped[datetime | None]
    gone_at: Mapped[datetime | None]


class ProviderServiceChange(Base):
    """One change of a provider's service: the history of our costs. Append-only."""

    __tablename__ = "provider_service_changes"
    __table_args__ = (
        Index("ix_provider_service_changes_service", "provider_id", "provider_service", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_service: Mapped[str]
    at: Mapped[datetime]
    what: Mapped[str]
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]


class Finding(Base):
    """Something that a provider says and that only an operator may believe."""

    __tablename__ = "catalogue_findings"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('price_jump','bounds','type','vanished','duplicated')", name="kind"
        ),
        CheckConstraint("state IN ('open','accepted','rejected','withdrawn')", name="state"),
        Index(
            "uq_catalogue_findings_standing",
            "provider_id",
            "provider_service",
            "kind",
            unique=True,
            postgresql_where=text("state IN ('open','rejected')"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    provider_service: Mapped[str]
    kind: Mapped[str]
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    state: Mapped[str]
    opened_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None]
    note: Mapped[str | None]
    withdrawn_at: Mapped[datetime | None]


class SyncRun(Base):
    """One sync of one provider, from its beginning to its outcome. One runs at a time."""

    __tablename__ = "catalogue_syncs"
    __table_args__ = (
        CheckConstraint("outcome IN ('ok','failed')", name="outcome"),
        CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)", name="ended"),
        Index(
            "uq_catalogue_syncs_running",
            "provider_id",
            unique=True,
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_catalogue_syncs_provider_id_id", "provider_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"))
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    why: Mapped[str | None]
    counts: Mapped[dict[str, Any]]


class SyncRule(Base):
    """How far a provider's price may move by itself; without a row the house's own rule holds."""

    __tablename__ = "sync_rules"
    __table_args__ = (
        CheckConstraint("price_jump_basis_points BETWEEN 0 AND 100000", name="price_jump"),
    )

    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"), primary_key=True)
    price_jump_basis_points: Mapped[int] = mapped_column(Integer)
    changed_at: Mapped[datetime]
