"""Drip-feeds and subscriptions: schedules, their events, and the orders that are their runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
UNENDED = sa.text("ended_at IS NULL")

# The moves of app/schedules/states.py as they were at this revision; a test holds the two equal.
GUARD_SCHEDULE = """
CREATE FUNCTION guard_schedule() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state IS DISTINCT FROM OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('active', 'paused'), ('active', 'placed'), ('active', 'canceled'),
        ('paused', 'active'), ('paused', 'canceled')
    ) THEN
        RAISE EXCEPTION 'schedule % cannot move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF (NEW.charge, NEW.book_id, NEW.service_id, NEW.quantity, NEW.runs)
        IS DISTINCT FROM (OLD.charge, OLD.book_id, OLD.service_id, OLD.quantity, OLD.runs)
        OR NEW.started < OLD.started THEN
        RAISE EXCEPTION 'what schedule % was bought for cannot change', OLD.id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column(
            "id",
            sa.BigInteger(),
            server_default=sa.text("nextval('order_numbers')"),
            nullable=False,
        ),
        sa.Column("book_id", sa.Uuid(), nullable=False),
        sa.Column("service_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wait_reason", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("quantity", sa.BigInteger(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("started", sa.Integer(), nullable=False),
        sa.Column("interval_minutes", sa.Integer(), nullable=True),
        sa.Column("next_at", MOMENT, nullable=True),
        sa.Column("charge", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("allocated", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("rate_micros", sa.BigInteger(), nullable=False),
        sa.Column("price_unit", sa.Integer(), nullable=False),
        sa.Column("markup_basis_points", sa.Integer(), nullable=False),
        sa.Column("cost_micros", sa.BigInteger(), nullable=False),
        sa.Column("deliver_hours", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("deliver_by", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.CheckConstraint("kind IN ('drip_feed','subscription')", name=op.f("ck_schedules_kind")),
        sa.CheckConstraint(
            "state IN ('active','paused','placed','canceled')", name=op.f("ck_schedules_state")
        ),
        sa.CheckConstraint(
            "runs >= 1 AND started BETWEEN 0 AND runs AND (state <> 'placed' OR started = runs)",
            name=op.f("ck_schedules_runs"),
        ),
        sa.CheckConstraint(
            "(kind = 'drip_feed') = (interval_minutes IS NOT NULL) AND interval_minutes >= 1",
            name=op.f("ck_schedules_interval"),
        ),
        sa.CheckConstraint("charge > 0 AND quantity >= 1", name=op.f("ck_schedules_charge")),
        sa.CheckConstraint(
            "held >= 0 AND allocated >= 0 AND refunded >= 0", name=op.f("ck_schedules_amounts")
        ),
        sa.CheckConstraint(
            "charge = held + allocated + refunded", name=op.f("ck_schedules_arithmetic")
        ),
        sa.CheckConstraint(
            "(state IN ('placed','canceled')) = (ended_at IS NOT NULL)"
            " AND (ended_at IS NULL OR held = 0)"
            " AND (state IN ('active','paused')) = (next_at IS NOT NULL)",
            name=op.f("ck_schedules_ended"),
        ),
        sa.ForeignKeyConstraint(["book_id"], ["books.id"], name=op.f("fk_schedules_book_id")),
        sa.ForeignKeyConstraint(
            ["service_id"], ["services.id"], name=op.f("fk_schedules_service_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
    )
    op.create_index("ix_schedules_book_id_id", "schedules", ["book_id", "id"])
    op.create_index("ix_schedules_unended", "schedules", ["state"], postgresql_where=UNENDED)
    op.create_table(
        "schedule_events",
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("data", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_events_schedule_id")
        ),
        sa.PrimaryKeyConstraint("schedule_id", "seq", name=op.f("pk_schedule_events")),
    )
    op.execute(
        "CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON schedule_events "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )
    op.execute(GUARD_SCHEDULE)
    op.execute(
        "CREATE TRIGGER guard_schedule BEFORE UPDATE ON schedules "
        "FOR EACH ROW EXECUTE FUNCTION guard_schedule()"
    )
    op.add_column("orders", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    op.add_column("orders", sa.Column("run_number", sa.Integer(), nullable=True))
    op.create_check_constraint(
        op.f("ck_orders_run"),
        "orders",
        "(parent_id IS NULL) = (run_number IS NULL) AND run_number >= 1",
    )
    op.create_index(
        "uq_orders_run",
        "orders",
        ["parent_id", "run_number"],
        unique=True,
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("uq_orders_run", table_name="orders")
    op.drop_constraint(op.f("ck_orders_run"), "orders", type_="check")
    op.drop_column("orders", "run_number")
    op.drop_column("orders", "parent_id")
    op.drop_table("schedule_events")
    op.drop_table("schedules")
    op.execute("DROP FUNCTION guard_schedule()")
