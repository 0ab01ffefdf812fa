"""Refills, and what became of a request to cancel an order that a provider has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("ended_at IS NULL")
STATES = "'requested','sending','pending','in_progress','unknown','completed','rejected','failed'"


def upgrade() -> None:
    op.create_table(
        "refills",
        sa.Column(
            "id",
            sa.BigInteger(),
            server_default=sa.text("nextval('order_numbers')"),
            nullable=False,
        ),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("provider_refill_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("doubts", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("sending_at", MOMENT, nullable=True),
        sa.Column("taken_at", MOMENT, nullable=True),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_refills_state")),
        sa.CheckConstraint(
            "(state IN ('completed','rejected','failed')) = (ended_at IS NOT NULL)",
            name=op.f("ck_refills_ended"),
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_refills_order_id")),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_refills_book_id")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_refills_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refills")),
    )
    op.create_index("uq_refills_open", "refills", ["order_id"], unique=True, postgresql_where=OPEN)
    op.create_index(
        "uq_refills_provider_refill",
        "refills",
        ["provider_id", "provider_refill_id"],
        unique=True,
        postgresql_where=sa.text("provider_refill_id IS NOT NULL"),
    )
    op.create_index("ix_refills_order_id_id", "refills", ["order_id", "id"])
    op.create_index("ix_refills_book_id_id", "refills", ["book_id", "id"])
    op.create_index("ix_refills_unended", "refills", ["state", "id"], postgresql_where=OPEN)


def downgrade() -> None:
    op.drop_table("refills")
