"""The SQL of plans, resellers, books and API keys. Keys are always found within a book."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update

from app.core.db import Session
from app.core.ids import new_id
from app.resellers.models import ApiKey, Book, KeyRecord, PanelOptions, Plan, Reseller


async def find_key_record(session: Session, lookup: str) -> KeyRecord | None:
    row = (
        await session.execute(
            select(
                ApiKey.id,
                ApiKey.book_id,
                ApiKey.panel_get_allowed,
                ApiKey.panel_window_seconds,
                Book.reseller_id,
                Book.mode,
                Reseller.standing,
                ApiKey.secret_mac,
                ApiKey.pepper,
                ApiKey.scopes,
                ApiKey.allowed_cidrs,
                ApiKey.expires_at,
                ApiKey.revoked_at,
                ApiKey.last_used_at,
                Plan.limits_per_minute,
            )
            .join(Book, Book.id == ApiKey.book_id)
            .join(Reseller, Reseller.id == Book.reseller_id)
            .join(Plan, Plan.id == Reseller.plan_id)
            .where(ApiKey.lookup == lookup)
        )
    ).first()
    if row is None:
        return None
    return KeyRecord(
        key_id=row.id,
        book_id=row.book_id,
        reseller_id=row.reseller_id,
        mode=row.mode,
        standing=row.standing,
        secret_mac=row.secret_mac,
        pepper=row.pepper,
        scopes=frozenset(row.scopes),
        allowed_cidrs=tuple(row.allowed_cidrs),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        limits_per_minute=row.limits_per_minute,
        panel=PanelOptions(row.panel_get_allowed, row.panel_window_seconds),
    )


async def touch_key(session: Session, key_id: UUID, *, now: datetime) -> None:
    """Note a use; the latest stands."""
    await session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now))


async def ensure_plan(session: Session, code: str, *, now: datetime) -> Plan:
    """The plan of that code, made without limits of its own when there is none."""
    plan: Plan | None = await session.scalar(select(Plan).where(Plan.code == code))
    if plan is None:
        plan = Plan(id=new_id(), code=code, limits_per_minute={}, created_at=now)
        session.add(plan)
        await session.flush()  # the reseller refers to it
    return plan


async def find_plan(session: Session, code: str) -> Plan | None:
    found: Plan | None = await session.scalar(select(Plan).where(Plan.code == code))
    return found


async def plan_of(session: Session, reseller: Reseller) -> Plan:
    return (await session.scalars(select(Plan).where(Plan.id == reseller.plan_id))).one()


async def email_taken(session: Session, email: str) -> bool:
    return bool(
        await session.scalar(select(Reseller.id).where(func.lower(Reseller.email) == email.lower()))
    )


async def find_by_email(session: Session, email: str) -> Reseller | None:
    found: Reseller | None = await session.scalar(
        select(Reseller).where(func.lower(Reseller.email) == email.lower())
    )
    return found


async def find_reseller(session: Session, reseller_id: UUID) -> Reseller | None:
    return await session.get(Reseller, reseller_id, populate_existing=True)


async def resellers_page(session: Session, *, after: UUID | None, limit: int) -> Sequence[Reseller]:
    """Newest first."""
    statement = select(Reseller).order_by(Reseller.id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(Reseller.id < after)
    return (await session.scalars(statement)).all()


async def change_reseller(session: Session, reseller_id: UUID, values: dict[str, Any]) -> None:
    await session.execute(update(Reseller).where(Reseller.id == reseller_id).values(values))


async def book_of(session: Session, reseller_id: UUID, mode: str) -> Book | None:
    found: Book | None = await session.scalar(
        select(Book).where(Book.reseller_id == reseller_id, Book.mode == mode)
    )
    return found


async def reseller_of_book(session: Session, book_id: UUID) -> Reseller:
    of_book = select(Book.reseller_id).where(Book.id == book_id).scalar_subquery()
    return (await session.scalars(select(Reseller).where(Reseller.id == of_book))).one()


async def books_of(session: Session, reseller_id: UUID) -> Sequence[Book]:
    return (
        await session.scalars(
            select(Book).where(Book.reseller_id == reseller_id).order_by(Book.mode)
        )
    ).all()


async def active_key_count(session: Session, book_id: UUID, *, now: datetime) -> int:
    count = await session.scalar(
        select(func.count()).where(
            ApiKey.book_id == book_id,
            ApiKey.revoked_at.is_(None),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now),
        )
    )
    return int(count or 0)


async def find_key(session: Session, book_id: UUID, key_id: UUID) -> ApiKey | None:
    found: ApiKey | None = await session.scalar(
        select(ApiKey).where(ApiKey.id == key_id, ApiKey.book_id == book_id)
    )
    return found


async def keys_page(
    session: Session, book_ids: Collection[UUID], *, after: UUID | None, limit: int
) -> Sequence[ApiKey]:
    """Newest first, revoked ones included."""
    statement = (
        select(ApiKey).where(ApiKey.book_id.in_(book_ids)).order_by(ApiKey.id.desc()).limit(limit)
    )
    if after is not None:
        statement = statement.where(ApiKey.id < after)
    return (await session.scalars(statement)).all()


async def lock_book(session: Session, book_id: UUID) -> None:
    """One at a time: what is counted on a book stays true until the commit."""
    await session.execute(select(Book.id).where(Book.id == book_id).with_for_update())
