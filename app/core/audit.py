"""The audit log: what people did, append-only, each row hashed over the one before it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, LargeBinary, select, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, Session
from app.core.uow import now_of

GENESIS: Final = b"\x00"
_LOCK_CHAIN: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('audit_log', 0))")


class AuditRow(Base):
    """One act of one person. The database refuses UPDATE and DELETE."""

    __tablename__ = "audit_log"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str]
    body: Mapped[str]
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: `operator:opr_…`, `reseller:key_…`, `system:follow`, `command:root`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


async def record(
    session: Session, actor: Actor, action: str, subject: str, data: dict[str, Any]
) -> None:
    """Append an act to the chain. One writer at a time: acts are rare, their order is proof."""
    await session.execute(_LOCK_CHAIN)
    last = (
        await session.execute(
            select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)
        )
    ).first()
    seq, prev_hash = (last.seq + 1, last.hash) if last else (1, GENESIS)
    body = orjson.dumps(data, option=orjson.OPT_SORT_KEYS).decode()
    at = now_of(session)
    session.add(
        AuditRow(
            seq=seq,
            at=at,
            actor=str(actor),
            action=action,
            subject=subject,
            body=body,
            prev_hash=prev_hash,
            hash=chain_hash(prev_hash, seq, at, str(actor), action, subject, body),
        )
    )
    await session.flush()  # the next act of this transaction must find this row


def chain_hash(
    prev_hash: bytes, seq: int, at: datetime, actor: str, action: str, subject: str, body: str
) -> bytes:
    """What `violations()` computes in SQL: sha256 of the previous hash and this row's text."""
    moment = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    line = "|".join((str(seq), moment, actor, action, subject, body))
    return hashlib.sha256(prev_hash + line.encode()).digest()
