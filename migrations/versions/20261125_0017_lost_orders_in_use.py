"""What reconciliation asks of tables that are in use: two indexes, and two rules of services."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from app.core import online_changes

revision = "0017"
down_revision = "0014"
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
    online_changes.add_check(
        "ck_services_on_unknown", "services", "on_unknown IN ('hold','write_off')"
    )
    online_changes.add_check(
        "ck_services_write_off_hours", "services", "write_off_hours BETWEEN 1 AND 720"
    )


def downgrade() -> None:
    for constraint in ("ck_services_write_off_hours", "ck_services_on_unknown"):
        op.drop_constraint(op.f(constraint), "services", type_="check")
    op.drop_index("ix_attempts_started_at", table_name="attempts")
    op.drop_index("ix_orders_book_id_reference", table_name="orders")
