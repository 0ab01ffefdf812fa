"""The table of files: what is known of each, beside its bytes, which are stored elsewhere."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base


class StoredFile(Base):
    """A file. It belongs to a book, and to what it was attached to: `ref_type` and `ref_id`.

    The row is written before the bytes are stored, so that no bytes are ever without a row.
    """

    __tablename__ = "files"
    __table_args__ = (
        CheckConstraint("state IN ('stored','attached','deleted')", name="state"),
        CheckConstraint("size > 0", name="size"),
        CheckConstraint("octet_length(sha256) = 32", name="sha256"),
        CheckConstraint(
            "state <> 'attached' OR (ref_type IS NOT NULL AND ref_id IS NOT NULL)", name="ref"
        ),
        Index("ix_files_book_id", "book_id"),
        Index(
            "ix_files_ref_type_ref_id",
            "ref_type",
            "ref_id",
            postgresql_where=text("state = 'attached'"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    # No foreign key: books stand above files.
    book_id: Mapped[UUID]
    purpose: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    storage_key: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    ref_type: Mapped[str | None]
    ref_id: Mapped[str | None]
    created_at: Mapped[datetime]
