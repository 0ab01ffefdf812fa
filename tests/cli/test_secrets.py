"""Rotation of the master key: everything opens under the new one alone, and nothing is lost."""

import asyncio

import pytest

from app.core.audit import Actor
from app.core.crypto import KeyRing, Undecryptable, new_master_key
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.orders import resealing
from app.orders import service as orders
from app.refunds import resealing as claim_resealing
from app.refunds import service as claims
from app.refunds import texts
from app.refunds.states import Reason
from app.schedules import overviews
from app.schedules import service as schedules
from app.supply import service as supply
from tests.cli.conftest import Shell
from tests.fixtures.world import World


def rotated(settings: Settings) -> tuple[KeyRing, KeyRing]:
    """The ring with a new key before the old one, and the ring of the new key alone."""
    new = new_master_key()
    old = [key.get_secret_value() for key in settings.master_keys]
    return KeyRing([new, *old]), KeyRing([new])


async def test_credentials_and_inputs_open_under_the_new_key_alone_afterwards(
    runtime: Runtime, world: World, settings: Settings
) -> None:
    both, new = rotated(settings)
    order = await world.order()

    async with runtime.uow.begin() as session:
        [sealed] = await supply.every(session)
        with pytest.raises(Undecryptable):
            supply.account_of(sealed, new, time_scale=1)

        assert await supply.reseal_credentials(session, both, limit=10) == 1
        assert await resealing.count_to_reseal(session, both) == 1
        done = await resealing.reseal_inputs(session, both, after=0, limit=10)

        [provider] = await supply.every(session)
        account = supply.account_of(provider, new, time_scale=1)
        row = await orders.get(session, order["id"])
        links = await orders.links_of(session, new, [row])

    assert done == (1, order["id"])
    assert account.credentials == {"key": "provider-key"}
    assert links == {order["id"]: order["link"]}


async def test_what_the_runs_of_a_drip_feed_will_say_opens_under_the_new_key_alone_afterwards(
    runtime: Runtime, world: World, settings: Settings
) -> None:
    both, new = rotated(settings)
    reseller = await world.reseller()
    order = await world.order(reseller, runs=2, interval_minutes=60)

    async with runtime.uow.begin() as session:
        [schedule] = await schedules.page(session, reseller.book_id, after=None, limit=1)
        [hidden] = await overviews.overviews(session, new, [schedule])

        done = await schedules.reseal(session, both, after=0, limit=10)

        [seen] = await overviews.overviews(session, new, [schedule])
        assert await schedules.reseal(session, both, after=0, limit=10) == (0, 0)
    assert done == (1, order["id"])
    assert (hidden.link, seen.link) == (None, order["link"])


async def test_what_is_sealed_anew_is_passed_over_the_next_time(
    runtime: Runtime, world: World, settings: Settings
) -> None:
    both, _ = rotated(settings)
    await world.order()
    async with runtime.uow.begin() as session:
        await supply.reseal_credentials(session, both, limit=10)
        await resealing.reseal_inputs(session, both, after=0, limit=10)

        assert await supply.reseal_credentials(session, both, limit=10) == 0
        assert await resealing.reseal_inputs(session, both, after=0, limit=10) == (0, 0)


async def test_what_was_written_about_claims_opens_under_the_new_key_alone_afterwards(
    runtime: Runtime, world: World, settings: Settings
) -> None:
    both, new = rotated(settings)
    reseller = await world.reseller()
    order = await world.order(reseller)

    async with runtime.uow.begin() as session:
        claim = await claims.file(
            session,
            runtime.keys,
            reseller.book_id,
            order["id"],
            reason=Reason.NOT_AS_DESCRIBED,
            description="Not theirs.",
            actor=Actor("reseller", "1"),
            time_scale=1.0,
        )
        message = await claims.write(
            session,
            runtime.keys,
            claim.id,
            body="See this.",
            actor=Actor("reseller", "1"),
            by_operator=False,
        )
        assert texts.description_of(new, claim) is None

        assert await claim_resealing.reseal_texts(session, both, limit=10) == 2

        assert texts.description_of(new, claim) == "Not theirs."
        assert texts.body_of(new, message) == "See this."
        assert await claim_resealing.reseal_texts(session, both, limit=10) == 0


@pytest.mark.committing
async def test_the_command_goes_through_everything_and_names_a_key_that_is_missing(
    shell: Shell, world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.order()
    [old] = [key.get_secret_value() for key in settings.master_keys]

    monkeypatch.setenv("SMMOS_MASTER_KEYS", new_master_key())
    without = await asyncio.to_thread(shell, "secrets", "rotate")
    monkeypatch.setenv("SMMOS_MASTER_KEYS", f"{new_master_key()},{old}")
    done = await asyncio.to_thread(shell, "secrets", "rotate")

    assert without.code == 1
    assert "does not hold any more" in without.err
    assert "the credentials of 1 providers, the inputs of 1 orders" in done.out


def test_a_new_key_is_one_that_a_ring_takes(bare_shell: Shell) -> None:
    KeyRing([bare_shell("secrets", "new-key").out.strip()])
