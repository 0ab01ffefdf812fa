"""Idempotency keys: a committed answer is kept and replayed, a refusal frees the key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Index,
    LargeBinary,
    SmallInteger,
    delete,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.core.crypto import KeyRing, Place, Undecryptable
from app.core.db import Base, Session
from app.core.errors import AppError
from app.core.statements import Statement
from app.core.uow import now_of

KEY_LENGTH_MAX: Final = 255
KEPT_FOR: Final = timedelta(days=30)
BODY_KEPT_FOR: Final = timedelta(hours=72)
LOOKED_BACK: Final = timedelta(days=7)
FORGOTTEN_MAX: Final = 20_000
"""Rows that one look forgets: more would not fit a statement's time."""


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
    """One key of one owner (a book or an operator), with the answer that was committed
    under it, sealed: it tells links.
    """

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
    SELECT pg_try_advisory_xact_lock(hashtextextended(asked.owner || ':' || asked.key, 7))
               AS locked, kept.request_hash, kept.status, kept.location, kept.body
    FROM unnest(CAST(:owners AS text[]), CAST(:keys AS text[]))
         WITH ORDINALITY AS asked (owner, key, number)
    LEFT JOIN idempotency_keys AS kept ON kept.owner = asked.owner AND kept.key = asked.key
    ORDER BY asked.number
    """
)
_KEEP: Final = Statement(
    """
    INSERT INTO idempotency_keys (owner, key, request_hash, status, location, body, created_at)
    SELECT owner, key, request_hash, status, location, body, :created_at
    FROM unnest(CAST(:owners AS text[]), CAST(:keys AS text[]), CAST(:hashes AS bytea[]),
                CAST(:statuses AS smallint[]), CAST(:locations AS text[]), CAST(:bodies AS bytea[]))
         AS answer (owner, key, request_hash, status, location, body)
    ON CONFLICT (owner, key) DO NOTHING
    RETURNING status
    """
)


async def claim(session: Session, keys: KeyRing, request: Request) -> Answer | None:
    """Take the key for this transaction, or return the answer already committed under it.

    Raises IdempotencyInFlight while another transaction holds it, IdempotencyKeyReused when it
    was committed for another request.
    """
    [claimed] = await claim_many(session, keys, [request])
    if isinstance(claimed, AppError):
        raise claimed
    return claimed


async def claim_many(
    session: Session, keys: KeyRing, requests: Sequence[Request]
) -> list[Answer | AppError | None]:
    """The same for several at once; what `claim` raises is told of each."""
    rows = await session.execute(
        _CLAIM, {"owners": [r.owner for r in requests], "keys": [r.key for r in requests]}
    )
    claims: list[Answer | AppError | None] = []
    taken: set[tuple[str, str]] = set()
    for request, row in zip(requests, rows, strict=True):
        name = (request.owner, request.key)
        # To the database, a transaction that has a lock may take it again.
        claims.append(_claimed(keys, request, row, locked=row.locked and name not in taken))
        taken.add(name)
    return claims


def _claimed(
    keys: KeyRing, request: Request, row: Any, *, locked: bool
) -> Answer | AppError | None:
    if row.request_hash is not None:
        if row.request_hash != request.request_hash:
            return IdempotencyKeyReused()
        if row.body is None:
            return IdempotencyAnswerExpired()
        try:
            body = keys.open(row.body, _place(request))
        except Undecryptable:
            # Nobody seals anew what is kept for three days: its master key is gone.
            return IdempotencyAnswerExpired()
        return Answer(row.status, body, row.location)
    return None if locked else IdempotencyInFlight()


async def keep(session: Session, keys: KeyRing, request: Request, answer: Answer) -> None:
    """Store the answer beside its effect.

    Raises IdempotencyInFlight, and so undoes the effect, when another transaction committed under
    the key between our look and our lock.
    """
    await keep_many(session, keys, [(request, answer)])


async def keep_many(
    session: Session, keys: KeyRing, answers: Sequence[tuple[Request, Answer]]
) -> None:
    """The same for several at once: one that cannot be kept undoes the effects of all."""
    kept = await _KEEP.rows(
        session,
        owners=[request.owner for request, _ in answers],
        keys=[request.key for request, _ in answers],
        hashes=[request.request_hash for request, _ in answers],
        statuses=[answer.status for _, answer in answers],
        locations=[answer.location for _, answer in answers],
        bodies=[keys.seal(answer.body, _place(request)) for request, answer in answers],
        created_at=now_of(session),
    )
    if len(kept) != len(answers):
        raise IdempotencyInFlight


def _place(request: Request) -> Place:
    return Place("idempotency_keys", "body", f"{request.owner}:{request.key}")


async def forget_old(session: Session) -> None:
    """Drop bodies after 72 hours and keys after 30 days, a bounded number at a time."""
    now = now_of(session)
    row = tuple_(IdempotencyRow.owner, IdempotencyRow.key)
    old_bodies = (
        select(IdempotencyRow.owner, IdempotencyRow.key)
        .where(
            # Looked for in a few days only: whatever a long absence leaves goes with its key.
            IdempotencyRow.created_at.between(now - LOOKED_BACK, now - BODY_KEPT_FOR),
            IdempotencyRow.body.is_not(None),
        )
        .limit(FORGOTTEN_MAX)
    )
    await session.execute(
        update(IdempotencyRow)
        .where(row.in_(old_bodies))
        .values(body=None)
        .execution_options(synchronize_session=False)
    )
    old_keys = (
        select(IdempotencyRow.owner, IdempotencyRow.key)
        .where(IdempotencyRow.created_at < now - KEPT_FOR)
        .limit(FORGOTTEN_MAX)
    )
    await session.execute(
        delete(IdempotencyRow).where(row.in_(old_keys)).execution_options(synchronize_session=False)
    )
