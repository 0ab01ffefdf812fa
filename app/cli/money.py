"""`smmos credits`, `ledger-check`, `trial-balance`: money by hand, and proof that it adds up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.cli.context import actor, opened, transaction
from app.cli.inputs import ResellerId, checked
from app.cli.output import print_table
from app.cli.refusals import CommandFailed
from app.core import audit
from app.core.ids import new_id
from app.core.money import ZERO, Money
from app.core.settings import load_settings
from app.ledger import service as ledger
from app.ledger.schemas import CreditCreate
from app.ledger.service import VIOLATIONS_MAX, Violation
from app.resellers import service as resellers
from app.resellers.models import Mode

_CHECK_SECONDS_MAX = 600

commands = typer.Typer()
credit_commands = typer.Typer(help="Money that an operator vouches for.", no_args_is_help=True)
commands.add_typer(credit_commands, name="credits")


@credit_commands.command("add", context_settings={"ignore_unknown_options": True})
def add_credit(
    reseller_id: ResellerId,
    amount: Annotated[str, typer.Argument(help="Such as 100.00; negative takes it out again.")],
    note: Annotated[str, typer.Option(help="Why; the reseller sees it.")],
) -> None:
    """Put money into a reseller's live wallet."""
    asyncio.run(_add_credit(reseller_id, checked(CreditCreate, amount=amount, note=note)))


async def _add_credit(reseller_id: str, body: CreditCreate) -> None:
    if not body.amount:
        raise CommandFailed("amount: must not be zero")
    async with transaction() as (runtime, session):
        reseller = await resellers.get_public(session, reseller_id)
        book = await resellers.book_of(session, reseller.id, Mode.LIVE)
        credit_id = new_id()
        balance = await ledger.credit(
            session, book.id, body.amount, credit_id=credit_id, note=body.note
        )
        await audit.record(
            session,
            actor(),
            "credit.create",
            f"reseller:{reseller_id}",
            {"credit_id": str(credit_id), "amount": str(body.amount), "note": body.note},
        )
        currency = runtime.settings.currency
    print(f"{reseller.name} has {balance} {currency}")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("must be an ISO 8601 time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@commands.command("ledger-check")
def ledger_check(
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only what was touched since, such as 2026-11-23T08:00; UTC unless it says more.",
            parser=_moment,
            metavar="TIME",
        ),
    ] = None,
) -> None:
    """Look for all that must never be: prints `clean`, or the rows and exit code 1."""
    found = asyncio.run(_check(since))
    if not found:
        print("clean")
        return
    print_table("", ["code", "ref", "detail"], [[one.code, one.ref, one.detail] for one in found])
    if len(found) == VIOLATIONS_MAX:
        print(f"there may be more: only {VIOLATIONS_MAX} rows are shown")
    raise typer.Exit(1)


async def _check(since: datetime | None) -> list[Violation]:
    # A statement's usual limit is for requests that somebody waits for.
    settings = load_settings().model_copy(update={"statement_timeout_seconds": _CHECK_SECONDS_MAX})
    async with opened(settings) as runtime, runtime.uow.begin() as session:
        return await ledger.violations(session, since)


@commands.command("trial-balance")
def trial_balance() -> None:
    """The sum of every kind of account; together they are zero."""
    totals = asyncio.run(_totals())
    rows = [[kind, str(total)] for kind, total in sorted(totals.items())]
    print_table("", ["account", "total"], [*rows, ["all", str(sum(totals.values(), start=ZERO))]])


async def _totals() -> dict[str, Money]:
    async with transaction() as (_, session):
        return await ledger.trial_balance(session)
