"""Stored files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ref_type", sa.Text(), nullable=True),
        sa.Column("ref_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('stored','attached','deleted')", name="ck_files_state"),
        sa.CheckConstraint("size > 0", name="ck_files_size"),
        sa.CheckConstraint("octet_length(sha256) = 32", name="ck_files_sha256"),
        sa.CheckConstraint(
            "state <> 'attached' OR (ref_type IS NOT NULL AND ref_id IS NOT NULL)",
            name="ck_files_ref",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_files"),
        sa.UniqueConstraint("storage_key", name="uq_files_storage_key"),
    )
    op.create_index("ix_files_book_id", "files", ["book_id"])
    op.create_index(
        "ix_files_ref_type_ref_id",
        "files",
        ["ref_type", "ref_id"],
        postgresql_where=sa.text("state = 'attached'"),
    )


def downgrade() -> None:
    op.drop_table("files")
