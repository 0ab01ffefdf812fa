"""Operators as persons with roles: adding them, giving them keys, recognising them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from app.core import apikeys
from app.core.apikeys import KeyKind, MintedKey
from app.core.audit import AuditRow
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.errors import NotFound
from app.core.ids import new_id, parse_public_id, public_id
from app.core.uow import now_of
from app.operators import repository
from app.operators.errors import LastAdmin, OperatorEmailTaken
from app.operators.models import Operator, OperatorKey
from app.operators.permissions import Role
from app.operators.repository import OperatorKeyRecord

PREFIX: Final = "opr"
KEY_PREFIX: Final = "opk"
USE_NOTED_EVERY: Final = timedelta(minutes=1)


async def add(session: Session, *, name: str, email: str, roles: Sequence[Role]) -> Operator:
    """Add a person to the staff. Raises OperatorEmailTaken."""
    if await repository.email_taken(session, email):
        raise OperatorEmailTaken
    operator = Operator(
        id=new_id(), name=name, email=email, roles=sorted(set(roles)), created_at=now_of(session)
    )
    session.add(operator)
    await session.flush()  # keys and audit rows refer to it
    return operator


async def make_key(
    session: Session,
    keys: KeyRing,
    operator_id: UUID,
    *,
    name: str,
    expires_at: datetime | None = None,
) -> tuple[OperatorKey, MintedKey]:
    """Make a key for an operator; its text is shown this once."""
    minted = apikeys.mint(KeyKind.OPERATOR, keys)
    key = OperatorKey(
        id=new_id(),
        operator_id=operator_id,
        lookup=minted.lookup,
        secret_mac=minted.secret_mac,
        pepper=minted.pepper,
        last4=minted.last4,
        name=name,
        created_at=now_of(session),
        expires_at=expires_at,
    )
    session.add(key)
    await session.flush()  # a clash of look-up ids must show here
    return key, minted


async def revoke_key(session: Session, operator_id: UUID, public_key_id: str) -> None:
    """End a key at once; revoking it again changes nothing. Raises NotFound."""
    key_id = parse_public_id(KEY_PREFIX, public_key_id)
    key = key_id and await repository.find_key(session, operator_id, key_id)
    if not key:
        raise NotFound
    if key.revoked_at is None:
        key.revoked_at = now_of(session)
        await session.flush()  # written before the audit row that tells of it


async def archive(session: Session, operator_id: UUID) -> Operator:
    """The person leaves the staff: none of the keys opens anything from now on, and what was done
    keeps its name. Doing it again changes nothing. Raises NotFound, LastAdmin.
    """
    await repository.lock_staff(session)
    operator = await repository.find(session, operator_id)
    if operator is None:
        raise NotFound
    if operator.archived_at is not None:
        return operator
    if Role.ADMIN in operator.roles and await repository.count_with_role(session, Role.ADMIN) == 1:
        raise LastAdmin
    operator.archived_at = now_of(session)
    await session.flush()  # written before the audit row that tells of it
    return operator


async def get_public(session: Session, text: str) -> Operator:
    """By the id that the API shows. Raises NotFound."""
    operator_id = parse_public_id(PREFIX, text)
    operator = operator_id and await repository.find(session, operator_id)
    if not operator:
        raise NotFound
    return operator


async def find_by_email(session: Session, email: str) -> Operator | None:
    """The person who has this e-mail address, in any case of its letters."""
    return await repository.find_by_email(session, email)


async def page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Operator]:
    return await repository.page(session, after=after, limit=limit)


async def keys_page(
    session: Session, operator_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[OperatorKey]:
    """The keys of one person, newest first."""
    return await repository.keys_page(session, operator_id, after=after, limit=limit)


async def recognise(session: Session, lookup: str) -> OperatorKeyRecord | None:
    """What a key's look-up id stands for."""
    return await repository.find_key_record(session, lookup)


async def note_use(session: Session, record: OperatorKeyRecord) -> None:
    """Remember that a key was used, at most once a minute."""
    now = now_of(session)
    if record.last_used_at is None or record.last_used_at < now - USE_NOTED_EVERY:
        await repository.touch_key(session, record.key_id, now=now)


async def audit_page(session: Session, *, before: int | None, limit: int) -> Sequence[AuditRow]:
    """What people did, newest first."""
    return await repository.audit_page(session, before=before, limit=limit)


def public_operator_id(operator_id: UUID) -> str:
    return public_id(PREFIX, operator_id)


def public_key_id(key_id: UUID) -> str:
    return public_id(KEY_PREFIX, key_id)
