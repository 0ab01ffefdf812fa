"""Fixtures of files: a bucket to store them in, and a route that takes them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request

from app.core.db import Session
from app.core.runtime import Runtime
from app.files import receiving, router, service, signed_links
from app.files.models import StoredFile
from app.files.receiving import StorageDep
from app.resellers.auth import CallerDep, ResellerRoute, needs
from app.resellers.scopes import Scope
from app.web import problems
from app.web.deps import RuntimeDep
from app.web.middleware import RequestMiddleware
from app.web.openapi import GUARDED, refusals
from tests.files.s3_server import Bucket, running_bucket
from tests.fixtures.web import BASE_URL, equip
from tests.fixtures.world import ResellerCaller, World

FILES_MAX = 3

things = APIRouter(prefix="/v1", route_class=ResellerRoute)


@things.post(
    "/things/{thing_id}/files",
    status_code=201,
    openapi_extra=receiving.UPLOAD_BODY,
    responses=refusals(*GUARDED, *receiving.UPLOAD),
)
@needs(Scope.CLAIMS, group="things")
async def add_file(
    thing_id: str, request: Request, caller: CallerDep, runtime: RuntimeDep, storage: StorageDep
) -> dict[str, Any]:
    """As a slice above files would take one: check, receive, then attach in a transaction."""
    async with runtime.uow.begin() as session:
        await service.check_room(session, "thing", thing_id, at_most=FILES_MAX)
    stored = await receiving.receive(request, storage, book_id=caller.book_id, purpose="thing")

    async def transaction(session: Session) -> StoredFile:
        return await service.attach(session, stored, "thing", thing_id, at_most=FILES_MAX)

    file = await runtime.uow.run(transaction)
    signed = signed_links.link(
        runtime.keys,
        file.id,
        now=runtime.clock.now(),
        seconds=runtime.settings.files_link_seconds,
    )
    return {
        "id": service.public_file_id(file.id),
        "name": file.name,
        "media_type": file.media_type,
        "size": file.size,
        "sha256": file.sha256.hex(),
        "url": signed.path,
    }


@dataclass(frozen=True, slots=True)
class Uploads:
    """A caller of that route."""

    client: httpx.AsyncClient
    reseller: ResellerCaller

    async def send(
        self, data: bytes, name: str = "a.png", declared: str = "image/png", *, to: str = "1"
    ) -> httpx.Response:
        """Upload one file as a browser or curl would."""
        return await self.post(files={"file": (name, data, declared)}, to=to)

    async def post(
        self, *, to: str = "1", headers: dict[str, str] | None = None, **options: Any
    ) -> httpx.Response:
        """Send any body."""
        return await self.client.post(
            f"/v1/things/{to}/files", headers=self.reseller.headers | (headers or {}), **options
        )

    async def sent(self, data: bytes, name: str = "a.png", *, to: str = "1") -> dict[str, Any]:
        """Upload one file that is taken; the answer."""
        answer = await self.send(data, name, "application/octet-stream", to=to)
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture(scope="session")
def things_app() -> FastAPI:
    """The smallest application that takes files; the whole one serves them."""
    app = FastAPI()
    app.include_router(things)
    problems.install(app)
    app.add_middleware(RequestMiddleware)
    return app


@pytest.fixture
async def uploads(things_app: FastAPI, runtime: Runtime, world: World) -> AsyncIterator[Uploads]:
    """Somebody with a key who sends files."""
    router.limiter.reset()
    async with AsyncExitStack() as stack:
        await equip(things_app, runtime, stack)
        transport = httpx.ASGITransport(things_app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=BASE_URL)
        await stack.enter_async_context(client)
        yield Uploads(client, await world.reseller())


@pytest.fixture
async def bucket() -> AsyncIterator[Bucket]:
    """An empty bucket on a loopback port."""
    async with running_bucket() as bucket:
        yield bucket


RowOf = Callable[[dict[str, Any]], Awaitable[StoredFile | None]]


@pytest.fixture
def row_of(runtime: Runtime) -> RowOf:
    """Finds the row of an answered file, whatever its state."""

    async def find(answered: dict[str, Any]) -> StoredFile | None:
        file_id: UUID | None = service.parse_file_id(answered["id"])
        async with runtime.uow.begin() as session:
            return await session.get(StoredFile, file_id)

    return find
