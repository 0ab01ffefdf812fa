"""The SQL of operators and their keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, update

from app.core.audit import AuditRow
from app.core.db import Session
from app.operators.models import Operator, OperatorKey


@dataclass(frozen=True, slots=True)
class OperatorKeyRecord:
    """Everything that a request's guard needs of an operator's key, in one look-up."""

    key_id: UUID
    operator_id: UUID
    roles: tuple[str, ...]
    secret_mac: bytes
    pepper: str
    expires_at: datetime | None
    revoked_at: datetime | None
    archived_at: datetime | None
    last_used_at: datetime | None


async def find_key_record(session: Session, lookup: str) -> OperatorKeyRecord | None:
    row = (
        await session.execute(
            select(OperatorKey, Operator.roles, Operator.archived_at)
            .join(Operator, Operator.id == OperatorKey.operator_id)
            .where(OperatorKey.lookup == lookup)
        )
    ).first()
    if row is None:
        return None
    key: OperatorKey = row[0]
    return OperatorKeyRecord(
        key_id=key.id,
        operator_id=key.operator_id,
        roles=tuple(row.roles),
        secret_mac=key.secret_mac,
        pepper=key.pepper,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        archived_at=row.archived_at,
        last_used_at=key.last_used_at,
    )


async def touch_key(session: Session, key_id: UUID, *, now: datetime) -> None:
    """Note a use; the latest stands."""
    await session.execute(
        update(OperatorKey).where(OperatorKey.id == key_id).values(last_used_at=now)
    )


async def email_taken(session: Session, email: str) -> bool:
    return bool(
        await session.scalar(select(Operator.id).where(func.lower(Operator.email) == email.lower()))
    )


async def find_by_email(session: Session, email: str) -> Operator | None:
    found: Operator | None = await session.scalar(
        select(Operator).where(func.lower(Operator.email) == email.lower())
    )
    return found


async def find(session: Session, operator_id: UUID) -> Operator | None:
    return await session.get(Operator, operator_id)


async def find_key(session: Session, operator_id: UUID, key_id: UUID) -> OperatorKey | None:
    """A key of this person, locked."""
    found: OperatorKey | None = await session.scalar(
        select(OperatorKey)
        .where(OperatorKey.id == key_id, OperatorKey.operator_id == operator_id)
        .with_for_update()
    )
    return found


async def lock_staff(session: Session) -> None:
    """One at a time: of two admins who leave together the second sees the first gone."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("staff", 0))))


async def count_with_role(session: Session, role: str) -> int:
    """How many of the staff have this role."""
    count = await session.scalar(
        select(func.count()).where(Operator.archived_at.is_(None), Operator.roles.contains([role]))
    )
    return int(count or 0)


async def page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Operator]:
    """Newest first."""
    statement = select(Operator).order_by(Operator.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(Operator.id < after)
    return (await session.scalars(statement)).all()


async def keys_page(
    session: Session, operator_id: UUID, *, after: UUID | None, limit: int
) -> Sequence[OperatorKey]:
    """Newest first, revoked ones included."""
    statement = (
        select(OperatorKey)
        .where(OperatorKey.operator_id == operator_id)
        .order_by(OperatorKey.id.desc())
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(OperatorKey.id < after)
    return (await session.scalars(statement)).all()


async def audit_page(session: Session, *, before: int | None, limit: int) -> Sequence[AuditRow]:
    """Newest first."""
    statement = select(AuditRow).order_by(AuditRow.seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(AuditRow.seq < before)
    return (await session.scalars(statement)).all()
