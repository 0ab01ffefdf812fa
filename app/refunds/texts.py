"""What people wrote about a claim, sealed for its row."""

from __future__ import annotations

from uuid import UUID

from app.core.crypto import KeyRing, Place, Undecryptable
from app.core.logging import get_logger
from app.refunds.models import Claim, ClaimMessage

log = get_logger(__name__)


def description_place(claim_id: UUID) -> Place:
    return Place("refund_claims", "description", str(claim_id))


def body_place(message_id: UUID) -> Place:
    return Place("refund_claim_messages", "body", str(message_id))


def seal(keys: KeyRing, place: Place, text: str) -> bytes:
    """A text, encrypted for this place."""
    return keys.seal(text.encode(), place)


def description_of(keys: KeyRing, claim: Claim) -> str | None:
    return _shown(keys, description_place(claim.id), claim.description)


def body_of(keys: KeyRing, message: ClaimMessage) -> str | None:
    return _shown(keys, body_place(message.id), message.body)


def _shown(keys: KeyRing, place: Place, sealed: bytes) -> str | None:
    """None where nobody can open it any more, which is told in the log and hides nothing else."""
    try:
        return keys.open(sealed, place).decode()
    except Undecryptable:
        log.warning("text_cannot_be_opened", table=place.table, row=place.row)
        return None
