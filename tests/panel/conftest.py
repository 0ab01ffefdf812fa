"""A client of API v2 as the field writes them: a form post to one URL, an answer to look into."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from app.catalog.models import Service
from app.core.runtime import Runtime
from app.providers.forms import FORMS, LINES_FIELDS, ServiceType
from tests.fixtures.world import ResellerCaller, World, order_body
from tests.orders.conftest import Desk

PATH = "/api/v2"


def wire_fields(service: Service, **fields: Any) -> dict[str, Any]:
    """A good `add` of this service, in the wire's form: lines as one text, numbers as texts."""
    body = order_body(service, **fields)
    form = FORMS[ServiceType(service.type)].fields
    said = {name: body[name] for name in form if name in body} | fields
    return {"service": service.id} | {
        name: "\r\n".join(value) if name in LINES_FIELDS else str(value)
        for name, value in said.items()
    }


@dataclass(frozen=True, slots=True)
class Panel:
    """Calls the endpoint and holds it to what every answer must be."""

    client: httpx.AsyncClient

    async def __call__(self, caller: ResellerCaller | str, action: str, **fields: Any) -> Any:
        key = caller if isinstance(caller, str) else caller.key
        form = {"key": key, "action": action} | {name: str(v) for name, v in fields.items()}
        return said(await self.client.post(PATH, data=form))

    async def add(self, caller: ResellerCaller, service: Service, **fields: Any) -> Any:
        return await self(caller, "add", **wire_fields(service, **fields))


def said(answer: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer whose status and type are as the wire has them."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    if isinstance(content, dict) and "error" in content:
        assert list(content) == ["error"]
    return content


@pytest.fixture
def panel(client: httpx.AsyncClient) -> Panel:
    return Panel(client)


@pytest.fixture
async def live_port(app: FastAPI) -> AsyncIterator[int]:
    """The application on a real socket of the loopback address."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, lifespan="off", ws="none", log_config=None, http="httptools"
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    yield server.servers[0].sockets[0].getsockname()[1]
    await server.shutdown()


@pytest.fixture
def desk(runtime: Runtime, world: World) -> Desk:
    return Desk(runtime, world)
