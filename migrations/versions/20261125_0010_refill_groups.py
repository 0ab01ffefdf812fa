"""The refills of a drip-feed's runs, asked for together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from app.core import online_changes

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEX = "ix_refills_group_id"


def upgrade() -> None:
    # A second try, after the index could not be built, finds the column there.
    op.add_column(
        "refills", sa.Column("group_id", sa.BigInteger(), nullable=True), if_not_exists=True
    )
    online_changes.create_index(
        INDEX, "refills", ["group_id", "id"], postgresql_where=sa.text("group_id IS NOT NULL")
    )


def downgrade() -> None:
    op.drop_index(INDEX, "refills")
    op.drop_column("refills", "group_id")
