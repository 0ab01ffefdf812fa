"""Rotation of the master key: texts of claims sealed by an older one are sealed by the current."""

from __future__ import annotations

from app.core.crypto import KeyRing
from app.core.db import Session
from app.refunds import message_repository, repository
from app.refunds.texts import body_place, description_place


async def reseal_texts(session: Session, keys: KeyRing, *, limit: int) -> int:
    """Seal some descriptions and messages anew; none is left where it answers zero. Raises
    Undecryptable where the key that sealed one is not configured any more.
    """
    key_id = bytes.fromhex(keys.current_id)
    claims = await repository.sealed_otherwise(session, key_id, limit=limit)
    for claim in claims:
        place = description_place(claim.id)
        claim.description = keys.seal(keys.open(claim.description, place), place)
    messages = await message_repository.sealed_otherwise(session, key_id, limit=limit)
    for message in messages:
        place = body_place(message.id)
        message.body = keys.seal(keys.open(message.body, place), place)
    await session.flush()  # nothing else writes these rows out
    return len(claims) + len(messages)
