"""`smmos catalogue`: what providers sell, what of it waits for your word, and how it is priced."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from app.catalog import importing, quarantine, repricing
from app.catalog import service as catalog
from app.catalog.comparison import Facts, Verdict
from app.catalog.mirror_models import Finding, FindingState
from app.catalog.models import OnUnknown
from app.catalog.operator_schemas import ServiceChange
from app.catalog.price_schemas import MarkupRulePut, MarkupRuleRead
from app.catalog.quarantine import public_finding_id
from app.catalog.sync_schemas import FindingDecision, ImportItem
from app.cli.context import actor, opened, transaction
from app.cli.inputs import ProviderId, Shown, checked
from app.cli.output import print_table
from app.cli.refusals import CommandFailed
from app.core import audit
from app.core.clock import rfc3339
from app.core.money import Money
from app.providers.wire import Wire
from app.supply import service as supply
from workers.sync import Synced, foresee, reprice, sync_provider

commands = typer.Typer()
catalogue_commands = typer.Typer(
    help="What providers sell, and what we make of it.", no_args_is_help=True
)
commands.add_typer(catalogue_commands, name="catalogue")

FindingId = Annotated[str, typer.Argument(help="As `catalogue findings` shows it, fnd_…")]
Note = Annotated[str | None, typer.Option(help="Why; kept with the finding.")]
Subject = Annotated[
    str, typer.Argument(help="`default`, a provider's id, or the number of a service.")
]
BasisPoints = Annotated[int, typer.Option(help="The mark-up: 3000 is 30 percent.")]
Amount = Annotated[str, typer.Option(help="Of a price unit, in the selling currency.")]


@catalogue_commands.command("sync")
def sync(
    provider_id: ProviderId,
    dry_run: Annotated[bool, typer.Option(help="Ask and compare, and change nothing.")] = False,
    may_shrink: Annotated[
        bool, typer.Option(help="Believe a list that lost most of what it had.")
    ] = False,
    limit: Shown = 200,
) -> None:
    """Ask a provider what it sells, and take it over, or print what would change."""
    if dry_run:
        asyncio.run(_foresee(provider_id, may_shrink=may_shrink, limit=limit))
    else:
        asyncio.run(_sync(provider_id, may_shrink=may_shrink))


async def _foresee(provider_id: str, *, may_shrink: bool, limit: int) -> None:
    async with opened() as runtime, Wire(clock=runtime.clock) as wire:
        async with runtime.uow.begin() as session:
            provider = await supply.get_public(session, provider_id)
        synced, foreseen = await foresee(runtime, wire, provider.id, may_shrink=may_shrink)
    rows = _foreseen_rows(foreseen.verdicts)
    print_table("", ["service", "what", "before", "after"], rows[:limit])
    if len(rows) > limit:
        print(f"… and {len(rows) - limit} more")
    prices = [[str(one.service_id), str(one.before), str(one.after)] for one in foreseen.prices]
    if prices:
        print_table("Our prices", ["service", "before", "after"], prices[:limit])
    if len(prices) > limit:
        print(f"… and {len(prices) - limit} more")
    _tell(synced)


def _foreseen_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """What waits for a person first, then what changes, then what is merely new."""
    waits: list[list[str]] = []
    changes: list[list[str]] = []
    new: list[list[str]] = []
    for one in verdicts:
        waits += [
            [one.service, f"finding: {opening.kind}", _told(opening.before), _told(opening.after)]
            for opening in one.opened
        ]
        (new if one.is_new else changes).extend(
            [one.service, change.what, _told(change.before), _told(change.after)]
            for change in one.changes
        )
    return waits + changes + new


def _told(facts: Facts) -> str:
    return ", ".join(_said(facts))


def _said(facts: Facts) -> Iterator[str]:
    for name, value in facts.items():
        if name == "rate_micros":
            yield f"rate {Money(value)}"
        elif name != "entries":
            yield f"{name} {value}"


async def _sync(provider_id: str, *, may_shrink: bool) -> None:
    async with opened() as runtime, Wire(clock=runtime.clock) as wire:
        async with runtime.uow.begin() as session:
            provider = await supply.get_public(session, provider_id)
            await audit.record(session, actor(), "provider.sync", f"provider:{provider_id}", {})
        synced = await sync_provider(runtime, wire, provider.id, may_shrink=may_shrink)
    _tell(synced)


def _tell(synced: Synced) -> None:
    """How often what happened. Raises CommandFailed for a sync that failed."""
    if synced.failure:
        raise CommandFailed(f"Nothing was taken over: {synced.failure}.")
    print(", ".join(f"{what} {count}" for what, count in sorted(synced.counts.items())))
    if synced.remark:
        print(f"{synced.remark}.")


@catalogue_commands.command("findings")
def list_findings(
    state: Annotated[FindingState, typer.Option(help="Only these.")] = FindingState.OPEN,
    limit: Shown = 50,
) -> None:
    """What providers say and only you may believe, newest first."""
    asyncio.run(_list_findings(state, limit))


async def _list_findings(state: FindingState, limit: int) -> None:
    async with transaction() as (_, session):
        found = await quarantine.page(
            session, provider_id=None, state=state, after=None, limit=limit
        )
        names = {one.id: one.name for one in await supply.every(session)}
    columns = ["id", "provider", "service", "what", "before", "after", "since"]
    print_table("", columns, [_row(one, names[one.provider_id]) for one in found])


def _row(finding: Finding, provider: str) -> list[str]:
    return [
        public_finding_id(finding.id),
        provider,
        finding.provider_service,
        finding.kind,
        _told(finding.before),
        _told(finding.after),
        rfc3339(finding.opened_at),
    ]


@catalogue_commands.command("accept")
def accept_finding(finding_id: FindingId, note: Note = None) -> None:
    """Believe the provider: its new price or bounds hold, and the routes over it open again."""
    asyncio.run(_decide(finding_id, checked(FindingDecision, note=note).note, accepts=True))


@catalogue_commands.command("reject")
def reject_finding(finding_id: FindingId, note: Note = None) -> None:
    """Keep the routes closed for as long as the provider says the same."""
    asyncio.run(_decide(finding_id, checked(FindingDecision, note=note).note, accepts=False))


async def _decide(finding_id: str, note: str | None, *, accepts: bool) -> None:
    verb = quarantine.accept if accepts else quarantine.reject
    action = "finding.accept" if accepts else "finding.reject"
    async with transaction() as (_, session):
        decided = await verb(session, finding_id, by=actor(), note=note)
        await audit.record(session, actor(), action, f"finding:{finding_id}", {"note": note})
    print(f"{decided.kind} of {decided.provider_service} is {decided.state}")


@catalogue_commands.command("import")
def import_service(
    provider_id: ProviderId,
    provider_service: Annotated[str, typer.Argument(help="The provider's own id of it.")],
    platform: Annotated[str, typer.Option(help="Such as instagram.")],
    kind: Annotated[str, typer.Option(help="Such as followers.")],
    tier: Annotated[str, typer.Option(help="standard, premium, custom or bulk.")] = "standard",
    name: Annotated[str | None, typer.Option(help="By default the provider's own.")] = None,
    category: Annotated[str | None, typer.Option(help="By default the provider's own.")] = None,
    markup: Annotated[
        int | None, typer.Option(help="A rule of its own, in basis points: 3000 is 30 percent.")
    ] = None,
) -> None:
    """Take one service into our catalogue, off sale: attest it, then put it on sale."""
    item = checked(
        ImportItem,
        provider_id=provider_id,
        provider_service=provider_service,
        platform=platform,
        kind=kind,
        tier=tier,
        name=name,
        category=category,
        markup=None if markup is None else {"percent_basis_points": markup},
    )
    asyncio.run(_import(item))


async def _import(item: ImportItem) -> None:
    async with transaction() as (runtime, session):
        currency = runtime.settings.currency
        [made] = await importing.import_services(
            session, [item.asked()], selling_currency=currency, by=actor()
        )
        await audit.record(
            session,
            actor(),
            "service.import",
            f"service:{made.id}",
            {"provider_id": item.provider_id, "provider_service": item.provider_service},
        )
    print(f"service {made.id} at {Money(made.rate_micros)} {currency}, off sale")


@catalogue_commands.command("on-unknown")
def set_on_unknown(
    service_id: Annotated[int, typer.Argument(help="The number of a service.", min=1)],
    policy: Annotated[
        OnUnknown | None, typer.Argument(help="What becomes of an order nobody can find.")
    ] = None,
    hours: Annotated[
        int | None, typer.Option(help="For write_off: how long after sending.", min=1, max=720)
    ] = None,
) -> None:
    """Hold such orders until a person knows more, or give the money back in time; without a word
    it tells what is done now.
    """
    said = {"on_unknown": policy, "write_off_hours": hours}
    body = checked(
        ServiceChange, **{name: value for name, value in said.items() if value is not None}
    )
    asyncio.run(_set_on_unknown(service_id, body))


async def _set_on_unknown(service_id: int, body: ServiceChange) -> None:
    async with transaction() as (_, session):
        service = await catalog.get(session, service_id)
        changes = body.model_dump(mode="json", exclude_none=True)
        if changes:
            service = await catalog.change(session, service_id, body.columns(), by=actor())
            await audit.record(session, actor(), "service.change", f"service:{service_id}", changes)
    written_off = service.on_unknown == OnUnknown.WRITE_OFF
    print(f"written off after {service.write_off_hours} hours" if written_off else "held")


@catalogue_commands.command("rules")
def list_rules(limit: Shown = 50) -> None:
    """The mark-up rules; for one service the narrowest holds."""
    asyncio.run(_list_rules(limit))


async def _list_rules(limit: int) -> None:
    async with transaction() as (_, session):
        found = await repricing.rule_page(session, after=None, limit=limit)
    rows = [
        [
            rule.subject,
            str(rule.percent_basis_points),
            rule.fixed,
            rule.step,
            rule.floor,
            "yes" if rule.automatic else "no",
        ]
        for rule in map(MarkupRuleRead.of, found)
    ]
    columns = ["for", "basis points", "fixed", "rounded up to", "at least", "automatic"]
    print_table("", columns, rows)


@catalogue_commands.command("set-rule")
def set_rule(
    subject: Subject,
    percent_basis_points: BasisPoints,
    fixed: Amount = "0",
    step: Amount = "0.000001",
    floor: Amount = "0",
    automatic: Annotated[bool, typer.Option(help="Whether prices follow costs at all.")] = True,
) -> None:
    """Let prices follow costs from the next sync on; `catalogue reprice` does it now."""
    body = checked(
        MarkupRulePut,
        percent_basis_points=percent_basis_points,
        fixed=fixed,
        step=step,
        floor=floor,
        automatic=automatic,
    )
    asyncio.run(_set_rule(subject, body))


async def _set_rule(subject: str, body: MarkupRulePut) -> None:
    async with transaction() as (_, session):
        what_for = await repricing.subject_of(session, subject)
        row = await repricing.put_rule(session, what_for, body.rule(), automatic=body.automatic)
        read = MarkupRuleRead.of(row)
        await audit.record(
            session,
            actor(),
            "markup_rule.put",
            f"markup_rule:{read.subject}",
            read.model_dump(mode="json"),
        )


@catalogue_commands.command("remove-rule")
def remove_rule(subject: Subject) -> None:
    """Take a rule away: wider ones hold again, and without any prices stay as they are."""
    asyncio.run(_remove_rule(subject))


async def _remove_rule(subject: str) -> None:
    async with transaction() as (_, session):
        await repricing.remove_rule(session, await repricing.subject_of(session, subject))
        await audit.record(session, actor(), "markup_rule.delete", f"markup_rule:{subject}", {})


@catalogue_commands.command("reprice")
def reprice_all() -> None:
    """Price every service that has a rule by today's costs and exchange rates."""
    asyncio.run(_reprice_all())


async def _reprice_all() -> None:
    async with opened() as runtime:
        async with runtime.uow.begin() as session:
            await audit.record(session, actor(), "catalogue.reprice", "catalogue", {})
        changed = await reprice(runtime, None, by=actor())
    print(f"{changed} prices changed")
