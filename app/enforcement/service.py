"""The standing of an account and the spending of its wallets, changed together or not at all."""

from __future__ import annotations

from uuid import UUID

from app.core.db import Session
from app.ledger import service as ledger
from app.resellers import service as resellers
from app.resellers.models import Reseller, Standing

SPENDING = frozenset({Standing.ACTIVE, Standing.LIMITED})


async def change_standing(
    session: Session, reseller_id: UUID, standing: Standing, *, reason: str
) -> Reseller:
    """Set an account's standing; spending follows from this commit on, in every process."""
    reseller = await resellers.get(session, reseller_id)
    await resellers.set_standing(session, reseller_id, standing, reason=reason)
    for book in await resellers.books_of(session, reseller_id):
        await ledger.set_spendable(session, book.id, spendable=standing in SPENDING)
    return await resellers.get(session, reseller.id)
