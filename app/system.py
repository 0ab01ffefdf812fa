"""Routes that belong to no slice: health, metrics, the documentation page."""

from __future__ import annotations

import hmac
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slowapi import Limiter
from slowapi.util import get_remote_address

from app.core import gauges, health
from app.core.errors import Unavailable
from app.core.runtime import Runtime
from app.web.errors import RouteUnknown

DOCS_PER_MINUTE: Final = "60/minute"
_ASSETS: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "docs.js": "text/javascript",
}
_DOCS_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'"
)

router = APIRouter(include_in_schema=False)
# By address and in memory: these routes are public, and none of them waits for Redis.
limiter = Limiter(key_func=get_remote_address, storage_uri="memory://", key_style="endpoint")


@router.get("/livez")
async def livez() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """The database answers and its schema is this version's, or a later one's; Redis away is said,
    and is no failure. A process that is told to stop is not ready, though it still serves.
    """
    if request.app.state.stopping:
        raise Unavailable("stopping")
    checks = await health.check_all(request.app.state.runtime)
    if checks["database"] != health.OK or checks["migrations"] not in {health.OK, health.NEWER}:
        raise Unavailable("; ".join(f"{name}: {told}" for name, told in checks.items()))
    return JSONResponse({"status": "ready", "checks": checks})


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    """The same for people: always 200, with what is wrong in the body."""
    checks = await health.check_all(request.app.state.runtime)
    well = all(told == health.OK for told in checks.values())
    return JSONResponse({"status": "ok" if well else "degraded", "checks": checks})


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """For Prometheus, with the token of the settings; without a token there is no such route."""
    runtime: Runtime = request.app.state.runtime
    token = runtime.settings.metrics_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token is None or not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise RouteUnknown
    async with runtime.uow.begin() as session:
        samples = await gauges.read(session)
    body = generate_latest() + gauges.exposition(samples).encode()
    return Response(body, media_type=CONTENT_TYPE_LATEST)


@router.get("/docs")
@limiter.limit(DOCS_PER_MINUTE)
async def docs(request: Request) -> HTMLResponse:
    """The documentation page; all it loads is served from here."""
    page = _asset("docs.html").decode()
    return HTMLResponse(page, headers={"Content-Security-Policy": _DOCS_POLICY})


@router.get("/docs/{name}")
@limiter.limit(DOCS_PER_MINUTE)
async def docs_asset(request: Request, name: str) -> Response:
    """A file of the documentation page."""
    if name not in _ASSETS:
        raise RouteUnknown
    return Response(
        _asset(name), media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"}
    )


@router.get("/openapi.json")
@limiter.limit(DOCS_PER_MINUTE)
async def openapi_json(request: Request) -> JSONResponse:
    """The resellers' API, as committed in openapi.yaml."""
    document: dict[str, Any] = request.app.state.documents["openapi.yaml"]
    return JSONResponse(document)


@router.get("/openapi-operator.json")
@limiter.limit(DOCS_PER_MINUTE)
async def openapi_operator_json(request: Request) -> JSONResponse:
    """The operators' API, as committed in openapi-operator.yaml."""
    document: dict[str, Any] = request.app.state.documents["openapi-operator.yaml"]
    return JSONResponse(document)


def _asset(name: str) -> bytes:
    return (files("app.web") / "static" / name).read_bytes()
