"""Idempotency keys: a committed answer is kept and replayed, a refusal frees the key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Index, LargeBinary, SmallInteger, delete, text, update
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Session
from app.core.errors import AppError
from app.core.statements import Statement
from app.core.uow import now_of

KEY_LENGTH_MAX: Final = 255
KEPT_FOR: Final = timedelta(days=30)
BODY_KEPT_FOR: Final = timedelta(hours=72)


class IdempotencyKeyMissing(AppError):
    status = 400
    code = "idempotency-key-missing"
    title = "This request needs an Idempotency-Key header"


class IdempotencyKeyInvalid(AppError):
    status = 400
    code = "idempotency-key-invalid"
    title = "The Idempotency-Key header must be 1 to 255 visible ASCII characters"


class IdempotencyKeyReused(AppError):
    status = 422
    code = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"


class IdempotencyInFlight(AppError):
    status = 409
    code = "idempotency-in-flight"
    title = "A request with this Idempotency-Key is still under way"

    def __init__(self) -> None:
        super().__init__(retry_after_seconds=1)


class IdempotencyAnswerExpired(AppError):
    status = 409
    code = "idempotency-answer-expired"
    title = "This Idempotency-Key was used; its answer is no longer kept"


class IdempotencyRow(Base):
    """One key of one owner (a book or an operator), with the answer that was committed under it."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    location: Mapped[str | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Request:
    """What a key stands for: whose it is, and which route and body it was first used with."""

    owner: str
    key: str
    request_hash: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A committed 2xx, byte for byte."""

    status: int
    body: bytes
    location: str | None = None


def request_hash(route: str, canonical_body: bytes) -> bytes:
    """The fingerprint of a request; the route keeps one key from serving two routes."""
    return hashlib.sha256(route.encode() + b"\n" + canonical_body).digest()


_CLAIM: Final = text(
    """
    SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 7)) AS locked,
           kept.request_hash, kept.status, kept.location, kept.body
    FROM (SELECT 1) AS one
    LEFT JOIN idempotency_keys AS kept ON kept.owner = :owner AND kept.key = :key
    """
)
_KEEP: Final = Statement(
    """
    INSERT INTO idempotency_keys (owner, key, request_hash, status, location, body, created_at)
    VALUES (:owner, :key, :request_hash, :status, :location, :body, :created_at)
    ON CONFLICT (owner, key) DO NOTHING
    RETURNING status
    """
)


async def claim(session: Session, request: Request) -> Answer | None:
    """Take the key for this transaction, or return the answer already committed under it.

    Raises IdempotencyInFlight while another transaction holds it, IdempotencyKeyReused when it
    was committed for another request.
    """
    name = f"{request.owner}:{request.key}"
    row = (
        await session.execute(_CLAIM, {"name": name, "owner": request.owner, "key": request.key})
    ).one()
    if row.request_hash is not None:
        if row.request_hash != request.request_hash:
            raise IdempotencyKeyReused
        if row.body is None:
            raise IdempotencyAnswerExpired
        return Answer(row.status, row.body, row.location)
    if not row.locked:
        raise IdempotencyInFlight
    return None


async def keep(session: Session, request: Request, answer: Answer) -> None:
    """Store the answer beside its effect.

    Raises IdempotencyInFlight, and so undoes the effect, when another transaction committed under
    the key between our look and our lock.
    """
    kept = await _KEEP.rows(
        session,
        owner=request.owner,
        key=request.key,
        request_hash=request.request_hash,
        status=answer.status,
        location=answer.location,
        body=answer.body,
        created_at=now_of(session),
    )
    if not kept:
        raise IdempotencyInFlight


async def forget_old(session: Session) -> None:
    """Drop bodies after 72 hours and keys after 30 days."""
    now = now_of(session)
    await session.execute(
        update(IdempotencyRow)
        .where(IdempotencyRow.created_at < now - BODY_KEPT_FOR, IdempotencyRow.body.is_not(None))
        .values(body=None)
    )
    await session.execute(delete(IdempotencyRow).where(IdempotencyRow.created_at < now - KEPT_FOR))
