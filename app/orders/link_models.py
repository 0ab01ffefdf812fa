"""The table of links in use: which order of ours is running on a link at a provider service."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class LinkLock(Base):
    """One running order per link and provider service, from its take to its end."""

    __tablename__ = "link_locks"
    __table_args__ = (UniqueConstraint("order_id"),)

    provider_id: Mapped[UUID] = mapped_column(ForeignKey("providers.id"), primary_key=True)
    provider_service: Mapped[str] = mapped_column(primary_key=True)
    link_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    taken_at: Mapped[datetime]
