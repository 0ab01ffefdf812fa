"""The API while its database is in trouble: what callers are told, and what is true afterwards."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text

from app.core.runtime import Runtime, open_runtime
from app.core.settings import Settings
from tests.fixtures.running import settings_of
from tests.fixtures.servers import Servers
from tests.fixtures.trouble import Cut, Line, line_to, refusal, server_that_says
from tests.fixtures.world import World
from tests.http.problems import problem

KEY = {"name": "another", "scopes": ["orders:read"]}


def unavailable(answer: httpx.Response, code: str = "unavailable") -> None:
    problem(answer, 503, code)
    assert int(answer.headers["Retry-After"]) > 0


class TestALineThatIsCut:
    """Every connection to the database leads over a line that breaks at a COMMIT."""

    pytestmark = pytest.mark.committing

    @pytest.fixture
    async def over_line(self, database_url: str) -> AsyncIterator[tuple[Line, str]]:
        async with line_to(database_url) as line:
            yield line

    @pytest.fixture
    def settings(self, servers: Servers, over_line: tuple[Line, str]) -> Settings:
        return settings_of(servers, over_line[1])

    @pytest.fixture
    def line(self, over_line: tuple[Line, str]) -> Line:
        return over_line[0]

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_an_order_with_a_key_is_placed_once_all_the_same(
        self, line: Line, when: Cut, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller, service = await world.reseller(balance="10.00"), await world.service()
        body = {"service_id": service.id, "link": "https://example.com/a", "quantity": 1000}
        headers = reseller.headers | {"Idempotency-Key": uuid4().hex}
        await client.get("/v1/balance", headers=reseller.headers)  # the key is known by now
        line.cut_next_commit(when)

        answer = await client.post("/v1/orders", json=body, headers=headers)

        assert line.cuts == 1
        assert answer.status_code == 201
        assert await world.count("orders") == 1
        assert str((await world.balance(reseller)).available) == "9.10"

    @pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
    async def test_without_a_key_the_caller_is_told_that_the_outcome_is_unknown(
        self, line: Line, when: Cut, made: int, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        await client.get("/v1/balance", headers=reseller.headers)
        keys = await world.count("api_keys")
        line.cut_next_commit(when)

        answer = await client.post("/v1/api-keys", json=KEY, headers=reseller.headers)

        assert line.cuts == 1
        unavailable(answer, "outcome-unknown")
        assert await world.count("api_keys") == keys + made


@pytest.mark.parametrize("answer", [None, refusal("57P03"), refusal("57P01"), refusal("53300")])
async def test_a_database_that_takes_no_connection_is_503_with_a_time_to_come_back(
    client: httpx.AsyncClient, app: FastAPI, settings: Settings, world: World, answer: bytes | None
) -> None:
    reseller = await world.reseller()
    async with server_that_says(answer) as url:
        away = settings.model_copy(update={"database_url": SecretStr(url)})
        async with open_runtime(away, name="test", with_doorbell=False) as runtime:
            app.state.runtime = runtime
            unavailable(await client.get("/v1/balance", headers=reseller.headers))
            unavailable(await client.get("/readyz"))


@pytest.mark.committing
async def test_after_every_connection_was_ended_at_once_no_request_fails(
    client: httpx.AsyncClient, runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller()
    many = runtime.settings.pool_size
    await asyncio.gather(*(world.balance(reseller) for _ in range(many)))
    assert runtime.engine.pool.checkedin() > 1  # type: ignore[attr-defined]
    end_all = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'smmos-test'"
    )
    async with (
        open_runtime(runtime.settings, name="admin", with_doorbell=False) as other,
        other.uow.begin() as session,
    ):
        await session.execute(end_all)
    answers = [await client.get("/v1/balance", headers=reseller.headers) for _ in range(many)]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.committing
async def test_with_every_connection_taken_requests_are_503_and_it_stays_ready(
    client: httpx.AsyncClient, app: FastAPI, runtime: Runtime, world: World
) -> None:
    reseller = await world.reseller()
    small = runtime.settings.model_copy(update={"pool_size": 1, "pool_timeout_seconds": 0.1})
    async with open_runtime(small, name="small", with_doorbell=False) as full:
        app.state.runtime = full
        async with full.uow.begin() as session:
            await session.execute(text("SELECT 1"))
            unavailable(await client.get("/v1/balance", headers=reseller.headers))
            assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/v1/balance", headers=reseller.headers)).status_code == 200
