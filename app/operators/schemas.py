"""Bodies and answers of the routes on operators and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self

import orjson
from pydantic import EmailStr, Field

from app.core.audit import AuditRow
from app.operators.models import Operator, OperatorKey
from app.operators.permissions import Role
from app.operators.service import public_key_id, public_operator_id
from app.web.fields import Line, Moment
from app.web.schemas import AnswerModel, InputModel

Name = Annotated[Line, Field(max_length=200)]


class OperatorCreate(InputModel):
    name: Name
    email: EmailStr
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]


class OperatorRead(AnswerModel):
    id: str
    name: str
    email: str
    roles: list[Role]
    created_at: datetime
    archived_at: datetime | None

    @classmethod
    def of(cls, operator: Operator) -> Self:
        return cls(
            id=public_operator_id(operator.id),
            name=operator.name,
            email=operator.email,
            roles=[Role(role) for role in operator.roles],
            created_at=operator.created_at,
            archived_at=operator.archived_at,
        )


class OperatorPage(AnswerModel):
    data: list[OperatorRead]
    next_cursor: str | None


class OperatorKeyCreate(InputModel):
    name: Name
    expires_at: Moment | None = None


class OperatorKeyMade(AnswerModel):
    """A new key. `key` is shown this once and cannot be had again."""

    id: str
    operator_id: str
    name: str
    last4: str
    created_at: datetime
    expires_at: datetime | None
    key: str


class OperatorKeyRead(AnswerModel):
    """A key of one person, without its secret."""

    id: str
    name: str
    last4: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: OperatorKey) -> Self:
        return cls(
            id=public_key_id(key.id),
            name=key.name,
            last4=key.last4,
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class OperatorKeyPage(AnswerModel):
    data: list[OperatorKeyRead]
    next_cursor: str | None


class AuditRead(AnswerModel):
    """One act of one person."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    data: dict[str, Any]
    hash: str

    @classmethod
    def of(cls, row: AuditRow) -> Self:
        return cls(
            seq=row.seq,
            at=row.at,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            data=orjson.loads(row.body),
            hash=row.hash.hex(),
        )


class AuditPage(AnswerModel):
    data: list[AuditRead]
    next_cursor: str | None
