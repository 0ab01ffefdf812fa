"""What lost orders and claims ask of tables that are in use: three indexes, rules of services."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from app.core import online_changes

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    online_changes.create_index(
        "ix_orders_book_id_reference",
        "orders",
        ["book_id", "reference"],
        postgresql_where=text("reference IS NOT NULL"),
    )
    # Attempts lie on the disk in the order of their time: a few pages of index find an hour's.
    online_changes.create_index(
        "ix_attempts_started_at", "attempts", ["started_at"], postgresql_using="brin"
    )
    online_changes.create_index(
        "ix_orders_late_at", "orders", ["late_at"], postgresql_where=text("late_at IS NOT NULL")
    )
    online_changes.add_check(
        "ck_services_bulk",
        "services",
        "(bulk_units IS NULL) = (bulk_hours IS NULL) AND bulk_units > 0 AND bulk_hours > 0",
    )
    online_changes.add_check(
        "ck_services_on_unknown", "services", "on_unknown IN ('hold','write_off')"
    )
    online_changes.add_check(
        "ck_services_write_off_hours", "services", "write_off_hours BETWEEN 1 AND 720"
    )


def downgrade() -> None:
    for constraint in ("write_off_hours", "on_unknown", "bulk"):
        op.drop_constraint(op.f(f"ck_services_{constraint}"), "services", type_="check")
    op.drop_index("ix_orders_late_at", table_name="orders")
    op.drop_index("ix_attempts_started_at", table_name="attempts")
    op.drop_index("ix_orders_book_id_reference", table_name="orders")
