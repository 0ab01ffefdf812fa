"""The resellers' guard: key, standing, scope and pace, all before a body is read."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Self, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from app.core import apikeys
from app.core.apikeys import KeyKind, PresentedKey
from app.core.audit import Actor
from app.core.runtime import Runtime
from app.resellers import service
from app.resellers.errors import AccountSuspended
from app.resellers.models import KeyRecord, Mode, Standing
from app.resellers.scopes import Scope
from app.web.errors import RateLimited, ScopeMissing
from app.web.guard import GuardedRoute
from app.web.limits import RateLimiter
from app.web.signing_in import presented_key, refuse_sign_in

CACHE_SECONDS: Final = 0.5
"""For so long a revoked key or a changed standing may still be believed; spending never is."""
CACHED_KEYS_MAX: Final = 10_000
LIMITED_SHARE: Final = 10
"""A limited account goes at a tenth of its pace."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route asks of its caller.

    `winds_down` lets suspended accounts in: reading, canceling and revoking stay possible.
    """

    scope: Scope | None
    group: str
    winds_down: bool


def needs(
    scope: Scope | None, *, group: str, winds_down: bool = False
) -> Callable[[Endpoint], Endpoint]:
    """Mark an endpoint with what it needs; a reseller's route without this mark is not built."""

    def mark(endpoint: Endpoint) -> Endpoint:
        endpoint.__dict__["needs"] = Needs(scope, group, winds_down)
        return endpoint

    return mark


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by which key, for which book."""

    key_id: UUID
    book_id: UUID
    reseller_id: UUID
    mode: Mode
    scopes: frozenset[str]

    @classmethod
    def of(cls, record: KeyRecord) -> Self:
        return cls(
            key_id=record.key_id,
            book_id=record.book_id,
            reseller_id=record.reseller_id,
            mode=Mode(record.mode),
            scopes=record.scopes,
        )

    @property
    def actor(self) -> Actor:
        return Actor("reseller", service.public_key_id(self.key_id))

    @property
    def owner(self) -> str:
        """Whose idempotency keys and cursors these are."""
        return f"book:{self.book_id}"


class KeyCache:
    """Key records of the last half second, so that a burst costs one look-up."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, tuple[float, KeyRecord | None]] = OrderedDict()

    def get(self, lookup: str) -> tuple[bool, KeyRecord | None]:
        kept = self._records.get(lookup)
        if kept is None or time.monotonic() - kept[0] > CACHE_SECONDS:
            return False, None
        return True, kept[1]

    def put(self, lookup: str, record: KeyRecord | None) -> None:
        self._records[lookup] = (time.monotonic(), record)
        self._records.move_to_end(lookup)
        if len(self._records) > CACHED_KEYS_MAX:
            self._records.popitem(last=False)


class ResellerRoute(GuardedRoute):
    """A route of the resellers' API."""

    key_scheme = "ApiKey"
    key_form = "`smm_live_…` or `smm_test_…`"
    needs: Needs

    async def admit(self, request: Request) -> None:
        limiter: RateLimiter = request.app.state.limiter
        presented = await presented_key(request, limiter)
        record = await recognised(request, presented)
        if record is None:
            raise await refuse_sign_in(request, limiter)
        request.scope["caller"] = await let_in(request, record, self.needs)


async def let_in(request: Request, record: KeyRecord, needs: Needs) -> Caller:
    """The caller, whose key is good, if it keeps its pace and may do this; the answer's headers
    tell the pace. Raises RateLimited, ScopeMissing, AccountSuspended.
    """
    runtime: Runtime = request.app.state.runtime
    limiter: RateLimiter = request.app.state.limiter
    per_minute = pace_of(record, needs.group, runtime.settings.rate_limit_default_per_minute)
    verdict = await limiter.hit(str(record.key_id), needs.group, per_minute=per_minute)
    request.scope["answer_headers"].update(verdict.headers())
    if not verdict.allowed:
        raise RateLimited(retry_after_seconds=verdict.reset_seconds)
    if needs.scope is not None and needs.scope not in record.scopes:
        raise ScopeMissing(f"This key lacks the scope {needs.scope}")
    if not needs.winds_down and not may_trade(record):
        raise AccountSuspended
    return Caller.of(record)


async def recognised(request: Request, presented: PresentedKey) -> KeyRecord | None:
    """The record of a key that is genuine, current and used from where it may be."""
    runtime: Runtime = request.app.state.runtime
    cache: KeyCache = request.app.state.key_cache
    known, record = cache.get(presented.lookup)
    if not known:
        async with runtime.uow.begin() as session:
            record = await service.recognise(session, presented.lookup)
            if record is not None:
                await service.note_use(session, record)
        cache.put(presented.lookup, record)
    address = request.client.host if request.client else None
    if record is None or not admits(runtime, record, presented, address):
        return None
    return record


def admits(
    runtime: Runtime, record: KeyRecord, presented: PresentedKey, address: str | None
) -> bool:
    """Whether a key is genuine and in force at this moment, from this address."""
    genuine = apikeys.verify(
        presented, runtime.keys, secret_mac=record.secret_mac, pepper=record.pepper
    )
    return (
        genuine
        and presented.kind == KeyKind(record.mode)
        and is_current(record.revoked_at, record.expires_at, runtime.clock.now())
        and address_allowed(record.allowed_cidrs, address)
    )


def is_current(revoked_at: datetime | None, expires_at: datetime | None, now: datetime) -> bool:
    return revoked_at is None and (expires_at is None or now < expires_at)


def address_allowed(cidrs: tuple[str, ...], address: str | None) -> bool:
    """An empty list allows every address."""
    if not cidrs:
        return True
    if address is None:
        return False
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(host in ipaddress.ip_network(cidr) for cidr in cidrs)


def may_trade(record: KeyRecord) -> bool:
    return record.standing in {Standing.ACTIVE, Standing.LIMITED}


def pace_of(record: KeyRecord, group: str, default_per_minute: int) -> int:
    """Requests a minute in one group of routes: the plan's word, or the default."""
    per_minute = int(record.limits_per_minute.get(group, default_per_minute))
    if record.standing == Standing.LIMITED:
        return max(1, per_minute // LIMITED_SHARE)
    return per_minute


async def current_caller(request: Request) -> Caller:
    """The caller that the guard let in."""
    caller: Caller = request.scope["caller"]
    return caller


CallerDep = Annotated[Caller, Depends(current_caller)]
