"""Syncs on a real database with a scripted wire: what reaches the catalogue, and what waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from app.catalog import gauges, mirror, quarantine, repricing, service_routes
from app.catalog import service as catalog
from app.catalog.errors import (
    FindingDecided,
    NothingToAccept,
    RouteQuarantined,
    ServiceUnavailable,
    SyncRunning,
)
from app.catalog.listing import Part
from app.catalog.markup import MarkupRule
from app.catalog.mirror import SYNC, SYNC_EVERY, SyncLost
from app.catalog.mirror_models import Finding, FindingState
from app.catalog.models import Route, Service
from app.catalog.price_models import ServicePrice
from app.catalog.repricing import NewPrice
from app.core import work
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.money import Money
from app.core.runtime import Runtime
from app.core.uow import now_of
from app.providers.protocol import CatalogEntry
from app.providers.wire import Wire
from app.supply import pausing, protection
from app.supply import service as supply
from app.supply.models import Provider
from tests.fixtures.running import OpenRuntime
from tests.fixtures.world import RouteTo, World
from workers import sync as sync_worker
from workers.context import WorkerContext
from workers.sync import Synced, drain_sync, foresee, reprice, sync_provider

BOSS = Actor("operator", "opr_1")


class OneChunk(httpx.AsyncByteStream):
    """A body that comes off the wire, as our client reads it."""

    def __init__(self, content: object) -> None:
        self._body = orjson.dumps(content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class Panel(httpx.AsyncBaseTransport):
    """A provider whose list is what the test says."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.status = 200
        self.calls = 0
        self.when_called: Callable[[], object] | None = None

    def sells(self, *services: dict[str, Any]) -> None:
        self.services = list(services)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        form = httpx.QueryParams((await request.aread()).decode())
        assert form["action"] == "services"
        self.calls += 1
        if self.when_called is not None:
            self.when_called()
        return httpx.Response(self.status, stream=OneChunk(self.services))


def listed(service: int = 101, rate: str = "0.50", **fields: Any) -> dict[str, Any]:
    base = {"service": service, "name": f"Service {service}", "type": "Default", "rate": rate}
    return base | {"category": "Growth", "min": "10", "max": "100000"} | fields


class Desk:
    """A provider with a list, a service sold over it, and an operator who looks at both."""

    def __init__(
        self, runtime: Runtime, world: World, context: WorkerContext, panel: Panel, clock: Clock
    ) -> None:
        self.runtime, self.world, self.context = runtime, world, context
        self.panel, self.clock = panel, clock

    async def open(self, rate: str = "0.90", **fields: Any) -> tuple[Provider, Service]:
        """A provider whose service 101 costs 0.50 and is sold, synced once."""
        provider = await self.world.provider(**fields)
        service = await self.world.service(rate=rate, routes=[RouteTo(provider)])
        self.panel.sells(listed())
        await self.sync(provider)
        return provider, service

    async def sync(self, provider: Provider, *services: dict[str, Any], **how: bool) -> Synced:
        """Six hours later the provider sells these."""
        if services:
            self.panel.sells(*services)
        self.clock.move(SYNC_EVERY)
        return await sync_provider(self.runtime, self.context.wire, provider.id, **how)

    async def rule(self, service: Service, rule: MarkupRule, *, automatic: bool = True) -> None:
        async with self.runtime.uow.begin() as session:
            subject = await repricing.subject_of(session, str(service.id))
            await repricing.put_rule(session, subject, rule, automatic=automatic)

    async def route(self, service: Service) -> Route:
        async with self.runtime.uow.begin() as session:
            [route] = await service_routes.routes_of(session, service.id)
            return route

    async def service(self, service: Service) -> Service:
        async with self.runtime.uow.begin() as session:
            return await catalog.get(session, service.id)

    async def findings(self, state: FindingState | None = None) -> list[Finding]:
        async with self.runtime.uow.begin() as session:
            found = await quarantine.page(
                session, provider_id=None, state=state, after=None, limit=100
            )
        return list(reversed(found))

    async def finding(self) -> Finding:
        [finding] = await self.findings(FindingState.OPEN)
        return finding

    async def accept(self, finding: Finding) -> Finding:
        async with self.runtime.uow.begin() as session:
            public = quarantine.public_finding_id(finding.id)
            return await quarantine.accept(session, public, by=BOSS, note="seen")

    async def reject(self, finding: Finding) -> Finding:
        async with self.runtime.uow.begin() as session:
            public = quarantine.public_finding_id(finding.id)
            return await quarantine.reject(session, public, by=BOSS, note=None)

    async def prices(self, service: Service) -> list[ServicePrice]:
        async with self.runtime.uow.begin() as session:
            found = await repricing.price_page(session, service.id, after=None, limit=100)
        return list(reversed(found))

    async def history(self) -> list[tuple[str, str]]:
        async with self.runtime.uow.begin() as session:
            found = await mirror.history_page(
                session, provider_id=None, provider_service=None, after=None, limit=100
            )
        return [(one.provider_service, one.what) for one in reversed(found)]


