"""One running order on a link at a provider service; routing strategies; low provider balances."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "link_locks",
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.Column("provider_service", sa.Text(), nullable=False),
        sa.Column("link_hash", sa.LargeBinary(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name=op.f("fk_link_locks_provider_id")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_link_locks_order_id")),
        sa.PrimaryKeyConstraint(
            "provider_id", "provider_service", "link_hash", name=op.f("pk_link_locks")
        ),
        sa.UniqueConstraint("order_id", name=op.f("uq_link_locks_order_id")),
    )
    op.create_index(
        "ix_orders_waiting_for_link",
        "orders",
        ["link_hash"],
        postgresql_where=sa.text("wait_reason = 'link_busy'"),
    )
    for table in ("service_routes", "attempts"):
        op.add_column(
            table,
            sa.Column(
                "link_exclusive", sa.Boolean(), server_default=sa.text("true"), nullable=False
            ),
        )
    op.add_column(
        "services", sa.Column("routing", sa.Text(), server_default="priority", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_services_routing"), "services", "routing IN ('priority','cost')"
    )
    op.add_column(
        "services", sa.Column("busy_link", sa.Text(), server_default="queue", nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_services_busy_link"), "services", "busy_link IN ('queue','refuse')"
    )
    op.add_column("providers", sa.Column("low_balance_micros", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("providers", "low_balance_micros")
    for constraint in ("ck_services_busy_link", "ck_services_routing"):
        op.drop_constraint(op.f(constraint), "services", type_="check")
    op.drop_column("services", "busy_link")
    op.drop_column("services", "routing")
    for table in ("attempts", "service_routes"):
        op.drop_column(table, "link_exclusive")
    op.drop_index("ix_orders_waiting_for_link", table_name="orders")
    op.drop_table("link_locks")
