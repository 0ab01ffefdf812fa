"""Tables of the staff: operators as persons, and their keys."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class Operator(Base):
    """A person who runs the platform, with the roles that say what they may do."""

    __tablename__ = "operators"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    roles: Mapped[list[str]]
    created_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class OperatorKey(Base):
    """A key of one operator. The secret is kept only as a keyed hash."""

    __tablename__ = "operator_keys"
    __table_args__ = (Index("ix_operator_keys_operator_id", "operator_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operators.id"))
    lookup: Mapped[str] = mapped_column(unique=True)
    secret_mac: Mapped[bytes] = mapped_column(LargeBinary)
    pepper: Mapped[str]
    last4: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
