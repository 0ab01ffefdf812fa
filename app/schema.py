"""All tables in one place: importing this module registers every slice's models."""

from __future__ import annotations

from app.core.db import Base

metadata = Base.metadata

__all__ = ["metadata"]