@pytest.fixture
def panel() -> Panel:
    return Panel()


@pytest.fixture
async def context(runtime: Runtime, panel: Panel) -> AsyncIterator[WorkerContext]:
    async with Wire(transport=panel) as wire:
        yield WorkerContext(runtime, wire, asyncio.Event())


@pytest.fixture
def desk(
    runtime: Runtime, world: World, context: WorkerContext, panel: Panel, clock: Clock
) -> Desk:
    return Desk(runtime, world, context, panel, clock)


def closed(route: Route) -> str | None:
    return None if route.state == "open" else route.closed_reason


class TestMirror:
    async def test_the_mirror_has_what_the_provider_sells_and_sells_none_of_it(
        self, desk: Desk
    ) -> None:
        provider = await desk.world.provider()
        synced = await desk.sync(
            provider, listed(7, "1.20", refill=True), listed(8, type="Package", min=1, max=1)
        )
        assert (synced.failure, dict(synced.counts)) == (None, {"listed": 2, "new": 2})
        assert await desk.world.count("services") == 0
        async with desk.runtime.uow.begin() as session:
            rows = await mirror.page(session, provider_id=None, gone=False, after=None, limit=9)
        assert {(row.provider_service, row.type, row.rate_micros, row.refill) for row in rows} == {
            ("7", "Default", 1_200_000, True),
            ("8", "Package", 500_000, False),
        }

    async def test_a_second_sync_of_the_same_list_changes_nothing(self, desk: Desk) -> None:
        provider, _ = await desk.open()
        before = await desk.history()
        synced = await desk.sync(provider)
        assert dict(synced.counts) == {"listed": 1}
        assert await desk.history() == before == [("101", "new")]

    async def test_the_history_of_costs_cannot_be_rewritten(self, desk: Desk) -> None:
        await desk.open()
        for table in ("provider_service_changes", "service_prices"):
            with pytest.raises(Exception, match="append-only"):
                async with desk.runtime.uow.begin() as session:
                    await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608

    @pytest.mark.parametrize("size", [0, 1, 2])
    async def test_a_list_that_shrank_empties_no_shop(self, desk: Desk, size: int) -> None:
        provider = await desk.world.provider()
        await desk.sync(provider, *(listed(n) for n in range(5)))
        told = f"the list shrank: {size} services, 5 were known"
        desk.panel.sells(*(listed(n, "9.99") for n in range(size)))
        for _ in range(3):
            assert (await desk.sync(provider)).failure == told
        async with desk.runtime.uow.begin() as session:
            assert len(await mirror.listed_before(session, provider.id)) == 5
            [run, *_] = await mirror.run_page(session, provider_id=None, after=None, limit=1)
        assert (run.outcome, run.why) == ("failed", told)
        believed = await desk.sync(provider, may_shrink=True)
        assert believed.failure is None
        assert believed.counts["missing"] == 5 - size

    async def test_a_provider_that_does_not_answer_changes_nothing(self, desk: Desk) -> None:
        provider, service = await desk.open()
        desk.panel.status = 503
        told = "the provider did not answer as it should: server"
        for _ in range(3):
            assert (await desk.sync(provider)).failure == told
        assert closed(await desk.route(service)) is None

    async def test_a_dry_run_tells_what_a_sync_would_do_and_does_nothing(self, desk: Desk) -> None:
        provider, service = await desk.open()
        steady = await desk.world.service(
            rate="0.80", routes=[RouteTo(provider, provider_service="103")]
        )
        await desk.sync(provider, listed(), listed(103))
        for one in (service, steady):
            await desk.rule(one, MarkupRule(10_000))
        desk.panel.sells(listed(rate="0.55", min=20), listed(102), listed(103))
        told, foreseen = await foresee(desk.runtime, desk.context.wire, provider.id)
        assert told.counts == {"listed": 3, "new": 1, "price": 1, "quarantined": 1, "repriced": 2}
        assert {verdict.service for verdict in foreseen.verdicts} == {"101", "102", "103"}
        assert foreseen.prices == [
            NewPrice(service.id, Money.parse("0.90"), Money.parse("1.10")),
            NewPrice(steady.id, Money.parse("0.80"), Money.parse("1.00")),
        ]
        assert (await desk.route(service)).cost_micros == 500_000
        assert (await desk.service(steady)).rate_micros == 800_000
        assert await desk.findings() == []
        assert await desk.world.count("catalogue_syncs") == 2
        done = await desk.sync(provider)
        assert done.counts == told.counts
        assert (await desk.service(service)).rate_micros == 1_100_000


