"""An API process that is told to stop: it says so first, and drops nobody's request."""

import asyncio
from functools import partial

import httpx
import pytest

from app.cli.api import DrainingServer, server_config
from app.core.settings import Settings
from app.main import create_app, stop_soon

pytestmark = pytest.mark.committing


async def until_not_ready(url: str) -> list[int]:
    """What a proxy does: requests on one connection, as long as the process says it is ready."""
    seen = []
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        while (await client.get("/readyz")).status_code == 200:
            seen.append((await client.get("/livez")).status_code)
    return seen


async def test_it_turns_unready_first_and_answers_all_that_was_sent_before(
    settings: Settings,
) -> None:
    app = create_app(settings)
    config = server_config(app, settings, port=0)
    server = DrainingServer(config, partial(stop_soon, app), unready_seconds=2.0)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn's own flag
        await asyncio.sleep(0.01)
    host, port = server.servers[0].sockets[0].getsockname()
    url = f"http://{host}:{port}"
    callers = [asyncio.create_task(until_not_ready(url)) for _ in range(4)]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        assert "connection" not in (await client.get("/livez")).headers

        server.should_exit = True
        answered = await asyncio.gather(*callers)

        late = await client.get("/livez")
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["detail"]) == (503, "stopping")
    await serving
    assert all(statuses and set(statuses) == {200} for statuses in answered)
    async with httpx.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{url}/livez")
