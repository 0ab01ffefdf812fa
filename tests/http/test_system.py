"""The routes that belong to no slice: health, metrics, the documents and their page."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from pydantic import SecretStr
from sqlalchemy import text

from app.core.runtime import Runtime, open_runtime
from app.core.settings import Settings
from app.main import create_app, openapi_documents
from app.web.limits import RateLimiter
from tests.fixtures.running import METRICS_TOKEN
from tests.fixtures.supplying import Worker
from tests.fixtures.world import World
from tests.http.problems import problem
from tests.http.routes import EVERY

METRICS = {"Authorization": f"Bearer {METRICS_TOKEN}"}
NOWHERE = "postgresql+asyncpg://nobody:nothing@127.0.0.1:9/nowhere"


class TestHealth:
    async def test_a_process_with_its_servers_is_alive_ready_and_well(
        self, client: httpx.AsyncClient
    ) -> None:
        well = {"database": "ok", "migrations": "ok", "redis": "ok"}

        assert (await client.get("/livez")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).json() == {"status": "ready", "checks": well}
        assert (await client.get("/healthz")).json() == {"status": "ok", "checks": well}

    async def test_without_the_database_it_is_alive_but_not_ready(
        self, client: httpx.AsyncClient, app: FastAPI, settings: Settings
    ) -> None:
        away = settings.model_copy(update={"database_url": SecretStr(NOWHERE)})
        async with open_runtime(away, name="test", with_doorbell=False) as cut_off:
            app.state.runtime = cut_off
            ready, health = await client.get("/readyz"), await client.get("/healthz")

            assert (await client.get("/livez")).status_code == 200
        document = problem(ready, 503, "unavailable")
        assert "database: not reachable" in document["detail"]
        assert "127.0.0.1" not in ready.text
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        assert health.json()["checks"]["redis"] == "ok"

    @pytest.mark.committing
    async def test_before_the_migrations_are_at_head_it_is_not_ready(
        self, client: httpx.AsyncClient, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = '0001'"))

        detail = problem(await client.get("/readyz"), 503, "unavailable")["detail"]

        assert "migrations: at 0001, not " in detail

    @pytest.mark.committing
    async def test_on_the_schema_of_a_later_version_it_stays_ready_until_it_is_replaced(
        self, client: httpx.AsyncClient, runtime: Runtime
    ) -> None:
        async with runtime.uow.begin() as session:
            await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

        ready = await client.get("/readyz")

        assert ready.status_code == 200
        assert ready.json()["checks"]["migrations"] == "newer than this process"

    async def test_without_redis_it_is_ready_and_says_so(
        self, client: httpx.AsyncClient, app: FastAPI, settings: Settings
    ) -> None:
        away = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:9/0")})
        async with open_runtime(away, name="test", with_doorbell=False) as cut_off:
            app.state.runtime = cut_off
            ready, health = await client.get("/readyz"), await client.get("/healthz")

        assert ready.status_code == 200
        assert ready.json()["checks"]["redis"].startswith("not reachable")
        assert health.json()["status"] == "degraded"


class TestMetrics:
    async def test_without_its_token_there_is_no_such_route(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        operator = await world.operator()
        wrong = {b"authorization": "Bearer é".encode("latin-1")}
        for headers in ({}, operator.headers, {"Authorization": "Bearer wrong"}, wrong):
            problem(await client.get("/metrics", headers=headers), 404, "route-unknown")

    async def test_requests_are_counted_by_the_template_of_their_route(
        self, client: httpx.AsyncClient, world: World
    ) -> None:
        reseller = await world.reseller()
        order = await world.order(reseller)
        await client.get(f"/v1/orders/{order['id']}", headers=reseller.headers)
        await client.get("/v1/no/such/c4n4ry")

        told = (await client.get("/metrics", headers=METRICS)).text

        labels = 'method="GET",route="/v1/orders/{order_id}",status="200"'
        assert f"smmos_http_requests_total{{{labels}}}" in told
        assert 'method="any",route="unmatched",status="404"' in told
        assert str(order["id"]) not in told
        assert "c4n4ry" not in told
        assert "smmos_event_loop_lag_seconds" in told

    async def test_gauges_over_tables_are_those_that_upkeep_computed(
        self, client: httpx.AsyncClient, world: World, worker: Worker
    ) -> None:
        await world.order()
        await worker.upkeep()

        told = (await client.get("/metrics", headers=METRICS)).text

        assert re.search(r"smmos_orders\{.*queued.*\} 1\b", told)
        assert re.search(r'smmos_work_due\{kind="dispatch",lane=".*"\} 1\b', told)
        assert 'smmos_ledger_violations_recent{code="all"} 0' in told
        assert 'smmos_ledger_violations_full{code="all"} 0' in told


def _schemas_within(node: object) -> Iterator[dict[str, Any]]:
    """Every object of a document that says a type, however deep it stands."""
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        for inner in node.values():
            yield from _schemas_within(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _schemas_within(inner)


class TestDocuments:
    @pytest.mark.parametrize("name", ["openapi.yaml", "openapi-operator.yaml"])
    def test_a_document_is_sound(self, name: str) -> None:
        document = openapi_documents()[name]

        assert document["openapi"].startswith("3.1")
        for schema in document["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)
        for schema in _schemas_within(document):
            if "default" in schema:
                Draft202012Validator(schema).validate(schema["default"])
        known = {f"#/components/schemas/{schema}" for schema in document["components"]["schemas"]}
        assert set(re.findall(r"'\$ref': '([^']+)'", str(document))) <= known
        for path, operations in document["paths"].items():
            for operation in operations.values():
                named = {
                    one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"
                }
                assert named == set(re.findall(r"{(\w+)}", path))
                assert operation["summary"]
                assert operation["description"]
                assert len(operation["tags"]) == 1
                for status, answer in operation["responses"].items():
                    if int(status) >= 400:
                        assert list(answer["content"]) == ["application/problem+json"]

    def test_each_operation_has_a_name_of_its_own(self) -> None:
        names = [guarded.operation for guarded in EVERY]

        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[a-z][A-Za-z]+", name) for name in names)

    def test_each_operation_declares_what_its_guard_refuses(self) -> None:
        for guarded in EVERY:
            assert guarded.refuses >= {"unauthorized", "rate-limited"}
            # Whose it is, every key may read.
            assert ("scope-missing" in guarded.refuses) == (guarded.operation != "getAccount")

    async def test_the_documents_are_served_as_they_are(self, client: httpx.AsyncClient) -> None:
        documents = openapi_documents()

        resellers = await client.get("/openapi.json")
        operators = await client.get("/openapi-operator.json")

        assert resellers.json() == documents["openapi.yaml"]
        assert operators.json() == documents["openapi-operator.yaml"]

    async def test_the_page_loads_nothing_from_elsewhere(self, client: httpx.AsyncClient) -> None:
        page = await client.get("/docs")

        assert page.status_code == 200
        assert "'self'" in page.headers["content-security-policy"]
        assert "http://" not in page.text
        assert "https://" not in page.text
        assets = re.findall(r'<(?:script|link) [^>]*(?:src|href)="([^"]+)"', page.text)
        assert assets
        for asset in assets:
            answer = await client.get(httpx.URL(str(page.url)).join(asset))
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=86400"
        problem(await client.get("/docs/docs.html"), 404, "route-unknown")
        problem(await client.get("/docs/..%2Ferrors.py"), 404, "route-unknown")

    async def test_the_public_pages_are_limited_by_address(self, client: httpx.AsyncClient) -> None:
        for path in ("/docs", "/openapi.json", "/openapi-operator.json", "/docs/docs.js"):
            statuses = [(await client.get(path)).status_code for _ in range(61)]
            assert statuses[-1] == 429
            limited = await client.get(path)
            problem(limited, 429, "rate-limited")
            assert limited.headers["retry-after"] == "60"


class TestProcess:
    @pytest.fixture
    async def served(self, settings: Settings) -> AsyncIterator[FastAPI]:
        """The application as a server runs it: it opens its own connections, and closes them."""
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            yield app

    async def test_it_opens_its_own_connections_when_it_begins_to_serve(
        self, served: FastAPI
    ) -> None:
        transport = httpx.ASGITransport(served)
        async with httpx.AsyncClient(transport=transport, base_url="http://smmos.test") as client:
            assert (await client.get("/readyz")).json()["status"] == "ready"
        assert isinstance(served.state.limiter, RateLimiter)

    def test_a_route_that_does_not_say_what_it_needs_cannot_be_built(self) -> None:
        from app.operators.router import router as operators  # noqa: PLC0415
        from app.orders.router import router as orders  # noqa: PLC0415

        async def forgetful() -> None: ...

        for router in (orders, operators):
            with pytest.raises(TypeError, match="forgetful does not say what it needs"):
                router.get("/forgetful")(forgetful)
