"""The table of doubts: after a restore, which provider may have which order all the same."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class RestoreDoubt(Base):
    """An order that was waiting in a restored database, and a provider that may have got it since.

    Gone once that provider's own list has told; an order without doubts left was sent to nobody.
    """

    __tablename__ = "restore_doubts"

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    provider_id: Mapped[UUID] = mapped_column(
        ForeignKey("providers.id"), primary_key=True, index=True
    )
