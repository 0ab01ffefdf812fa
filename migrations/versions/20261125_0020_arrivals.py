"""Where a database found itself: a restored one gives no number of the time that it has forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "database_arrivals",
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("identity", name="pk_database_arrivals"),
    )


def downgrade() -> None:
    op.drop_table("database_arrivals")
