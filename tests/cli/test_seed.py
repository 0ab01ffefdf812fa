"""Seed data: sown twice it is there once, with keys that are kept for as long as they open."""

import pytest

from app.catalog import offering
from app.cli.refusals import CommandFailed
from app.cli.stack.assortment import ASSORTMENT
from app.cli.stack.seed import (
    SeedProvider,
    SeedReseller,
    ensure_operator,
    ensure_operator_key,
    ensure_provider,
    ensure_reseller,
    ensure_reseller_key,
    ensure_services,
    routed_to,
)
from app.core.crypto import KeyRing, new_master_key
from app.core.money import Money
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.resellers import service as resellers
from app.resellers.scopes import Scope
from app.simulator.catalog import SERVICES

RESELLER = SeedReseller("Demo", "demo@example.com", Money.parse("1000.00"))
PROVIDER = SeedProvider("Simulated", "http://127.0.0.1:9/api/v2", "secret")


async def test_a_reseller_is_credited_once_however_often_the_seed_is_sown(
    runtime: Runtime,
) -> None:
    for _ in range(2):
        async with runtime.uow.begin() as session:
            await ensure_reseller(session, RESELLER)

    async with runtime.uow.begin() as session:
        book = await ensure_reseller(session, RESELLER)
        assert (await ledger.balance(session, book.id)).available == RESELLER.credit
        assert len(await resellers.page(session, after=None, limit=10)) == 1


async def test_a_key_is_kept_while_it_opens_and_made_anew_when_it_does_not(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        book = await ensure_reseller(session, RESELLER)
        first = await ensure_reseller_key(session, runtime.keys, book, None)

        assert await ensure_reseller_key(session, runtime.keys, book, first) == first

        [key] = await resellers.keys_page(session, book.id, after=None, limit=10)
        assert set(key.scopes) == set(Scope)
        await resellers.revoke_key(session, book.id, resellers.public_key_id(key.id))

        assert await ensure_reseller_key(session, runtime.keys, book, first) != first


async def test_an_operators_key_of_another_database_is_not_taken_for_ones_own(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        operator = await ensure_operator(session, name="Op", email="op@example.com")
        other = await ensure_operator(session, name="Other", email="other@example.com")
        others = await ensure_operator_key(session, runtime.keys, other, None)

        own = await ensure_operator_key(session, runtime.keys, operator, others)

        assert own != others
        assert await ensure_operator_key(session, runtime.keys, operator, own) == own


async def test_the_services_are_on_sale_under_ids_that_an_example_can_name(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        operator = await ensure_operator(session, name="Op", email="op@example.com")
        provider = await ensure_provider(session, runtime.keys, PROVIDER)
        for _ in range(2):
            await ensure_services(session, routed_to(provider), operator_id=operator.id)

        offers = await offering.offers(session, [1, 2, 3, 4, 5])

    assert list(offers) == [1, 2, 3, 4, 5]
    assert all(offer.on_sale and len(offer.routes) == 1 for offer in offers.values())


async def test_a_simulator_of_a_lost_data_folder_makes_way_for_the_one_that_runs(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        operator = await ensure_operator(session, name="Op", email="op@example.com")
        gone = await ensure_provider(session, runtime.keys, PROVIDER)
        await ensure_services(session, routed_to(gone), operator_id=operator.id)
        new = await ensure_provider(session, runtime.keys, SeedProvider("New", "http://x", "k"))
        await ensure_services(session, routed_to(new), operator_id=operator.id)

        offers = await offering.offers(session, [1])

    assert [route.provider_id for route in offers[1].routes] == [new.id]


async def test_a_simulator_on_another_port_is_reached_there(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        await ensure_provider(session, runtime.keys, PROVIDER)
        moved = SeedProvider(PROVIDER.name, "http://127.0.0.1:10/api/v2", PROVIDER.key)
        await ensure_provider(session, runtime.keys, moved)

        found = await ensure_provider(session, runtime.keys, moved)

    assert found.base_url == moved.base_url


async def test_a_database_that_was_sealed_with_another_master_key_is_refused(
    runtime: Runtime,
) -> None:
    async with runtime.uow.begin() as session:
        await ensure_provider(session, runtime.keys, PROVIDER)

        with pytest.raises(CommandFailed, match="another master key"):
            await ensure_provider(session, KeyRing([new_master_key()]), PROVIDER)


def test_no_service_promises_what_the_simulator_behind_it_does_not_take() -> None:
    for service in ASSORTMENT:
        simulated = SERVICES[int(service.provider_service)]
        assert simulated.min <= service.min_quantity <= service.max_quantity <= simulated.max
        assert (service.package_units or 0) == simulated.package_units
        assert service.cost.micros == simulated.rate_micros
        assert service.rate >= service.cost
