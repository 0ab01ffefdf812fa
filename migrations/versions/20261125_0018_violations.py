"""The ledger check over claims that people look at too: `violations(since)` anew."""

from __future__ import annotations

import re
from pathlib import Path

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

DEFINITIONS = Path(__file__).parents[1] / "sql"


def _define(name: str) -> None:
    sql = (DEFINITIONS / name).read_text(encoding="utf-8")
    # In a statement of Alembic's a lone colon would start a parameter; ours stand in time formats.
    op.execute(re.sub(r"(?<!:):(?=\w)", r"\:", sql))


def upgrade() -> None:
    _define("violations_0018.sql")


def downgrade() -> None:
    _define("violations_0016.sql")
