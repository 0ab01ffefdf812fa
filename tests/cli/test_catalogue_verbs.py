"""The catalogue from a shell: a sync seen before it is made, findings decided, prices by rules."""

import asyncio

import pytest
from sqlalchemy import text

from app.catalog import service_routes
from app.core.runtime import Runtime
from app.supply import service as supply
from tests.cli.conftest import Shell
from tests.fixtures.supplying import Simulator
from tests.fixtures.world import RouteTo, World

pytestmark = pytest.mark.committing


async def run(shell: Shell, *arguments: str) -> str:
    """A command in a thread, because it brings an event loop of its own."""
    done = await asyncio.to_thread(shell, "catalogue", *arguments)
    assert done.code == 0, done.err
    return str(done.out)


async def refuse(shell: Shell, *arguments: str) -> str:
    done = await asyncio.to_thread(shell, "catalogue", *arguments)
    assert done.code == 1
    return str(done.err)


async def test_a_dry_run_prints_what_a_sync_then_does(
    shell: Shell, world: World, simulator: Simulator
) -> None:
    provider = await world.provider(simulator=simulator)
    public = supply.public_provider_id(provider.id)
    await world.service(routes=[RouteTo(provider, cost="0.10")], min_quantity=50)

    foreseen = await run(shell, "sync", public, "--dry-run", "--limit", "2")

    lines = foreseen.splitlines()
    assert lines[0].split() == ["service", "what", "before", "after"]
    assert lines[1].split()[:3] == ["101", "finding:", "price_jump"]
    assert "rate 0.10" in lines[1]
    assert "more" in lines[3]
    assert await world.count("provider_services") == 0
    assert (await run(shell, "sync", public)).splitlines()[-1] == lines[-1]
    assert await world.count("provider_services") > 0
    again = await run(shell, "sync", public, "--dry-run")
    assert again.startswith("none\n")


async def test_findings_are_listed_and_decided(
    shell: Shell, world: World, simulator: Simulator, runtime: Runtime
) -> None:
    provider = await world.provider(simulator=simulator)
    service = await world.service(routes=[RouteTo(provider, cost="0.10")], min_quantity=50)
    await run(shell, "sync", supply.public_provider_id(provider.id))

    listed = await run(shell, "findings")
    finding = listed.splitlines()[1].split()[0]
    assert "price_jump" in listed
    told = await run(shell, "reject", finding, "--note", "too dear")
    assert told == "price_jump of 101 is rejected\n"
    told = await run(shell, "accept", finding)
    assert told == "price_jump of 101 is accepted\n"
    assert "decided" in await refuse(shell, "accept", finding)
    assert await run(shell, "findings") == "none\n"
    async with runtime.uow.begin() as session:
        [route] = await service_routes.routes_of(session, service.id)
        acts = await session.scalars(text("SELECT action FROM audit_log ORDER BY seq"))
        assert list(acts) == ["provider.sync", "finding.reject", "finding.accept"]
    assert (route.state, route.cost_micros) == ("open", 900_000)


async def test_a_service_is_imported_by_a_rule_and_repriced(
    shell: Shell, world: World, simulator: Simulator
) -> None:
    provider = await world.provider(simulator=simulator)
    public = supply.public_provider_id(provider.id)
    await run(shell, "sync", public)
    words = ("--platform", "instagram", "--kind", "followers")

    assert "no rule holds" in await refuse(shell, "import", public, "101", *words)
    await run(shell, "set-rule", public, "--percent-basis-points", "10000", "--step", "0.01")
    assert " at 1.80 USD, off sale" in await run(shell, "import", public, "101", *words)
    own = await run(shell, "import", public, "102", *words, "--markup", "5000", "--name", "Likes")
    assert " at 0.45 USD, off sale" in own
    assert len((await run(shell, "rules")).splitlines()) == 3
    await run(shell, "set-rule", public, "--percent-basis-points", "0", "--floor", "2.00")
    assert await run(shell, "reprice") == "1 prices changed\n"
    await run(shell, "remove-rule", public)
    assert "nothing here" in await refuse(shell, "remove-rule", public)


async def test_a_provider_that_does_not_answer_ends_the_command_in_plain_words(
    shell: Shell, world: World
) -> None:
    public = supply.public_provider_id((await world.provider()).id)

    for dry in ((), ("--dry-run",)):
        told = await refuse(shell, "sync", public, *dry)
        assert told == (
            "Nothing was taken over: the provider did not answer as it should: transport.\n"
        )


@pytest.mark.parametrize(
    ("options", "blamed"),
    [
        (("--percent-basis-points", "-10001"), "percent_basis_points"),
        (("--percent-basis-points", "1", "--step", "0"), "step"),
        (("--percent-basis-points", "1", "--floor", "-1"), "floor"),
    ],
)
async def test_rules_obey_the_rules_of_the_api(
    shell: Shell, options: tuple[str, ...], blamed: str
) -> None:
    assert (await refuse(shell, "set-rule", "default", *options)).startswith(f"{blamed}: ")
