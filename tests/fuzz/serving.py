"""The API on a loopback port, with real commits on a database of its own, and its callers."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from app.core.runtime import open_runtime
from app.core.settings import Settings
from app.ledger import service as ledger
from app.ledger.service import Violation
from app.main import create_app
from app.providers.forms import ServiceType
from tests.fixtures.database import copied
from tests.fixtures.running import settings_of
from tests.fixtures.servers import Servers
from tests.fixtures.world import World
from tests.http.routes import RESELLERS

START_SECONDS_MAX = 30.0
UNLIMITED = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Platform:
    """A served platform that sells something; its callers are not slowed down by limits."""

    url: str
    settings: Settings
    reseller_key: str
    operator_key: str

    def violations(self) -> list[Violation]:
        """What the ledger check finds after all that was done."""

        async def check() -> list[Violation]:
            opened = open_runtime(self.settings, name="fuzz", with_doorbell=False)
            async with opened as runtime, runtime.uow.begin() as session:
                return await ledger.violations(session)

        return asyncio.run(check())


@contextmanager
def platform(servers: Servers, template: str) -> Iterator[Platform]:
    """Up from here to the end of the block, on a copy of the template that vanishes with it."""
    with asyncio.Runner() as runner:
        copy = copied(servers, template)
        settings = settings_of(servers, runner.run(copy.__aenter__())).model_copy(
            update={"failed_auth_per_minute": UNLIMITED}
        )
        try:
            reseller_key, operator_key = runner.run(_people(settings))
            with _served(settings) as url:
                yield Platform(url, settings, reseller_key, operator_key)
        finally:
            runner.run(copy.__aexit__(None, None, None))


async def _people(settings: Settings) -> tuple[str, str]:
    """Their keys; there are services, so that some ids lead somewhere."""
    opened = open_runtime(settings, name="fuzz", with_doorbell=False)
    async with opened as runtime, httpx.AsyncClient() as nobody:
        world = World(runtime, nobody)
        groups = {guarded.route.needs.group for guarded in RESELLERS}  # type: ignore[union-attr]
        limits = dict.fromkeys(map(str, groups), UNLIMITED)
        reseller = await world.reseller(balance="1000.00", limits=limits)
        for kind in (ServiceType.DEFAULT, ServiceType.CUSTOM_COMMENTS, ServiceType.PACKAGE):
            await world.service(type=kind)
        operator = await world.operator()
    return reseller.key, operator.key


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    config = uvicorn.Config(
        create_app(settings), host="127.0.0.1", port=0, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS_MAX
    while not server.started:
        if time.monotonic() > deadline:
            raise TimeoutError("The API did not start.")
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS_MAX)
