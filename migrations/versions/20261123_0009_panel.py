"""Intakes of API v2."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "panel_intakes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("order_number", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name="fk_panel_intakes_key_id"),
        sa.PrimaryKeyConstraint("id", name="pk_panel_intakes"),
    )
    op.create_index(
        "ix_panel_intakes_key_id_content", "panel_intakes", ["key_id", "content", "created_at"]
    )
    op.create_index("ix_panel_intakes_created_at", "panel_intakes", ["created_at"])


def downgrade() -> None:
    op.drop_table("panel_intakes")
