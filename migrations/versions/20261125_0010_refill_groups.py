"""The refills of a drip-feed's runs, asked for together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INDEX = "ix_refills_group_id"


def upgrade() -> None:
    # Refills go on while the index is built, so that this is no single transaction: a second try
    # finds the column there, and what the first has left of the index is no index.
    column = sa.Column("group_id", sa.BigInteger(), nullable=True)
    op.add_column("refills", column, if_not_exists=True)
    with op.get_context().autocommit_block():
        op.drop_index(INDEX, "refills", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            INDEX,
            "refills",
            ["group_id", "id"],
            postgresql_where=sa.text("group_id IS NOT NULL"),
            postgresql_concurrently=True,
            if_not_exists=True,
        )


def downgrade() -> None:
    op.drop_index(INDEX, "refills")
    op.drop_column("refills", "group_id")
