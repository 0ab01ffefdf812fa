"""`smmos migrate`: the schema at head, and the selling currency fixed."""

from __future__ import annotations

import asyncio

import typer

from app.cli.context import opened
from app.cli.refusals import CommandFailed
from app.core.migrating import head_revision, upgrade
from app.core.settings import Settings, load_settings
from app.ledger import service as ledger
from app.ledger.errors import CurrencyChangedError

commands = typer.Typer()


@commands.command()
def migrate() -> None:
    """Bring the database to this version's schema; several at once wait for each other."""
    settings = load_settings()
    asyncio.run(bring_to_head(settings))
    print(f"the database is at {head_revision()} and sells in {settings.currency}")


async def bring_to_head(settings: Settings) -> None:
    """Upgrade under the migration role where there is one, then fix the currency as the app."""
    url = settings.migration_database_url or settings.database_url
    await upgrade(url.get_secret_value())
    async with opened(settings) as runtime, runtime.uow.begin() as session:
        try:
            await ledger.fix_currency(session, settings.currency)
        except CurrencyChangedError as error:
            raise CommandFailed(f"{str(error)[0].upper()}{str(error)[1:]}.") from error
