"""Bounds of providers that adapt, and calls of which one at a time is made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("providers", sa.Column("in_flight_bound", sa.Integer(), nullable=True))
    op.add_column(
        "providers", sa.Column("bound_cuts", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "providers", sa.Column("bound_clean", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "providers", sa.Column("reads_wait_until", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("providers", sa.Column("probe_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    for name in ("probe_until", "reads_wait_until", "bound_clean", "bound_cuts", "in_flight_bound"):
        op.drop_column("providers", name)
