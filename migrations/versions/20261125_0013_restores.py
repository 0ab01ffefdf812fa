"""Restores: which database this is, and which orders may have been sent after the backup."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# A cluster has its number; its timeline changes when it is recovered to a point in time or when a
# standby is promoted; a database and a table get other numbers when they are made anew.
IDENTITY = """
CREATE FUNCTION database_identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('.',
        (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        CAST(CAST('database_lineage' AS regclass) AS oid))
$$
"""


def upgrade() -> None:
    op.create_table(
        "database_lineage",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_database_lineage"),
    )
    op.execute(IDENTITY)
    op.execute(
        "INSERT INTO database_lineage (identity, at, actor)"
        " SELECT database_identity(), clock_timestamp(), 'system:migrate'"
    )
    op.create_table(
        "restore_doubts",
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("provider_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_restore_doubts_order_id"),
        sa.ForeignKeyConstraint(
            ["provider_id"], ["providers.id"], name="fk_restore_doubts_provider_id"
        ),
        sa.PrimaryKeyConstraint("order_id", "provider_id", name="pk_restore_doubts"),
    )
    op.create_index("ix_restore_doubts_provider_id", "restore_doubts", ["provider_id"])
    op.execute(
        "INSERT INTO order_moves (source, target)"
        " VALUES ('queued', 'needs_review'), ('on_hold', 'needs_review')"
    )


def downgrade() -> None:
    op.execute(
        "DELETE FROM order_moves WHERE target = 'needs_review' AND source IN ('queued', 'on_hold')"
    )
    op.drop_table("restore_doubts")
    op.execute("DROP FUNCTION database_identity()")
    op.drop_table("database_lineage")
