"""`smmos providers`: our accounts with providers, and what they say when asked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, TypeVar

import typer

from app.cli.context import actor, opened, transaction
from app.cli.inputs import ProviderId, Shown, checked
from app.cli.output import print_table
from app.cli.reconciling import reconcile
from app.cli.refusals import CommandFailed
from app.core import audit
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.money import Money
from app.core.settings import load_settings
from app.providers.protocol import Adapter, ProviderAccount, ProviderUnreachable
from app.providers.registry import AdapterUnknown, dialect_of, get_adapter
from app.providers.wire import Wire
from app.supply import pausing
from app.supply import service as supply
from app.supply.bounds import bound_of
from app.supply.models import Provider
from app.supply.pausing import PauseReason
from app.supply.schemas import ProviderCreate, ProviderRead
from app.web.schemas import MoneyRead

commands = typer.Typer()
provider_commands = typer.Typer(help="Our accounts with providers.", no_args_is_help=True)
commands.add_typer(provider_commands, name="providers")
provider_commands.command("reconcile")(reconcile)

Said = TypeVar("Said")


@provider_commands.command("add")
def add_provider(
    name: Annotated[str, typer.Option(help="What you call it.")],
    currency: Annotated[str, typer.Option(help="What it bills in, such as USD.")],
    base_url: Annotated[
        str | None, typer.Option(help="Where its API answers; not for `manual`.")
    ] = None,
    adapter: Annotated[str, typer.Option(help="Its dialect.")] = "panel_v2",
    in_flight_max: Annotated[int, typer.Option(help="Orders on the wire at once.")] = 8,
    calls_per_minute: Annotated[
        int, typer.Option(help="Calls that it bears.")
    ] = supply.CALLS_PER_MINUTE_DEFAULT,
    simulated: Annotated[bool, typer.Option(help="It is a simulator.")] = False,
) -> None:
    """Open an account. What it signs in with is asked for, unless variables such as PROVIDER_KEY
    hold it (other users can read arguments); it is kept encrypted and never shown.
    """
    body = checked(
        ProviderCreate,
        name=name,
        adapter=adapter,
        base_url=base_url,
        credentials=_credentials(adapter),
        currency=currency,
        in_flight_max=in_flight_max,
        calls_per_minute=calls_per_minute,
        simulated=simulated,
    )
    asyncio.run(_add_provider(body))


def _credentials(adapter: str) -> dict[str, str]:
    try:
        names = dialect_of(adapter).credentials
    except AdapterUnknown as unknown:
        raise CommandFailed(f"adapter: {unknown}") from None
    return {
        name: os.environ.get(f"PROVIDER_{name.upper()}")
        or typer.prompt(f"{name} of the provider", hide_input=True)
        for name in names
    }


async def _add_provider(body: ProviderCreate) -> None:
    if body.simulated and load_settings().environment == "production":
        raise CommandFailed("simulated: simulators are for development only")
    async with transaction() as (runtime, session):
        provider = await supply.register(session, runtime.keys, **body.model_dump())
        public = supply.public_provider_id(provider.id)
        await audit.record(
            session,
            actor(),
            "provider.create",
            f"provider:{public}",
            body.model_dump(mode="json", exclude={"credentials"}),
        )
    print(public)


@provider_commands.command("list")
def list_providers() -> None:
    """All accounts, with what pauses them and what they held when last asked."""
    asyncio.run(_list_providers())


async def _list_providers() -> None:
    async with transaction() as (_, session):
        found = await supply.every(session)
    columns = ["id", "name", "adapter", "state", "why", "at once", "balance", "url"]
    print_table("", columns, [_row(provider) for provider in found])


def _row(provider: Provider) -> list[str]:
    balance = supply.balance_of(provider)
    return [
        supply.public_provider_id(provider.id),
        provider.name,
        provider.adapter,
        "unreachable" if provider.breaker_open_until else provider.state,
        provider.pause_reason or "",
        f"{bound_of(provider).at_once} of {provider.in_flight_max}",
        "" if balance is None else f"{balance} {provider.currency}",
        provider.base_url,
    ]


@provider_commands.command("show")
def show_provider(provider_id: ProviderId) -> None:
    """One account with all that was set for it: limits, low balance, what may be evidence."""
    asyncio.run(_show_provider(provider_id))


async def _show_provider(provider_id: str) -> None:
    async with transaction() as (_, session):
        read = ProviderRead.of(await supply.get_public(session, provider_id))
    print_table("Provider", ["field", "value"], [[name, _told(said)] for name, said in read])


def _told(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case MoneyRead():
            return f"{value.amount} {value.currency}"
        case datetime():
            return rfc3339(value)
        case _:
            return str(value)


@provider_commands.command("pause")
def pause_provider(provider_id: ProviderId) -> None:
    """Hand it no more orders; those that it has are followed on."""

    async def pause(session: Session, provider: Provider) -> None:
        await pausing.pause(session, provider.id, PauseReason.OPERATOR)

    asyncio.run(_change(provider_id, "provider.pause", pause))


@provider_commands.command("resume")
def resume_provider(provider_id: ProviderId) -> None:
    """Let orders flow to it again."""

    async def resume(session: Session, provider: Provider) -> None:
        await pausing.resume(session, provider.id)

    asyncio.run(_change(provider_id, "provider.resume", resume))


async def _change(
    provider_id: str, action: str, verb: Callable[[Session, Provider], Awaitable[None]]
) -> None:
    async with transaction() as (_, session):
        provider = await supply.get_public(session, provider_id)
        await verb(session, provider)
        await audit.record(session, actor(), action, f"provider:{provider_id}", {})
        changed = await supply.get(session, provider.id)
    print(f"{changed.name} is {changed.state}")


@provider_commands.command("evidence")
def declare_evidence(
    provider_id: ProviderId,
    balance_is_proof: Annotated[
        bool | None,
        typer.Option(
            "--balance-is-proof/--balance-is-no-proof",
            help="We alone spend there, and an order is charged when it is taken.",
        ),
    ] = None,
    may_probe_ids: Annotated[
        bool | None,
        typer.Option(
            "--may-probe-ids/--may-not-probe-ids",
            help="It numbers orders in sequence, and agrees to be asked about ids near ours.",
        ),
    ] = None,
    quiet_after_unknown: Annotated[
        bool | None,
        typer.Option(
            "--quiet-after-unknown/--no-quiet-after-unknown",
            help="After a lost order, send nothing until its balance is known; 2 minutes at most.",
        ),
    ] = None,
) -> None:
    """Declare by what a lost order may be looked for there; what is left out stays as it is."""
    evidence = supply.Evidence(balance_is_proof, may_probe_ids, quiet_after_unknown)
    asyncio.run(_declare_evidence(provider_id, evidence))


async def _declare_evidence(provider_id: str, evidence: supply.Evidence) -> None:
    said = {name: value for name, value in asdict(evidence).items() if value is not None}
    async with transaction() as (_, session):
        provider = await supply.get_public(session, provider_id)
        await supply.declare(session, provider, evidence)
        if said:
            await audit.record(session, actor(), "provider.change", f"provider:{provider_id}", said)
        changed = await supply.get(session, provider.id)
    rows = [[name, "yes" if getattr(changed, name) else "no"] for name in asdict(evidence)]
    print_table(changed.name, ["declared", "so"], rows)


@provider_commands.command("rates")
def list_rates(
    currency: Annotated[str | None, typer.Option(help="Only of this one, such as EUR.")] = None,
    limit: Shown = 50,
) -> None:
    """What their currencies are worth in yours, by the moment from which it holds, latest first."""
    asyncio.run(_list_rates(currency, limit))


async def _list_rates(currency: str | None, limit: int) -> None:
    async with transaction() as (runtime, session):
        found = await supply.rate_page(
            session, currency=currency and currency.upper(), after=None, limit=limit
        )
    columns = ["currency", f"worth in {runtime.settings.currency}", "from"]
    rows = [[one.currency, str(Money(one.rate_micros)), rfc3339(one.valid_from)] for one in found]
    print_table("", columns, rows)


@provider_commands.command("services")
def list_services(provider_id: ProviderId) -> None:
    """Ask what it sells now."""

    async def ask(adapter: Adapter, account: ProviderAccount) -> list[list[str]]:
        return [
            [
                one.service,
                one.name,
                one.service_type,
                str(Money(one.rate_micros)),
                f"{one.min}..{one.max}",
            ]
            for one in await adapter.services(account)
        ]

    print_table("", ["service", "name", "type", "rate", "quantity"], _asked(provider_id, ask))


@provider_commands.command("balance")
def show_balance(provider_id: ProviderId) -> None:
    """Ask what our account with it holds."""

    async def ask(adapter: Adapter, account: ProviderAccount) -> str:
        balance = await adapter.balance(account)
        return f"{Money(balance.amount_micros)} {balance.currency}"

    print(_asked(provider_id, ask))


def _asked(provider_id: str, ask: Callable[[Adapter, ProviderAccount], Awaitable[Said]]) -> Said:
    return asyncio.run(_ask(provider_id, ask))


async def _ask(
    provider_id: str, ask: Callable[[Adapter, ProviderAccount], Awaitable[Said]]
) -> Said:
    """Read the account, end the transaction, and only then call."""
    async with opened() as runtime:
        async with runtime.uow.begin() as session:
            provider = await supply.get_public(session, provider_id)
        account = supply.account_of(provider, runtime.keys, time_scale=runtime.settings.time_scale)
    async with Wire() as wire:
        try:
            return await ask(get_adapter(account.adapter, wire), account)
        except ProviderUnreachable as trouble:
            raise CommandFailed(
                f"{provider.name} did not answer as it should: {trouble}"
            ) from trouble
