"""All tables in one place: importing this module registers every slice's models."""

from __future__ import annotations

from app.catalog import models as _catalog
from app.core import audit as _audit
from app.core import gauges as _gauges
from app.core import idempotency as _idempotency
from app.core import work as _work
from app.core.db import Base
from app.ledger import models as _ledger
from app.operators import models as _operators
from app.orders import models as _orders
from app.resellers import models as _resellers
from app.supply import models as _supply

metadata = Base.metadata

__all__ = ["metadata"]
