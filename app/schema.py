"""All tables in one place: whoever needs the whole schema imports it from here."""

from __future__ import annotations

from typing import Final

from app.catalog import mirror_models, price_models
from app.catalog import models as catalog
from app.core import audit, gauges, idempotency, lineage, work
from app.core.db import Base
from app.files import models as files
from app.ledger import models as ledger
from app.operators import models as operators
from app.orders import inquiry_models, link_models, refill_models, restore_models
from app.orders import models as orders
from app.panel import models as panel
from app.refunds import models as refunds
from app.resellers import models as resellers
from app.schedules import models as schedules
from app.supply import models as supply

TABLES_OF: Final = (
    audit,
    catalog,
    files,
    gauges,
    idempotency,
    inquiry_models,
    ledger,
    lineage,
    link_models,
    mirror_models,
    operators,
    orders,
    panel,
    price_models,
    refill_models,
    refunds,
    resellers,
    restore_models,
    schedules,
    supply,
    work,
)
"""The modules whose import puts their tables into the metadata."""

metadata: Final = Base.metadata
