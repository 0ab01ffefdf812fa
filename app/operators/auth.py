"""The operators' guard: key, permission and pace, before a body is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from app.core import apikeys
from app.core.apikeys import KeyKind, PresentedKey
from app.core.audit import Actor
from app.core.errors import Unavailable
from app.core.runtime import Runtime
from app.operators import service
from app.operators.permissions import Permission, granted
from app.operators.repository import OperatorKeyRecord
from app.web.errors import RateLimited, ScopeMissing
from app.web.guard import GuardedRoute
from app.web.limits import RateLimiter
from app.web.signing_in import presented_key, refuse_sign_in

GROUP: Final = "operator"
PER_MINUTE: Final = 600

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route asks of an operator; `moves_money` closes it while Redis is away."""

    permission: Permission
    moves_money: bool


def needs(permission: Permission, *, moves_money: bool = False) -> Callable[[Endpoint], Endpoint]:
    """Mark an endpoint with the permission it needs; a route without this mark is not built."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["needs"] = Needs(permission, moves_money)
        return endpoint

    return mark


@dataclass(frozen=True, slots=True)
class Operator:
    """The person who asks."""

    id: UUID
    key_id: UUID
    permissions: frozenset[Permission]

    @property
    def actor(self) -> Actor:
        return Actor("operator", service.public_operator_id(self.id))

    @property
    def owner(self) -> str:
        """Whose idempotency keys and cursors these are."""
        return f"operator:{self.id}"


class OperatorRoute(GuardedRoute):
    """A route of the operators' API. Keys are looked up each time: operators are few."""

    key_scheme = "OperatorKey"
    key_form = "`smm_op_…`"
    needs: Needs

    async def admit(self, request: Request) -> None:
        limiter: RateLimiter = request.app.state.limiter
        presented = await presented_key(request, limiter)
        record = await _recognise(request.app.state.runtime, presented)
        if record is None:
            raise await refuse_sign_in(request, limiter)
        verdict = await limiter.hit(str(record.key_id), GROUP, per_minute=PER_MINUTE)
        request.scope["answer_headers"].update(verdict.headers())
        if not verdict.allowed:
            raise RateLimited(retry_after_seconds=verdict.reset_seconds)
        permissions = granted(record.roles)
        if self.needs.permission not in permissions:
            raise ScopeMissing(f"This needs the permission {self.needs.permission}")
        if self.needs.moves_money and limiter.redis_is_away:
            raise Unavailable("Operators' money moves are closed while Redis is away")
        request.scope["operator"] = Operator(record.operator_id, record.key_id, permissions)


async def _recognise(runtime: Runtime, presented: PresentedKey) -> OperatorKeyRecord | None:
    if presented.kind is not KeyKind.OPERATOR:
        return None
    async with runtime.uow.begin() as session:
        record = await service.recognise(session, presented.lookup)
        if record is None or not _opens(runtime, presented, record):
            return None
        await service.note_use(session, record)
        return record


def _opens(runtime: Runtime, presented: PresentedKey, record: OperatorKeyRecord) -> bool:
    if record.archived_at is not None or record.revoked_at is not None:
        return False
    if record.expires_at is not None and record.expires_at <= runtime.clock.now():
        return False
    return apikeys.verify(
        presented, runtime.keys, secret_mac=record.secret_mac, pepper=record.pepper
    )


async def current_operator(request: Request) -> Operator:
    """The operator that the guard let in."""
    operator: Operator = request.scope["operator"]
    return operator


OperatorDep = Annotated[Operator, Depends(current_operator)]
