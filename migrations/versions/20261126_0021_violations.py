"""The ledger check sees whose money, attempt, lane and lease it is: `violations(since)` anew."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

DEFINITIONS = Path(__file__).parents[1] / "sql"


def _define(name: str) -> None:
    sql = (DEFINITIONS / name).read_text(encoding="utf-8")
    # In a statement of Alembic's a lone colon would start a parameter; ours stand in time formats.
    op.execute(re.sub(r"(?<!:):(?=\w)", r"\:", sql))


def upgrade() -> None:
    _define("violations_0021.sql")


def downgrade() -> None:
    _define("violations_0018.sql")
