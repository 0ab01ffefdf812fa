"""What is learned of unknown orders: samples of balances, inquiries, and what operators allow."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "balance_samples",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("balance_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_balance_samples_provider_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_balance_samples")),
    )
    op.create_index("ix_balance_samples_provider_id_at", "balance_samples", ["provider_id", "at"])
    op.create_index("ix_balance_samples_at", "balance_samples", ["at"])
    op.create_table(
        "inquiries",
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("sent_at", MOMENT, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("lookup", sa.Text(), nullable=True),
        sa.Column("lookup_asked_at", MOMENT, nullable=True),
        sa.Column("balance", sa.Text(), nullable=True),
        sa.Column("balance_why", sa.Text(), nullable=True),
        sa.Column("balance_at", MOMENT, nullable=True),
        sa.Column("ids", sa.Text(), nullable=True),
        sa.Column("ids_looks", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("ids_after", sa.BigInteger(), nullable=True),
        sa.Column("ids_asked_to", sa.BigInteger(), nullable=True),
        sa.Column(
            "ids_ours", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column("ids_at", MOMENT, nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("resolved_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "lookup IN ('found','not_there','unreadable')", name=op.f("ck_inquiries_lookup")
        ),
        sa.CheckConstraint(
            "balance IN ('taken','absent','unclear')", name=op.f("ck_inquiries_balance")
        ),
        sa.CheckConstraint(
            "ids IN ('found','absent','ambiguous','looking')", name=op.f("ck_inquiries_ids")
        ),
        sa.CheckConstraint(
            "resolved_by IN ('own_evidence','lookup','balance','status','operator','policy')",
            name=op.f("ck_inquiries_resolved_by"),
        ),
        sa.CheckConstraint(
            "(resolved_by IS NULL) = (resolved_at IS NULL)", name=op.f("ck_inquiries_resolved")
        ),
        sa.ForeignKeyConstraint(
            ["attempt_id"], ["attempts.id"], name=op.f("fk_inquiries_attempt_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_inquiries_order_id")),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_inquiries_provider_id")
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_inquiries")),
    )
    op.create_index(
        "ix_inquiries_open",
        "inquiries",
        ["provider_id", "sent_at"],
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index("ix_inquiries_order_id", "inquiries", ["order_id"])
    op.create_index("ix_inquiries_opened_at", "inquiries", ["opened_at"])
    op.create_index(
        "ix_inquiries_resolved_at",
        "inquiries",
        ["resolved_at"],
        postgresql_where=sa.text("resolved_at IS NOT NULL"),
    )
    for consent in ("balance_is_proof", "may_probe_ids", "quiet_after_unknown"):
        op.add_column(
            "providers",
            sa.Column(consent, sa.Boolean(), server_default=sa.text("false"), nullable=False),
        )
    op.add_column("providers", sa.Column("quiet_until", MOMENT, nullable=True))
    op.add_column(
        "services", sa.Column("on_unknown", sa.Text(), server_default="hold", nullable=False)
    )
    op.add_column(
        "services", sa.Column("write_off_hours", sa.Integer(), server_default="72", nullable=False)
    )


def downgrade() -> None:
    op.drop_column("services", "write_off_hours")
    op.drop_column("services", "on_unknown")
    op.drop_column("providers", "quiet_until")
    for consent in ("quiet_after_unknown", "may_probe_ids", "balance_is_proof"):
        op.drop_column("providers", consent)
    op.drop_table("inquiries")
    op.drop_table("balance_samples")
