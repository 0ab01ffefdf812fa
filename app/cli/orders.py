"""`smmos orders`: look at orders, take one back, say what became of one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.context import actor, transaction
from app.cli.inputs import Reason, Shown, checked
from app.cli.output import print_table
from app.cli.refusals import CommandFailed
from app.core import audit
from app.core.audit import Actor
from app.core.clock import rfc3339
from app.core.db import Session
from app.core.money import Money
from app.orders import canceling, fulfilling, resolving, service, unresolved
from app.orders.fulfilling import ToFulfil
from app.orders.models import Order
from app.orders.operator_schemas import CancelByOperator, ResolveAccepted, ResolveEnded
from app.orders.service import OrderDetail
from app.orders.states import OrderState
from app.orders.unresolved import Unresolved
from app.resellers import service as resellers
from app.supply import service as supply

commands = typer.Typer()
order_commands = typer.Typer(help="Orders of all resellers.", no_args_is_help=True)
commands.add_typer(order_commands, name="orders")

OrderId = Annotated[int, typer.Argument(help="The order number.", min=1)]
ORDER_COLUMNS: Final = [
    "id",
    "state",
    "service",
    "quantity",
    "remains",
    "charge",
    "refunded",
    "placed",
    "why",
]
"""The columns of `order_row`."""


class Outcome(StrEnum):
    """What can have become of an order that hangs between us and a provider."""

    ACCEPTED = "accepted"
    ABSENT = "absent"
    WRITTEN_OFF = "written_off"
    COMPLETED = "completed"
    PARTIAL = "partial"
    CANCELED = "canceled"
    FAILED = "failed"


@order_commands.command("list")
def list_orders(
    state: Annotated[
        list[OrderState] | None, typer.Option(help="Only these; several times.")
    ] = None,
    reseller: Annotated[str | None, typer.Option(help="Only those of its live book, rsl_…")] = None,
    limit: Shown = 50,
) -> None:
    """Orders, newest first."""
    asyncio.run(_list_orders(state or list(OrderState), reseller, limit))


@order_commands.command("unknown")
def list_unknown(limit: Shown = 50) -> None:
    """The orders that hang: what is known of each, and what happens to it when."""
    asyncio.run(_list_unknown(limit))


async def _list_unknown(limit: int) -> None:
    async with transaction() as (runtime, session):
        found = await unresolved.page(
            session,
            after=None,
            limit=limit,
            unknown_hours_max=runtime.settings.unknown_hours_max,
        )
        now = runtime.clock.now()
    columns = ["id", "state", "provider", "charge", "age", "what is known", "what happens"]
    print_table("", columns, [_hanging_row(one, now) for one in found])


def _hanging_row(one: Unresolved, now: datetime) -> list[str]:
    age = int((now - one.since) / timedelta(minutes=1))
    return [
        str(one.order.id),
        one.order.state,
        one.provider or "",
        str(Money(one.order.charge)),
        f"{age // 60} h {age % 60} min",
        "; ".join(f"{kind}: {said}" for kind, said in one.evidence.items()),
        _what_happens(one),
    ]


def _what_happens(one: Unresolved) -> str:
    steps = [] if one.look_at is None else [f"looked for at {rfc3339(one.look_at)}"]
    if one.then_at is None:
        steps.append("waits for your word")
    else:
        steps.append(f"{one.then} at {rfc3339(one.then_at)}")
    return ", ".join(steps)


async def _list_orders(states: Collection[OrderState], reseller: str | None, limit: int) -> None:
    async with transaction() as (_, session):
        book = None if reseller is None else await resellers.live_book(session, reseller)
        found = await service.in_states(
            session, states, book_id=book.id if book else None, limit=limit
        )
    print_table("", ORDER_COLUMNS, [order_row(order) for order in found])


def order_row(order: Order) -> list[str]:
    return [
        str(order.id),
        order.state,
        str(order.service_id),
        str(order.quantity),
        "" if order.remains is None else str(order.remains),
        str(Money(order.charge)),
        str(Money(order.refunded)),
        rfc3339(order.created_at),
        order.reason or order.wait_reason or "",
    ]


@order_commands.command("work-list")
def list_work(limit: Shown = 50) -> None:
    """The orders in progress that people fulfil, oldest first. No link: it is private."""
    asyncio.run(_list_work(limit))


async def _list_work(limit: int) -> None:
    async with transaction() as (runtime, session):
        entries = await fulfilling.work_list(
            session, runtime.keys, opened=False, after=None, limit=limit
        )
    columns = ["id", "service", "quantity", "remains", "placed", "deliver by"]
    print_table("", columns, [_work_row(entry) for entry in entries])


def _work_row(entry: ToFulfil) -> list[str]:
    order = entry.order
    return [
        str(order.id),
        entry.service,
        str(order.quantity),
        "" if order.remains is None else str(order.remains),
        rfc3339(order.created_at),
        rfc3339(order.deliver_by),
    ]


@order_commands.command("show")
def show_order(order_id: OrderId) -> None:
    """One order with its timeline, its attempts and what providers said. No link: it is private."""
    asyncio.run(_show_order(order_id))


async def _show_order(order_id: int) -> None:
    async with transaction() as (_, session):
        detail = await service.detail(session, order_id)
        reseller = await resellers.of_book(session, detail.order.book_id)
    whose = ["reseller", f"{resellers.public_reseller_id(reseller.id)} {reseller.name}"]
    print_table("Order", ["field", "value"], [*_facts(detail.order), whose])
    _print_trail(detail)


def _facts(order: Order) -> list[list[str]]:
    facts = {
        "id": order.id,
        "state": order.state,
        "why": order.reason or order.wait_reason,
        "service": order.service_id,
        "quantity": order.quantity,
        "remains": order.remains,
        "charge": Money(order.charge),
        "held": Money(order.held),
        "earned": Money(order.earned),
        "refunded": Money(order.refunded),
        "provider order": order.provider_order_id,
        "placed": rfc3339(order.created_at),
        "ended": rfc3339(order.ended_at) if order.ended_at else None,
    }
    return [[name, "" if value is None else str(value)] for name, value in facts.items()]


def _print_trail(detail: OrderDetail) -> None:
    print_table(
        "Timeline",
        ["at", "what", "who", "why and what else"],
        [[rfc3339(e.at), e.type, e.actor, in_words(e.data)] for e in detail.events],
    )
    print_table(
        "Attempts",
        ["number", "provider", "service", "cost", "state", "outcome", "sent", "provider order"],
        [
            [
                str(a.number),
                supply.public_provider_id(a.provider_id),
                a.provider_service,
                f"{Money(a.cost_micros)} {a.cost_currency}",
                a.state,
                a.outcome or "",
                rfc3339(a.sending_at) if a.sending_at else "",
                a.provider_order_id or "",
            ]
            for a in detail.attempts
        ],
    )
    print_table(
        "What providers said",
        ["at", "provider order", "answer"],
        [[rfc3339(e.at), e.provider_order_id or "", e.answer] for e in detail.evidence],
    )


def in_words(data: Mapping[str, object]) -> str:
    """What an event carries, as a line to read; what it says nothing of is left out."""
    return ", ".join(f"{name} {value}" for name, value in data.items() if value is not None)


@order_commands.command("cancel")
def cancel_order(order_id: OrderId, reason: Reason) -> None:
    """Take an order back at once, or ask its provider to end it where it has been handed on."""
    asyncio.run(_cancel_order(order_id, checked(CancelByOperator, reason=reason).reason))


async def _cancel_order(order_id: int, reason: str) -> None:
    async with transaction() as (_, session):
        order = await canceling.request(
            session, order_id, actor=actor(), reason="canceled_by_operator"
        )
        await audit.record(
            session, actor(), "order.cancel", f"order:{order_id}", {"reason": reason}
        )
    print_table("Order", ["field", "value"], _facts(order))


@order_commands.command("resolve")
def resolve_order(
    order_id: OrderId,
    outcome: Annotated[Outcome, typer.Argument(help="What you found out.")],
    reason: Reason,
    provider_order_id: Annotated[
        str | None, typer.Option(help="For `accepted`: what the provider calls it.")
    ] = None,
    remains: Annotated[
        int | None, typer.Option(help="For `partial`: what was left undelivered.", min=1)
    ] = None,
    posts: Annotated[
        int | None, typer.Option(help="Of a subscription: how many posts were delivered.", min=1)
    ] = None,
    refunded: Annotated[
        str | None, typer.Option(help="Where units are not counted: what goes back, as 1.50.")
    ] = None,
) -> None:
    """Say what became of an order that hangs; its money moves by what you say."""
    figures = {"remains": remains, "posts": posts, "refunded": refunded}
    told = {name: value for name, value in figures.items() if value is not None}
    asyncio.run(_resolve_order(order_id, outcome, reason, provider_order_id, told))


async def _resolve_order(
    order_id: int,
    outcome: Outcome,
    reason: str,
    provider_order_id: str | None,
    figures: Mapping[str, object],
) -> None:
    said = {"outcome": outcome, "provider_order_id": provider_order_id, **figures}
    reason = checked(CancelByOperator, reason=reason).reason
    async with transaction() as (_, session):
        match outcome:
            case Outcome.ACCEPTED:
                order = await _find(session, order_id, provider_order_id, actor(), reason)
            case Outcome.ABSENT:
                order = await resolving.prove_absent(
                    session, order_id, actor=actor(), reason=reason
                )
            case Outcome.WRITTEN_OFF:
                order = await resolving.write_off(session, order_id, actor=actor(), reason=reason)
            case ended:
                body = checked(ResolveEnded, outcome=ended.value, reason=reason, **figures)
                order = await resolving.settle_by_hand(
                    session, order_id, body.settlement(), actor=actor(), reason=reason
                )
        data = {name: value for name, value in said.items() if value is not None}
        await audit.record(
            session, actor(), "order.resolve", f"order:{order_id}", {**data, "reason": reason}
        )
    print_table("Order", ["field", "value"], _facts(order))


async def _find(
    session: Session, order_id: int, provider_order_id: str | None, by: Actor, reason: str
) -> Order:
    if provider_order_id is None:
        raise CommandFailed(
            "accepted needs --provider-order-id: what the provider calls the order."
        )
    body = checked(
        ResolveAccepted, outcome="accepted", provider_order_id=provider_order_id, reason=reason
    )
    return await resolving.find(
        session, order_id, provider_order_id=body.provider_order_id, actor=by, reason=body.reason
    )
