"""What the database itself refuses, and the house accounts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("journal", "postings", "audit_log", "order_events")

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""

GUARD_ORDER = """
CREATE FUNCTION guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('queued', 'on_hold') THEN
            RAISE EXCEPTION 'an order cannot be placed into %', NEW.state
                USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state IS DISTINCT FROM OLD.state AND NOT EXISTS (
        SELECT 1 FROM order_moves WHERE source = OLD.state AND target = NEW.state
    ) THEN
        RAISE EXCEPTION 'order % cannot move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.charge, NEW.book_id, NEW.service_id, NEW.quantity, NEW.created_at)
        IS DISTINCT FROM (OLD.charge, OLD.book_id, OLD.service_id, OLD.quantity, OLD.created_at) THEN
        RAISE EXCEPTION 'what order % was bought for cannot change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""

# The pairs of app/orders/states.py as they were at this revision; a test holds the two equal.
ORDER_MOVES = (
    ("queued", ("on_hold", "submitting", "canceled", "partial")),
    ("on_hold", ("queued", "canceled", "partial")),
    ("submitting", ("in_progress", "queued", "failed", "unknown", "needs_review")),
    ("unknown", ("needs_review", "in_progress", "queued", "canceled", "partial")),
    (
        "needs_review",
        ("in_progress", "queued", "completed", "partial", "failed", "canceled"),
    ),
    ("in_progress", ("needs_review", "completed", "partial", "canceled")),
)

HOUSE_ACCOUNTS = (
    "receivable",
    "held",
    "revenue",
    "overage",
    "clearing",
    "credits_expense",
    "writeoff",
    "forfeited",
    "adjustment",
)


def upgrade() -> None:
    op.execute(REFUSE_CHANGE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        op.execute(
            f"CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    op.execute(GUARD_ORDER)
    op.execute(
        "CREATE TRIGGER guard_order BEFORE INSERT OR UPDATE ON orders "
        "FOR EACH ROW EXECUTE FUNCTION guard_order()"
    )
    moves = sa.table("order_moves", sa.column("source", sa.Text()), sa.column("target", sa.Text()))
    op.bulk_insert(
        moves,
        [
            {"source": source, "target": target}
            for source, targets in ORDER_MOVES
            for target in targets
        ],
    )
    for number, kind in enumerate(HOUSE_ACCOUNTS, start=1):
        op.execute(
            "INSERT INTO accounts (id, kind) "
            f"VALUES ('00000000-0000-0000-0000-{number:012x}', '{kind}')"
        )


def downgrade() -> None:
    op.execute("DELETE FROM accounts WHERE book_id IS NULL")
    op.execute("DELETE FROM order_moves")
    op.execute("DROP TRIGGER guard_order ON orders")
    op.execute("DROP FUNCTION guard_order()")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER refuse_change ON {table}")
        op.execute(f"DROP TRIGGER refuse_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_change()")