class TestQuarantine:
    async def test_a_price_jump_does_not_reach_the_catalogue_unseen(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.rule(service, MarkupRule(10_000))
        await desk.sync(provider, listed(rate="5.00"))
        reseller = await desk.world.reseller()

        route = await desk.route(service)
        assert (closed(route), route.cost_micros) == ("quarantine", 500_000)
        assert (await desk.service(service)).rate_micros == 1_000_000
        with pytest.raises(AssertionError, match=ServiceUnavailable.code):
            await desk.world.order(reseller, service)

        finding = await desk.finding()
        assert (finding.kind, finding.before, finding.after) == (
            "price_jump",
            {"rate_micros": 500_000},
            {"rate_micros": 5_000_000},
        )
        accepted = await desk.accept(finding)
        assert (accepted.state, accepted.decided_by, accepted.note) == (
            "accepted",
            "operator:opr_1",
            "seen",
        )
        route = await desk.route(service)
        assert (closed(route), route.cost_micros) == (None, 5_000_000)
        assert (await desk.service(service)).rate_micros == 10_000_000
        await desk.world.order(reseller, service, quantity=10)
        assert [(p.rate_micros, p.cost_micros, p.reason) for p in await desk.prices(service)] == [
            (900_000, None, "created"),
            (1_000_000, 500_000, "repriced"),
            (10_000_000, 5_000_000, "accepted"),
        ]
        await desk.sync(provider)
        assert await desk.findings(FindingState.OPEN) == []

    @pytest.mark.parametrize("provider_moves_to", ["0.50", "0.55"])
    async def test_a_cost_that_was_typed_in_beside_the_list_is_no_way_around_a_jump(
        self, desk: Desk, provider_moves_to: str
    ) -> None:
        provider = await desk.world.provider()
        await desk.sync(provider, listed())
        service = await desk.world.service(routes=[RouteTo(provider, cost="0.05")])
        await desk.rule(service, MarkupRule(10_000))
        await desk.sync(provider, listed(rate=provider_moves_to))

        finding = await desk.finding()
        assert (finding.kind, finding.before) == ("price_jump", {"rate_micros": 50_000})
        assert closed(await desk.route(service)) == "quarantine"
        assert (await desk.service(service)).rate_micros == 100_000
        await desk.accept(finding)
        route, now = await desk.route(service), Money.parse(provider_moves_to).micros
        assert (closed(route), route.cost_micros) == (None, now)
        assert (await desk.service(service)).rate_micros == 2 * now
        await desk.sync(provider)
        assert await desk.findings(FindingState.OPEN) == []

    async def test_a_cost_that_was_typed_in_a_little_wrong_is_put_right(self, desk: Desk) -> None:
        provider = await desk.world.provider()
        await desk.sync(provider, listed())
        service = await desk.world.service(routes=[RouteTo(provider, cost="0.45")])
        assert (await desk.sync(provider)).counts == {"listed": 1, "price": 1}
        assert (await desk.route(service)).cost_micros == 500_000
        assert (await desk.sync(provider)).counts == {"listed": 1}

    async def test_what_was_rejected_stays_closed_and_is_not_asked_again(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(rate="5.00"))
        await desk.reject(await desk.finding())
        await desk.sync(provider)
        assert await desk.findings(FindingState.OPEN) == []
        assert closed(await desk.route(service)) == "rejected"
        await desk.sync(provider, listed(rate="6.00"))
        assert (await desk.finding()).after == {"rate_micros": 6_000_000}
        assert closed(await desk.route(service)) == "quarantine"

    @pytest.mark.parametrize("rejected", [False, True])
    async def test_a_finding_closes_by_itself_when_the_provider_goes_back(
        self, desk: Desk, rejected: bool
    ) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(rate="5.00"))
        if rejected:
            await desk.reject(await desk.finding())
        await desk.sync(provider, listed(rate="0.50"))
        [finding] = await desk.findings()
        assert finding.state == "withdrawn"
        assert closed(await desk.route(service)) is None

    async def test_several_findings_open_a_route_only_together(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(rate="5.00", min=50))
        price, bounds = await desk.findings()
        if price.kind == "bounds":
            price, bounds = bounds, price
        await desk.accept(price)
        assert closed(await desk.route(service)) == "quarantine"
        await desk.accept(bounds)
        assert closed(await desk.route(service)) is None
        now = await desk.service(service)
        assert (now.min_quantity, now.max_quantity) == (50, 100_000)

    @pytest.mark.parametrize(
        ("ours", "before", "after", "fitted"),
        [
            ((10, 1000), (10, 1000), (20, 500), (20, 500)),
            ((10, 1000), (10, 1000), (5, 2000), (5, 2000)),
            ((50, 500), (10, 1000), (5, 2000), (50, 500)),
            ((50, 500), (10, 1000), (100, 400), (100, 400)),
            ((50, 500), (10, 1000), (600, 900), (600, 900)),
            ((1, 1), (10, 1000), (20, 500), (1, 1)),
            ((1, 1000), (0, 1000), (0, 10**12), (1, 100_000_000)),
        ],
    )
    def test_what_we_sell_is_fitted_into_what_the_provider_takes(
        self,
        ours: tuple[int, int],
        before: tuple[int, int],
        after: tuple[int, int],
        fitted: tuple[int, int],
    ) -> None:
        service = Service(min_quantity=ours[0], max_quantity=ours[1])
        facts = [{"min": least, "max": most} for least, most in (before, after)]
        assert quarantine.fitted_bounds(service, *facts) == fitted

    async def test_a_changed_type_keeps_its_routes_closed_even_when_it_is_accepted(
        self, desk: Desk
    ) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(type="Poll"))
        await desk.accept(await desk.finding())
        assert closed(await desk.route(service)) == "type_changed"

    async def test_what_vanished_closes_at_the_second_time_and_opens_when_it_is_back(
        self, desk: Desk
    ) -> None:
        provider, service = await desk.open()
        others = [listed(n) for n in range(5)]
        await desk.sync(provider, listed(), *others)
        await desk.sync(provider, *others)
        assert closed(await desk.route(service)) is None
        await desk.sync(provider)
        assert closed(await desk.route(service)) == "quarantine"
        assert (await desk.finding()).kind == "vanished"
        await desk.sync(provider, listed(), *others)
        assert closed(await desk.route(service)) is None
        [finding] = await desk.findings()
        assert finding.state == "withdrawn"

    async def test_what_an_operator_knows_to_be_gone_opens_by_hand_only(self, desk: Desk) -> None:
        provider, service = await desk.open()
        others = [listed(n) for n in range(5)]
        await desk.sync(provider, *others, listed())
        for _ in range(2):
            await desk.sync(provider, *others)
        await desk.accept(await desk.finding())
        assert closed(await desk.route(service)) == "vanished"
        await desk.sync(provider, listed(), *others)
        assert closed(await desk.route(service)) == "vanished"
        assert ("101", "returned") in await desk.history()

    async def test_a_route_over_what_is_gone_is_closed_when_it_is_added_and_when_it_is_synced(
        self, desk: Desk
    ) -> None:
        provider = await desk.world.provider()
        others = [listed(n) for n in range(5)]
        await desk.sync(provider, listed(), *others)
        for _ in range(2):
            await desk.sync(provider, *others)
        service = await desk.world.service(routes=[RouteTo(provider)])
        assert closed(await desk.route(service)) == "vanished"

        route = service_routes.public_route_id((await desk.route(service)).id)
        async with desk.runtime.uow.begin() as session:
            await service_routes.change_route(session, service.id, route, {"state": "open"})
        await desk.sync(provider)
        assert closed(await desk.route(service)) == "quarantine"
        assert (await desk.finding()).kind == "vanished"
        await desk.sync(provider)
        assert len(await desk.findings()) == 1
        await desk.sync(provider, listed(), *others)
        assert closed(await desk.route(service)) is None

    async def test_an_id_that_is_listed_twice_is_not_believed_either_time(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(rate="0.51"), listed(rate="0.52"), listed(7))
        route = await desk.route(service)
        assert (closed(route), route.cost_micros) == ("quarantine", 500_000)
        with pytest.raises(NothingToAccept):
            await desk.accept(await desk.finding())
        await desk.sync(provider)
        assert len(await desk.findings()) == 1
        await desk.sync(provider, listed(rate="0.51"), listed(7))
        route = await desk.route(service)
        assert (closed(route), route.cost_micros) == (None, 510_000)

    async def test_a_finding_is_decided_once(self, desk: Desk) -> None:
        provider, _ = await desk.open()
        await desk.sync(provider, listed(rate="5.00"))
        finding = await desk.finding()
        await desk.reject(finding)
        with pytest.raises(FindingDecided):
            await desk.reject(finding)
        await desk.accept(finding)  # on second thoughts
        for decide in (desk.accept, desk.reject):
            with pytest.raises(FindingDecided):
                await decide(finding)

    async def test_a_route_is_not_opened_past_a_finding(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.sync(provider, listed(rate="5.00"))
        route = await desk.route(service)
        async with desk.runtime.uow.begin() as session:
            with pytest.raises(RouteQuarantined):
                await service_routes.change_route(
                    session, service.id, service_routes.public_route_id(route.id), {"state": "open"}
                )
        second = await desk.world.service(routes=[RouteTo(provider)])
        assert closed(await desk.route(second)) == "quarantine"
        await desk.accept(await desk.finding())
        assert closed(await desk.route(second)) is None

    async def test_a_route_that_an_operator_closed_stays_closed(self, desk: Desk) -> None:
        provider, service = await desk.open()
        route = await desk.route(service)
        async with desk.runtime.uow.begin() as session:
            await service_routes.change_route(
                session, service.id, service_routes.public_route_id(route.id), {"state": "closed"}
            )
        await desk.sync(provider, listed(rate="5.00"))
        await desk.accept(await desk.finding())
        assert closed(await desk.route(service)) == "operator"

    async def test_how_far_a_price_may_move_is_the_providers_own_rule(self, desk: Desk) -> None:
        provider, _ = await desk.open()
        async with desk.runtime.uow.begin() as session:
            assert await mirror.price_jump_of(session, provider.id) == 2_000
            await mirror.set_price_jump(session, provider.id, 100)
        await desk.sync(provider, listed(rate="0.51"))
        assert (await desk.finding()).kind == "price_jump"


class TestPrices:
    async def test_a_small_change_moves_cost_and_price_together(self, desk: Desk) -> None:
        provider, service = await desk.open()
        await desk.rule(service, MarkupRule(5_000, step=Money.parse("0.01")))
        synced = await desk.sync(provider, listed(rate="0.555"))
        assert synced.counts == {"listed": 1, "price": 1, "repriced": 1}
        assert (await desk.route(service)).cost_micros == 555_000
        now = await desk.service(service)
        assert (now.rate_micros, now.markup_basis_points) == (840_000, 5_135)

    async def test_a_service_without_a_rule_keeps_its_price_and_is_not_sold_below_cost(
        self, desk: Desk
    ) -> None:
        provider, service = await desk.open(rate="0.55")
        await desk.sync(provider, listed(rate="0.60"))
        assert (await desk.service(service)).rate_micros == 550_000
        with pytest.raises(AssertionError, match=ServiceUnavailable.code):
            await desk.world.order(service=service)
        async with desk.runtime.uow.begin() as session:
            values = {one.name: one.value for one in await gauges.samples(session)}
        assert values["smmos_services_below_cost"] == 1

    async def test_the_narrowest_rule_holds_and_one_may_keep_a_price_still(
        self, desk: Desk
    ) -> None:
        provider, service = await desk.open()
        expected = []
        async with desk.runtime.uow.begin() as session:
            for subject, percent in (
                ("default", 10_000),
                (supply.public_provider_id(provider.id), 20_000),
                (str(service.id), 30_000),
            ):
                what_for = await repricing.subject_of(session, subject)
                await repricing.put_rule(session, what_for, MarkupRule(percent), automatic=True)
                await repricing.reprice(session, [service.id], by=BOSS)
                expected.append((await catalog.get(session, service.id)).rate_micros)
        assert expected == [1_000_000, 1_500_000, 2_000_000]
        await desk.rule(service, MarkupRule(0), automatic=False)
        await desk.sync(provider, listed(rate="0.55"))
        assert (await desk.service(service)).rate_micros == 2_000_000

    async def test_a_foreign_cost_is_priced_at_the_rate_of_the_day(self, desk: Desk) -> None:
        provider, service = await desk.open(currency="EUR")
        await desk.rule(service, MarkupRule(10_000))
        unpriced = await desk.sync(provider, listed(rate="0.55"))
        assert unpriced.remark == "EUR has no exchange rate: nothing is priced"
        assert (await desk.service(service)).rate_micros == 900_000
        assert (await desk.route(service)).cost_micros == 550_000
        for rate, price in ((1_100_000, 1_210_000), (1_200_000, 1_320_000)):
            async with desk.runtime.uow.begin() as session:
                await supply.set_rate(session, "EUR", rate, valid_from=now_of(session))
            await desk.sync(provider)
            assert (await desk.service(service)).rate_micros == price

    async def test_a_price_follows_the_first_route_and_a_quarantine_moves_none(
        self, desk: Desk
    ) -> None:
        cheap, dear = await desk.world.provider(), await desk.world.provider()
        service = await desk.world.service(
            routes=[RouteTo(dear, cost="0.80", priority=2), RouteTo(cheap, priority=1)]
        )
        await desk.rule(service, MarkupRule(10_000))
        await desk.sync(cheap, listed())
        assert (await desk.service(service)).rate_micros == 1_000_000
        await desk.sync(cheap, listed(rate="5.00"))
        assert (await desk.service(service)).rate_micros == 1_000_000
        await desk.reject(await desk.finding())
        await desk.sync(cheap)
        assert (await desk.service(service)).rate_micros == 1_600_000

    async def test_a_price_follows_the_cheapest_route_where_orders_do(self, desk: Desk) -> None:
        euro, cheap = await desk.world.provider(currency="EUR"), await desk.world.provider()
        async with desk.runtime.uow.begin() as session:
            await supply.set_rate(session, "EUR", 2_000_000, valid_from=now_of(session))
        service = await desk.world.service(
            routes=[RouteTo(euro, cost="0.40", priority=1), RouteTo(cheap, priority=2)],
            routing="cost",
        )
        await desk.rule(service, MarkupRule(1_000))
        await reprice(desk.runtime, None, by=BOSS)
        [_, price] = await desk.prices(service)
        assert (price.rate_micros, price.cost_micros) == (550_000, 500_000)
        await desk.world.order(service=service)
        async with desk.runtime.uow.begin() as session:
            values = {one.name: one.value for one in await gauges.samples(session)}
        assert values["smmos_services_below_cost"] == 0

    async def test_repricing_on_demand_reaches_every_provider(self, desk: Desk) -> None:
        services = [await desk.world.service() for _ in range(3)]
        for service in services[:2]:
            await desk.rule(service, MarkupRule(10_000))
        assert await reprice(desk.runtime, None, by=BOSS) == 2
        assert await reprice(desk.runtime, None, by=BOSS) == 0
        [_, price] = await desk.prices(services[0])
        assert (price.rate_micros, price.actor) == (1_000_000, "operator:opr_1")

    @pytest.mark.parametrize(
        ("rule", "cost"),
        [
            (MarkupRule(0, floor=Money.parse("9000000000")), "0.50"),
            (MarkupRule(-10_000), "1000000000000"),
        ],
    )
    async def test_a_price_or_cost_too_large_to_write_is_left_alone(
        self, desk: Desk, rule: MarkupRule, cost: str
    ) -> None:
        provider, service = await desk.open()
        if cost != "0.50":
            await desk.sync(provider, listed(rate=cost))
            await desk.accept(await desk.finding())
        await desk.rule(service, rule)
        assert (await desk.sync(provider)).failure is None
        assert (await desk.service(service)).rate_micros == 900_000

    async def test_every_price_that_a_person_sets_is_on_record(self, desk: Desk) -> None:
        _, service = await desk.open()
        async with desk.runtime.uow.begin() as session:
            await catalog.change(session, service.id, {"rate_micros": 2_000_000}, by=BOSS)
            await catalog.change(session, service.id, {"name": "No price"}, by=BOSS)
        assert [(p.rate_micros, p.reason, p.actor) for p in await desk.prices(service)] == [
            (900_000, "created", "system:catalogue"),
            (2_000_000, "changed", "operator:opr_1"),
        ]


class TestSchedule:
    async def test_every_active_provider_is_promised_a_sync_of_its_own(
        self, desk: Desk, runtime: Runtime
    ) -> None:
        provider, paused = await desk.world.provider(), await desk.world.provider()
        desk.panel.sells(listed())
        async with runtime.uow.begin() as session:
            await pausing.pause(session, paused.id, pausing.PauseReason.OPERATOR)
        for _ in range(2):
            async with runtime.uow.begin() as session:
                await mirror.promise(session)
                assert await work.due_lanes(session, SYNC) == [str(provider.id)]
        await drain_sync(desk.context, str(provider.id))
        async with runtime.uow.begin() as session:
            await mirror.promise(session)
            assert await work.due_lanes(session, SYNC) == []
        desk.clock.move(SYNC_EVERY)
        await drain_sync(desk.context, str(provider.id))
        assert desk.panel.calls == 2

    async def test_a_sync_that_failed_is_tried_again_sooner(self, desk: Desk) -> None:
        provider = await desk.world.provider()
        desk.panel.status = 500
        await self.ask(desk, provider)
        desk.clock.move(sync_worker.RETRY_EVERY)
        await drain_sync(desk.context, str(provider.id))
        assert desk.panel.calls == 2

    async def test_an_operator_who_asks_need_not_wait(self, desk: Desk) -> None:
        provider = await desk.world.provider()
        for _ in range(2):
            await self.ask(desk, provider)
        assert desk.panel.calls == 2

    async def test_a_provider_that_is_out_of_reach_is_not_asked(
        self, desk: Desk, runtime: Runtime
    ) -> None:
        provider = await desk.world.provider()
        async with runtime.uow.begin() as session:
            await protection.record_failures(session, provider.id, 5, time_scale=1.0)
        await self.ask(desk, provider)
        assert desk.panel.calls == 0
        assert await desk.world.count("catalogue_syncs") == 0

    async def test_a_provider_is_synced_by_one_at_a_time_and_a_lost_run_changes_nothing(
        self, desk: Desk, runtime: Runtime
    ) -> None:
        provider = await desk.world.provider()
        async with runtime.uow.begin() as session:
            lost = await mirror.begin(session, provider.id)
        with pytest.raises(SyncRunning):
            await sync_provider(runtime, desk.context.wire, provider.id)
        await self.ask(desk, provider)
        assert desk.panel.calls == 0
        desk.clock.move(mirror.RUN_LOST_AFTER + timedelta(seconds=1))
        await desk.sync(provider, listed())
        async with runtime.uow.begin() as session:
            with pytest.raises(SyncLost):
                await mirror.apply(session, lost, Part(absent=("101",)))
            runs = await mirror.run_page(session, provider_id=None, after=None, limit=9)
        assert [(run.outcome, run.why) for run in runs] == [
            ("ok", None),
            ("failed", "its worker died"),
        ]

    async def test_an_expired_lease_is_freed_by_the_next_promise(
        self, desk: Desk, runtime: Runtime
    ) -> None:
        provider = await desk.world.provider()
        async with runtime.uow.begin() as session:
            await mirror.promise(session)
            lane = str(provider.id)
            await work.lease(session, SYNC, lane, limit=1, in_flight_max=1, seconds=-1)
        async with runtime.uow.begin() as session:
            assert await work.due_lanes(session, SYNC) == []
            await mirror.promise(session)
            assert await work.due_lanes(session, SYNC) == [lane]

    @pytest.mark.parametrize("error", [LookupError, asyncio.CancelledError])
    async def test_a_sync_that_breaks_or_is_cut_off_is_on_record_as_failed(
        self,
        desk: Desk,
        runtime: Runtime,
        monkeypatch: pytest.MonkeyPatch,
        error: type[BaseException],
    ) -> None:
        provider = await desk.world.provider()

        async def break_down(*_args: object) -> None:
            raise error

        monkeypatch.setattr("app.catalog.mirror.apply", break_down)
        with pytest.raises(error):
            await desk.sync(provider, listed())
        async with runtime.uow.begin() as session:
            [run] = await mirror.run_page(session, provider_id=None, after=None, limit=9)
        assert (run.outcome, run.why) == ("failed", f"unexpected: {error.__name__}")

    async def ask(self, desk: Desk, provider: Provider) -> None:
        async with desk.runtime.uow.begin() as session:
            await mirror.ask(session, provider.id)
        await drain_sync(desk.context, str(provider.id))


async def test_the_gauges_tell_findings_ages_and_drift(desk: Desk) -> None:
    provider, _ = await desk.open()
    await desk.sync(provider, listed(rate="0.55"))
    await desk.world.service(routes=[RouteTo(provider, cost="0.10", provider_service="7")])
    await desk.sync(provider, listed(rate="0.55"), listed(7))
    desk.clock.move(timedelta(hours=1))
    async with desk.runtime.uow.begin() as session:
        values = {(one.name, one.labels): one.value for one in await gauges.samples(session)}
    assert {name for name, _ in values} == gauges.NAMES
    label = f'provider="{provider.name}"'
    assert values["smmos_catalogue_findings_open", f'kind="price_jump",{label}'] == 1
    assert 3600 <= values["smmos_catalogue_sync_age_seconds", label] < 3610
    assert values["smmos_catalogue_price_drift_ratio", label] == pytest.approx(0.1)
    assert values["smmos_services_below_cost", ""] == 0


@pytest.mark.committing
async def test_an_order_is_placed_while_a_sync_holds_its_rows(
    desk: Desk, another_runtime: OpenRuntime
) -> None:
    provider, service = await desk.open()
    await desk.rule(service, MarkupRule(10_000))
    reseller = await desk.world.reseller()
    elsewhere = await another_runtime()
    desk.clock.move(SYNC_EVERY)
    async with elsewhere.uow.begin() as session:
        run = await mirror.begin(session, provider.id)
        seen = CatalogEntry(
            service="101",
            name="Service 101",
            service_type="Default",
            category="Growth",
            rate_micros=550_000,
            min=10,
            max=100_000,
            refill=False,
            cancel=False,
            dripfeed=False,
        )
        applied = await mirror.apply(session, run, Part(single=(seen,)))
        assert applied.counts == {"price": 1, "repriced": 1}
        placed = await desk.world.order(reseller, service, quantity=1000)
        assert placed["charge"]["amount"] == "0.90"
    placed = await desk.world.order(reseller, service, quantity=1000)
    assert placed["charge"]["amount"] == "1.10"


@pytest.mark.committing
async def test_five_thousand_services_are_taken_over_part_by_part(desk: Desk) -> None:
    provider = await desk.world.provider()
    service = await desk.world.service(routes=[RouteTo(provider, provider_service="4999")])
    await desk.rule(service, MarkupRule(10_000))
    first = await desk.sync(provider, *(listed(n) for n in range(5000)))
    assert first.counts == {"listed": 5000, "new": 5000, "repriced": 1}
    second = await desk.sync(provider, *(listed(n, "0.55") for n in range(5000)))
    assert second.counts == {"listed": 5000, "price": 5000, "repriced": 1}
    assert (await desk.service(service)).rate_micros == 1_100_000
