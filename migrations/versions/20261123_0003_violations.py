"""The ledger check: `violations(since)`, in SQL, where every tool can ask it."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

DEFINITION = Path(__file__).parents[1] / "sql" / "violations_0003.sql"


def upgrade() -> None:
    sql = DEFINITION.read_text(encoding="utf-8")
    # In a statement of Alembic's a lone colon would start a parameter; ours stand in time formats.
    op.execute(re.sub(r"(?<!:):(?=\w)", r"\:", sql))


def downgrade() -> None:
    op.execute("DROP FUNCTION violations(timestamptz)")
