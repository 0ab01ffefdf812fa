"""The API process: the app with its routes, and the OpenAPI documents that it stands by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from slowapi.errors import RateLimitExceeded
from starlette.requests import Request
from starlette.responses import Response

from app import system
from app.catalog import finding_operator_router, price_operator_router, sync_operator_router
from app.catalog import operator_router as catalog_operator
from app.catalog import router as catalog
from app.core.clock import Clock
from app.core.clock_watch import watch_clock
from app.core.event_loop import watch_event_loop
from app.core.idempotency import IdempotencyKeyMissing
from app.core.logging import configure_logging
from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.core.tasks import end_tasks
from app.enforcement import router as enforcement
from app.files import router as files
from app.files.backends import open_storage
from app.ledger import operator_router as ledger_operator
from app.ledger import router as ledger
from app.operators import router as operators
from app.orders import (
    fulfilling_operator_router,
    refill_operator_router,
    refill_router,
    unresolved_operator_router,
)
from app.orders import operator_router as orders_operator
from app.orders import router as orders
from app.panel import router as panel
from app.refunds import operator_router as refunds_operator
from app.refunds import router as refunds
from app.resellers import operator_router as resellers_operator
from app.resellers import router as resellers
from app.resellers.auth import KeyCache
from app.schedules import operator_router as schedules_operator
from app.schedules import refill_router as schedules_refill
from app.schedules import router as schedules
from app.supply import operator_router as supply_operator
from app.web import problems
from app.web.errors import RateLimited
from app.web.guard import GuardedRoute
from app.web.idempotency import HEADER
from app.web.limits import RateLimiter
from app.web.middleware import RequestMiddleware
from app.web.openapi import operation_id
from app.web.schemas import Problem

VERSION: Final = "0.1.0"

RESELLER_ROUTERS: Final[tuple[APIRouter, ...]] = (
    catalog.router,
    orders.router,
    schedules.router,
    schedules_refill.router,
    refill_router.router,
    refunds.router,
    ledger.router,
    resellers.router,
)
OPERATOR_ROUTERS: Final[tuple[APIRouter, ...]] = (
    resellers_operator.router,
    enforcement.router,
    ledger_operator.router,
    supply_operator.router,
    catalog_operator.router,
    sync_operator_router.router,
    finding_operator_router.router,
    price_operator_router.router,
    orders_operator.router,
    schedules_operator.router,
    unresolved_operator_router.router,
    fulfilling_operator_router.router,
    refill_operator_router.router,
    refunds_operator.router,
    operators.router,
)


def create_app(settings: Settings, *, clock: Clock | None = None) -> FastAPI:
    """The API. It connects when it starts serving, and not before."""
    configure_logging(settings.log_level, settings.log_format)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            open_runtime(settings, name="api", clock=clock) as runtime,
            open_storage(settings) as storage,
        ):
            app.state.runtime = runtime
            app.state.storage = storage
            watches = [
                asyncio.create_task(watch_event_loop(), name="event-loop-lag"),
                asyncio.create_task(watch_clock(runtime), name="clock-skew"),
            ]
            try:
                yield
            finally:
                await end_tasks(watches)
                await app.state.limiter.close()

    app = FastAPI(
        title="SMMOS",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        # Nothing is told to anyone because a variable of the environment says where to.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.limiter = RateLimiter(settings.redis_url.get_secret_value())
    app.state.key_cache = KeyCache()
    app.state.stopping = False
    app.state.documents = openapi_documents()
    public = (panel.router, files.router, system.router)
    routers = (*RESELLER_ROUTERS, *OPERATOR_ROUTERS, *public)
    for router in routers:
        app.include_router(router)
    problems.install(app, routers)
    app.add_exception_handler(RateLimitExceeded, _too_many)
    app.add_middleware(RequestMiddleware)
    return app


def stop_soon(app: FastAPI) -> None:
    """From now on it is not ready, and its answers close their connections; it still serves."""
    app.state.stopping = True


async def _too_many(request: Request, _error: Exception) -> Response:
    return problems.problem_response(request, RateLimited(retry_after_seconds=60))


_OF_EVERY_ROUTE: Final = (
    "What is refused is told as `application/problem+json` with a stable `code`. Any request that"
    " changes something can be answered 503 `outcome-unknown`, when the connection to the database"
    " broke while it was committed: all of it was done, or nothing. Repeat it under the same"
    " Idempotency-Key, or look before you repeat it."
)


@cache
def openapi_documents() -> dict[str, dict[str, Any]]:
    """The two documents by file name: what resellers may call, and what operators may."""
    return {
        "openapi.yaml": _document(
            "SMMOS API",
            "Order social media marketing services, follow them, and see your balance.",
            RESELLER_ROUTERS,
        ),
        "openapi-operator.yaml": _document(
            "SMMOS operator API",
            "Run the platform: resellers, money, providers, the catalogue and orders.",
            OPERATOR_ROUTERS,
        ),
    }


def _document(title: str, summary: str, routers: Iterable[APIRouter]) -> dict[str, Any]:
    probe = FastAPI(generate_unique_id_function=operation_id)
    for router in routers:
        probe.include_router(router)
    document = get_openapi(
        title=title,
        version=VERSION,
        summary=summary,
        description=_OF_EVERY_ROUTE,
        routes=probe.routes,
        separate_input_output_schemas=False,
        servers=[{"url": "/", "description": "where this document was served"}],
    )
    document["components"]["securitySchemes"] = {
        router.route_class.key_scheme: router.route_class.security_scheme()
        for router in routers
        if issubclass(router.route_class, GuardedRoute)
    }
    schemas = document["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    for name, schema in schemas["Problem"].pop("$defs", {}).items():
        schemas[name] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            _drop_default_422(operation)
            _require_idempotency_key(operation)
    return document


def _drop_default_422(operation: dict[str, Any]) -> None:
    """FastAPI adds its own 422 where we declare none; ours are problem+json."""
    answers = operation["responses"]
    if "application/json" in answers.get("422", {}).get("content", {}):
        del answers["422"]


def _require_idempotency_key(operation: dict[str, Any]) -> None:
    """The header is optional to FastAPI only so that its absence gets our own refusal."""
    told = " ".join(answer["description"] for answer in operation["responses"].values())
    if f"`{IdempotencyKeyMissing.code}`" not in told:
        return
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == HEADER:
            parameter["required"] = True
