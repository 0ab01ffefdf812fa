"""`smmos operators`, `resellers` and `keys`: who may do what."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from app.cli.context import actor, transaction
from app.cli.inputs import ResellerId, Shown, checked
from app.cli.output import print_table
from app.core import audit
from app.core.clock import rfc3339
from app.core.money import Money
from app.ledger import service as ledger
from app.ledger.models import JournalKind
from app.operators import service as operators
from app.operators.permissions import Role
from app.operators.schemas import OperatorCreate
from app.resellers import service as resellers
from app.resellers.models import ApiKey, Mode
from app.resellers.schemas import OperatorApiKeyCreate, ResellerCreate
from app.resellers.scopes import Scope

commands = typer.Typer()
operator_commands = typer.Typer(help="The people who run the platform.", no_args_is_help=True)
reseller_commands = typer.Typer(help="The customers.", no_args_is_help=True)
key_commands = typer.Typer(help="Keys to resellers' books.", no_args_is_help=True)
commands.add_typer(operator_commands, name="operators")
commands.add_typer(reseller_commands, name="resellers")
commands.add_typer(key_commands, name="keys")


@operator_commands.command("add")
def add_operator(
    name: Annotated[str, typer.Option(help="The person's name.")],
    email: Annotated[str, typer.Option(help="The person's address.")],
    role: Annotated[list[Role], typer.Option(help="A role; may be given several times.")],
) -> None:
    """Add a person to the staff and show the first key, this once."""
    body = checked(OperatorCreate, name=name, email=email, roles=role)
    asyncio.run(_add_operator(body))


async def _add_operator(body: OperatorCreate) -> None:
    async with transaction() as (runtime, session):
        operator = await operators.add(session, name=body.name, email=body.email, roles=body.roles)
        key, minted = await operators.make_key(session, runtime.keys, operator.id, name="first")
        public = operators.public_operator_id(operator.id)
        await audit.record(session, actor(), "operator.create", public, {"roles": operator.roles})
        await audit.record(session, actor(), "operator.key", public, {"key_id": str(key.id)})
    print(f"{public}\nkey, shown this once: {minted.text}")


@operator_commands.command("list")
def list_operators(limit: Shown = 50) -> None:
    """The staff, newest first."""
    asyncio.run(_list_operators(limit))


async def _list_operators(limit: int) -> None:
    async with transaction() as (_, session):
        found = await operators.page(session, after=None, limit=limit)
    rows = [
        [
            operators.public_operator_id(one.id),
            one.name,
            one.email,
            ", ".join(one.roles),
            rfc3339(one.archived_at) if one.archived_at else "",
        ]
        for one in found
    ]
    print_table("", ["id", "name", "e-mail", "roles", "left"], rows)


@operator_commands.command("archive")
def archive_operator(
    operator_id: Annotated[str, typer.Argument(help="As `operators list` shows it, opr_…")],
) -> None:
    """Take a person off the staff: all keys end at once, what was done keeps its name."""
    asyncio.run(_archive_operator(operator_id))


async def _archive_operator(operator_id: str) -> None:
    async with transaction() as (_, session):
        person = await operators.get_public(session, operator_id)
        await operators.archive(session, person.id)
        await audit.record(session, actor(), "operator.archive", operator_id, {})
    print(f"{operator_id} has left")


@reseller_commands.command("add")
def add_reseller(
    name: Annotated[str, typer.Option(help="The customer's name.")],
    email: Annotated[str, typer.Option(help="The customer's address.")],
    country: Annotated[str, typer.Option(help="ISO 3166-1 alpha-2, such as DE.")],
) -> None:
    """Open an account, with a live and a test book."""
    asyncio.run(_add_reseller(checked(ResellerCreate, name=name, email=email, country=country)))


async def _add_reseller(body: ResellerCreate) -> None:
    async with transaction() as (_, session):
        reseller = await resellers.register(
            session, name=body.name, email=body.email, country=body.country, plan=body.plan
        )
        public = resellers.public_reseller_id(reseller.id)
        await audit.record(
            session, actor(), "reseller.create", f"reseller:{public}", {"plan": body.plan}
        )
    print(public)


@reseller_commands.command("list")
def list_resellers(limit: Shown = 50) -> None:
    """Accounts with their standing and live balance, newest first."""
    asyncio.run(_list_resellers(limit))


async def _list_resellers(limit: int) -> None:
    rows = []
    async with transaction() as (_, session):
        for one in await resellers.page(session, after=None, limit=limit):
            book = await resellers.book_of(session, one.id, Mode.LIVE)
            balance: Money = (await ledger.balance(session, book.id)).available
            public = resellers.public_reseller_id(one.id)
            rows.append([public, one.name, one.email, one.country, one.standing, str(balance)])
    print_table("", ["id", "name", "email", "country", "standing", "balance"], rows)


@reseller_commands.command("show")
def show_reseller(reseller_id: ResellerId) -> None:
    """One account with its standing, its plan's limits and its live wallet."""
    asyncio.run(_show_reseller(reseller_id))


