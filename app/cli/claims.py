"""`smmos claims`: the queue of claims, one claim with its facts, and the decisions on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from app.cli.context import actor, transaction
from app.cli.inputs import Shown, checked
from app.cli.output import print_table
from app.core import audit
from app.core.clock import rfc3339
from app.core.crypto import KeyRing
from app.core.db import Session
from app.core.ids import public_id
from app.core.money import Money
from app.core.settings import Settings
from app.files.models import StoredFile
from app.refunds import desk, evidence, service, texts
from app.refunds.deciding import CLAIM_PREFIX
from app.refunds.desk import Sheet
from app.refunds.desk_schemas import ApproveClaim, RefuseClaim, ReopenClaim
from app.refunds.facts import figures_of
from app.refunds.models import Claim, ClaimMessage
from app.refunds.states import ClaimState

commands = typer.Typer()
claim_commands = typer.Typer(help="Refund claims of all resellers.", no_args_is_help=True)
commands.add_typer(claim_commands, name="claims")

ClaimId = Annotated[str, typer.Argument(help="As `claims list` shows it, clm_…")]
Reason = Annotated[str, typer.Option(help="Why; the reseller is told.")]

Decide = Callable[[Session, Settings], Awaitable[Claim]]


@claim_commands.command("list")
def list_claims(
    state: Annotated[
        list[ClaimState] | None,
        typer.Option(help="Only these; several times. By default what waits for a person."),
    ] = None,
    limit: Shown = 50,
) -> None:
    """Claims, the longest due first."""
    asyncio.run(_list(state, limit))


async def _list(states: list[ClaimState] | None, limit: int) -> None:
    async with transaction() as (_, session):
        claims = await desk.queue(session, states=states, limit=limit)
    columns = ["id", "order", "reason", "state", "rule", "refund", "filed", "due"]
    print_table("", columns, [_row(claim) for claim in claims])


def _row(claim: Claim) -> list[str]:
    return [
        public_id(CLAIM_PREFIX, claim.id),
        str(claim.order_id),
        claim.reason,
        claim.state,
        claim.rule,
        "" if claim.refund is None else str(Money(claim.refund)),
        rfc3339(claim.created_at),
        rfc3339(claim.due_at),
    ]


@claim_commands.command("show")
def show_claim(claim_id: ClaimId) -> None:
    """One claim with its facts, what the rules say now, its evidence, and what was said."""
    asyncio.run(_show(claim_id))


async def _show(claim_id: str) -> None:
    async with transaction() as (runtime, session):
        keys, found = runtime.keys, service.id_of(claim_id)
        sheet = await desk.sheet(session, found, time_scale=runtime.settings.time_scale)
        said = await desk.said(session, found)
        files = await evidence.of_claim(session, found)
    _print_sheet(sheet, keys)
    print_table("Evidence", ["name", "type", "bytes", "sha256"], [_file(one) for one in files])
    print_table("Messages", ["at", "from", "text"], [_message(one, keys) for one in said])


def _print_sheet(sheet: Sheet, keys: KeyRing) -> None:
    claim, proposal = sheet.claim, sheet.proposal
    facts: dict[str, Any] = {
        "id": public_id(CLAIM_PREFIX, claim.id),
        "order": claim.order_id,
        "state": claim.state,
        "description": texts.description_of(keys, claim),
        **figures_of(sheet.facts, proposal),
        "the rules say": f"{proposal.outcome}, {proposal.rule} ({proposal.clause})",
        "in words": proposal.words,
        "approved first by": claim.first_approver,
    }
    rows = [[name, "" if value is None else str(value)] for name, value in facts.items()]
    print_table("Claim", ["field", "value"], rows)
    print_table(
        "What happened",
        ["at", "what", "who", "rule", "in words"],
        [[rfc3339(e.at), e.type, e.actor, e.rule or "", e.words] for e in sheet.events],
    )


def _file(file: StoredFile) -> list[str]:
    return [file.name, file.media_type, str(file.size), file.sha256.hex()]


def _message(message: ClaimMessage, keys: KeyRing) -> list[str]:
    body = texts.body_of(keys, message)
    return [rfc3339(message.created_at), message.actor, "" if body is None else body]


@claim_commands.command("approve")
def approve_claim(
    claim_id: ClaimId,
    reason: Reason,
    amount: Annotated[
        str | None, typer.Option(help="Such as 0.25; by default all that is left of the charge.")
    ] = None,
) -> None:
    """Give money back; a large sum takes two operators, over the API with their keys."""
    body = checked(ApproveClaim, amount=amount, reason=reason)

    async def decide(session: Session, settings: Settings) -> Claim:
        return await desk.approve(
            session,
            service.id_of(claim_id),
            amount=body.amount,
            reason=body.reason,
            by=actor(),
            two_above=Money.parse(settings.claim_two_above),
        )

    said = {"reason": body.reason, "amount": amount}
    asyncio.run(_decide("approve", claim_id, said, decide))


@claim_commands.command("refuse")
def refuse_claim(claim_id: ClaimId, reason: Reason) -> None:
    """Close a claim without a refund."""
    body = checked(RefuseClaim, reason=reason)

    async def decide(session: Session, _settings: Settings) -> Claim:
        return await desk.refuse(session, service.id_of(claim_id), reason=body.reason, by=actor())

    asyncio.run(_decide("refuse", claim_id, {"reason": body.reason}, decide))


@claim_commands.command("reopen")
def reopen_claim(claim_id: ClaimId, reason: Reason) -> None:
    """Look at a refused claim anew."""
    body = checked(ReopenClaim, reason=reason)

    async def decide(session: Session, _settings: Settings) -> Claim:
        return await desk.reopen(session, service.id_of(claim_id), reason=body.reason, by=actor())

    asyncio.run(_decide("reopen", claim_id, {"reason": body.reason}, decide))


async def _decide(verb: str, claim_id: str, said: dict[str, Any], decide: Decide) -> None:
    async with transaction() as (runtime, session):
        claim = await decide(session, runtime.settings)
        said = said | {"state": claim.state}
        await audit.record(session, actor(), f"claim.{verb}", f"claim:{claim_id}", said)
    print(f"{claim_id} is {claim.state}: {claim.words}")
