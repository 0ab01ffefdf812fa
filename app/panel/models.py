"""The table of intakes: every order that came by API v2, under an id made before it was placed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class PanelIntake(Base):
    """One `add`. Clients of this wire have no key to repeat with: the id finds the order again
    when a COMMIT was cut off, and the content finds it for a key that asked for a window.
    """

    __tablename__ = "panel_intakes"
    __table_args__ = (
        Index("ix_panel_intakes_key_id_content", "key_id", "content", "created_at"),
        Index("ix_panel_intakes_created_at", "created_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id"))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    order_number: Mapped[int]
    created_at: Mapped[datetime]