async def _show_reseller(reseller_id: str) -> None:
    async with transaction() as (runtime, session):
        one = await resellers.get_public(session, reseller_id)
        books = {book.mode: book.id for book in await resellers.books_of(session, one.id)}
        plan = await resellers.plan_of(session, one)
        wallet = await ledger.balance(session, books[Mode.LIVE])
        default = runtime.settings.rate_limit_default_per_minute
        currency = runtime.settings.currency
    limits = {**plan.limits_per_minute, "every other group": default}
    facts = {
        "id": reseller_id,
        "name": one.name,
        "email": one.email,
        "country": one.country,
        "standing": one.standing,
        "why": one.standing_reason or "",
        "plan": plan.code,
        "requests a minute": ", ".join(f"{group} {limit}" for group, limit in limits.items()),
        "balance": f"{wallet.available} {currency}",
        "held": f"{wallet.held} {currency}",
        **{f"{mode} book": resellers.public_book_id(book_id) for mode, book_id in books.items()},
        "since": rfc3339(one.created_at),
    }
    print_table("Reseller", ["field", "value"], [[name, said] for name, said in facts.items()])


@reseller_commands.command("transactions")
def list_transactions(
    reseller_id: ResellerId,
    kind: Annotated[JournalKind | None, typer.Option(help="Only these, such as `credit`.")] = None,
    limit: Shown = 50,
) -> None:
    """What went into a live wallet and out of it, newest first."""
    asyncio.run(_list_transactions(reseller_id, kind, limit))


async def _list_transactions(reseller_id: str, kind: JournalKind | None, limit: int) -> None:
    async with transaction() as (_, session):
        book = await resellers.live_book(session, reseller_id)
        found = await ledger.transactions(session, book.id, kind=kind, before=None, limit=limit)
    rows = [
        [
            rfc3339(one.created_at),
            one.kind,
            str(one.amount),
            str(one.balance_after),
            str(one.order_id or ""),
            one.note or "",
        ]
        for one in found
    ]
    print_table("", ["at", "kind", "amount", "balance", "order", "note"], rows)


@key_commands.command("make")
def make_key(
    reseller_id: ResellerId,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; several times.")],
    mode: Annotated[Mode, typer.Option(help="Which book it opens.")] = Mode.LIVE,
) -> None:
    """Make a key to a reseller's book and show it, this once."""
    body = checked(OperatorApiKeyCreate, name=name, scopes=scope, mode=mode)
    asyncio.run(_make_key(reseller_id, body))


async def _make_key(reseller_id: str, body: OperatorApiKeyCreate) -> None:
    async with transaction() as (runtime, session):
        reseller = await resellers.get_public(session, reseller_id)
        book = await resellers.book_of(session, reseller.id, body.mode)
        key, minted = await resellers.make_key(
            session, runtime.keys, book, name=body.name, scopes=body.scopes
        )
        public = resellers.public_key_id(key.id)
        await audit.record(
            session,
            actor(),
            "key.create",
            f"reseller:{reseller_id}",
            {"key_id": public, "scopes": sorted(body.scopes), "mode": body.mode},
        )
    print(f"{public}\nkey, shown this once: {minted.text}")


@key_commands.command("list")
def list_keys(reseller_id: ResellerId, limit: Shown = 50) -> None:
    """The keys to both of a reseller's books, newest first; no secret is shown."""
    asyncio.run(_list_keys(reseller_id, limit))


async def _list_keys(reseller_id: str, limit: int) -> None:
    async with transaction() as (_, session):
        reseller = await resellers.get_public(session, reseller_id)
        found = await resellers.keys_of(session, reseller.id, after=None, limit=limit)
    columns = ["id", "name", "book", "ends with", "scopes", "from", "made", "expires", "revoked"]
    print_table("", columns, [_key_row(key, mode) for key, mode in found])


def _key_row(key: ApiKey, mode: Mode) -> list[str]:
    return [
        resellers.public_key_id(key.id),
        key.name,
        mode,
        key.last4,
        " ".join(key.scopes),
        " ".join(key.allowed_cidrs) or "anywhere",
        rfc3339(key.created_at),
        rfc3339(key.expires_at) if key.expires_at else "",
        rfc3339(key.revoked_at) if key.revoked_at else "",
    ]


@key_commands.command("revoke")
def revoke_key(
    reseller_id: ResellerId,
    key_id: Annotated[str, typer.Argument(help="As `keys list` shows it, key_…")],
) -> None:
    """End a key to either book at once; revoking it again changes nothing."""
    asyncio.run(_revoke_key(reseller_id, key_id))


async def _revoke_key(reseller_id: str, key_id: str) -> None:
    async with transaction() as (_, session):
        reseller = await resellers.get_public(session, reseller_id)
        await resellers.revoke_key_of(session, reseller.id, key_id)
        await audit.record(
            session, actor(), "key.revoke", f"reseller:{reseller_id}", {"key_id": key_id}
        )
    print(f"{key_id} is revoked")
