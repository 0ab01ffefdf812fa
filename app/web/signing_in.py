"""The first step of every guard: a well-formed key in the header, and few tries without one."""

from __future__ import annotations

from typing import Final

from fastapi import Request

from app.core import apikeys
from app.core.apikeys import PresentedKey
from app.core.errors import AppError
from app.core.runtime import Runtime
from app.web.errors import RateLimited, Unauthorized
from app.web.limits import RateLimiter

_GROUP: Final = "failed-sign-in"


async def presented_key(request: Request, limiter: RateLimiter) -> PresentedKey:
    """The key of the Authorization header, parsed but not yet believed. Raises what refuses it."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    presented = apikeys.parse(token.strip()) if scheme.lower() == "bearer" else None
    if presented is None:
        raise await refuse_sign_in(request, limiter)
    return presented


async def refuse_sign_in(request: Request, limiter: RateLimiter) -> AppError:
    """Count a failed try of this address; the refusal to raise, the same for every cause.

    An address that fails too often is told to wait. A good key from it still passes: many sites
    share one address, and a neighbour's bad key must not stop them.
    """
    verdict = await limiter.hit_local(address_of(request), _GROUP, per_minute=_limit(request))
    if not verdict.allowed:
        return RateLimited(retry_after_seconds=verdict.reset_seconds)
    return Unauthorized()


def address_of(request: Request) -> str:
    """Where a request came from, as far as a limit by address can tell."""
    return request.client.host if request.client else "unknown"


def _limit(request: Request) -> int:
    runtime: Runtime = request.app.state.runtime
    return runtime.settings.failed_auth_per_minute
