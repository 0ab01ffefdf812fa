"""What was undelivered of an order at the moment that a claim on it is decided by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("orders", sa.Column("cutoff_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("orders", sa.Column("cutoff_remains", sa.Integer(), nullable=True))


def downgrade() -> None:
    op.drop_column("orders", "cutoff_remains")
    op.drop_column("orders", "cutoff_at")
