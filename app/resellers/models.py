"""Tables of the callers: plans, resellers, their books, the keys to those books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class Standing(StrEnum):
    """What an account may do: all, all at a lower pace, only wind down, the same for good."""

    ACTIVE = "active"
    LIMITED = "limited"
    SUSPENDED = "suspended"
    TERMINATED = "terminated"


class Mode(StrEnum):
    """The two books of a reseller: real money, and a place to try things."""

    LIVE = "live"
    TEST = "test"


class Plan(Base):
    """Limits that many resellers share: requests a minute by route group."""

    __tablename__ = "plans"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    limits_per_minute: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class Reseller(Base):
    """The customer: an account, its contact, its standing."""

    __tablename__ = "resellers"
    __table_args__ = (
        CheckConstraint(
            "standing IN ('active','limited','suspended','terminated')", name="standing"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    country: Mapped[str]
    standing: Mapped[str]
    standing_reason: Mapped[str | None]
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("plans.id"))
    created_at: Mapped[datetime]


class Book(Base):
    """A reseller's live or test side: all of its doings hang here, never on the reseller."""

    __tablename__ = "books"
    __table_args__ = (
        UniqueConstraint("reseller_id", "mode"),
        CheckConstraint("mode IN ('live','test')", name="mode"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reseller_id: Mapped[UUID] = mapped_column(ForeignKey("resellers.id"))
    mode: Mapped[str]
    created_at: Mapped[datetime]


class ApiKey(Base):
    """A key to one book. The secret is kept only as a keyed hash."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("ix_api_keys_book_id", "book_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    book_id: Mapped[UUID] = mapped_column(ForeignKey("books.id"))
    lookup: Mapped[str] = mapped_column(unique=True)
    secret_mac: Mapped[bytes] = mapped_column(LargeBinary)
    pepper: Mapped[str]
    last4: Mapped[str]
    name: Mapped[str]
    scopes: Mapped[list[str]]
    allowed_cidrs: Mapped[list[str]]
    panel_get_allowed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    panel_window_seconds: Mapped[int] = mapped_column(Integer, server_default="0")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """What a key asks of API v2: whether it may come in a URL, and for how many seconds the same
    content is the same order (0: never).
    """

    get_allowed: bool = False
    window_seconds: int = 0


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """Everything that a request's guard needs of a key, as one look-up finds it."""

    key_id: UUID
    book_id: UUID
    reseller_id: UUID
    mode: str
    standing: str
    secret_mac: bytes
    pepper: str
    scopes: frozenset[str]
    allowed_cidrs: tuple[str, ...]
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    limits_per_minute: dict[str, Any]
    panel: PanelOptions
