"""Delivery windows on services and orders; refund claims with their events and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.add_column("services", sa.Column("bulk_units", sa.BigInteger(), nullable=True))
    op.add_column("services", sa.Column("bulk_hours", sa.Integer(), nullable=True))
    for name in ("delivered_p50_seconds", "delivered_p90_seconds"):
        op.add_column("services", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("schedules", sa.Column("deliver_hours_min", sa.Integer(), nullable=True))
    for name in ("due_at", "deliver_from", "late_at"):
        op.add_column("orders", sa.Column(name, MOMENT, nullable=True))
    op.create_table(
        "refund_claims",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("description", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("filed_by", sa.Text(), nullable=False),
        sa.Column("opens_at", MOMENT, nullable=False),
        sa.Column("closes_at", MOMENT, nullable=False),
        sa.Column("deadline", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("clause", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("refund", sa.BigInteger(), nullable=True),
        sa.Column("paid_by", sa.Text(), nullable=True),
        sa.Column("first_approver", sa.Text(), nullable=True),
        sa.Column("first_amount", sa.BigInteger(), nullable=True),
        sa.Column("asked_since", MOMENT, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "reason IN ('not-delivered','not-as-described','technical-failure','drop','changed-mind')",
            name=op.f("ck_refund_claims_reason"),
        ),
        sa.CheckConstraint(
            "state IN ('awaiting_deadline','with_operator','awaiting_second','approved','refused',"
            "'withdrawn')",
            name=op.f("ck_refund_claims_state"),
        ),
        sa.CheckConstraint(
            "paid_by IN ('order_end','refund_claim')", name=op.f("ck_refund_claims_paid_by")
        ),
        sa.CheckConstraint(
            "(state IN ('approved','refused','withdrawn')) = (closed_at IS NOT NULL)",
            name=op.f("ck_refund_claims_closed"),
        ),
        sa.CheckConstraint(
            "(state = 'approved') = (paid_by IS NOT NULL)"
            " AND (state = 'approved') = (refund IS NOT NULL) AND refund > 0",
            name=op.f("ck_refund_claims_paid"),
        ),
        sa.CheckConstraint(
            "(state = 'awaiting_second') = (first_approver IS NOT NULL)"
            " AND (first_approver IS NULL) = (first_amount IS NULL) AND first_amount > 0",
            name=op.f("ck_refund_claims_second"),
        ),
        sa.ForeignKeyConstraint(
            ["order_id"], ["orders.id"], name=op.f("fk_refund_claims_order_id")
        ),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_refund_claims_book_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_claims")),
    )
    op.create_index(
        "uq_refund_claims_open", "refund_claims", ["order_id"], unique=True, postgresql_where=OPEN
    )
    op.create_index("ix_refund_claims_order_id", "refund_claims", ["order_id"])
    op.create_index("ix_refund_claims_book_id_id", "refund_claims", ["book_id", "id"])
    op.create_index("ix_refund_claims_state_due_at_id", "refund_claims", ["state", "due_at", "id"])
    op.create_index("ix_refund_claims_created_at", "refund_claims", ["created_at"])
    op.create_table(
        "refund_claim_events",
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=True),
        sa.Column("clause", sa.Text(), nullable=True),
        sa.Column("refund", sa.BigInteger(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("figures", postgresql.JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["refund_claims.id"], name=op.f("fk_refund_claim_events_claim_id")
        ),
        sa.PrimaryKeyConstraint("claim_id", "seq", name=op.f("pk_refund_claim_events")),
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON refund_claim_events "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.create_table(
        "refund_claim_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("claim_id", sa.Uuid(), nullable=False),
        sa.Column("by_operator", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["refund_claims.id"], name=op.f("fk_refund_claim_messages_claim_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_claim_messages")),
    )
    op.create_index(
        "ix_refund_claim_messages_claim_id_id", "refund_claim_messages", ["claim_id", "id"]
    )


def downgrade() -> None:
    op.drop_table("refund_claim_messages")
    op.drop_table("refund_claim_events")
    op.drop_table("refund_claims")
    for name in ("late_at", "deliver_from", "due_at"):
        op.drop_column("orders", name)
    op.drop_column("schedules", "deliver_hours_min")
    for name in ("delivered_p90_seconds", "delivered_p50_seconds"):
        op.drop_column("services", name)
    op.drop_column("services", "bulk_hours")
    op.drop_column("services", "bulk_units")
