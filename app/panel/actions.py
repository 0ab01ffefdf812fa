"""Every action of API v2: fields in, the answer's JSON out, to the letter of the wire."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.catalog import service as catalog
from app.catalog.models import Service
from app.core.db import Session
from app.core.errors import AppError, NotFound, Unavailable
from app.core.money import Money
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.orders import canceling, refill_groups, refills
from app.orders import service as orders
from app.orders.refill_states import V1_STATUS as REFILL_STATUS
from app.orders.refill_states import RefillState
from app.panel.adding import add as add_order
from app.panel.reading import number_of
from app.panel.sentences import (
    ORDER_INCORRECT,
    REFILL_NOT_FOUND,
    REQUEST_INCORRECT,
    Refused,
    sentence_of,
)
from app.panel.standing import of_order, of_schedule
from app.panel.words import REFILL_WORD, TYPE_NAME
from app.providers.forms import FORMS, ServiceType
from app.resellers.auth import Caller, Needs
from app.resellers.models import PanelOptions
from app.resellers.scopes import Scope
from app.schedules import overviews
from app.schedules import service as schedules

GROUP: Final = "panel"
IDS_MAX: Final = 100
SERVICES_PER_READ: Final = 1_000
READS_MAX: Final = 100
"""A catalogue that so many reads do not end is a mistake of ours: told, rather than cut off."""

_ECHO_MAX: Final = 20
_SEPARATOR: Final = re.compile(r"[,\s]+")

Json = dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request whose key has been recognised."""

    runtime: Runtime
    caller: Caller
    options: PanelOptions
    fields: Mapping[str, str]

    @property
    def currency(self) -> str:
        return self.runtime.settings.currency


async def services(asked: Asked) -> Json:
    """All that is on sale."""
    found: list[dict[str, Any]] = []
    after: int | None = None
    for _ in range(READS_MAX):
        async with asked.runtime.uow.begin() as session:
            page = await catalog.on_sale_page(session, after=after, limit=SERVICES_PER_READ)
        found += [_service(service) for service in page]
        if len(page) < SERVICES_PER_READ:
            return found[::-1]
        after = page[-1].id
    raise RuntimeError(f"{READS_MAX} reads have not listed all services on sale")


def _service(service: Service) -> dict[str, Any]:
    return {
        "service": service.id,
        "name": service.name,
        "type": TYPE_NAME[ServiceType(service.type)],
        "category": service.category,
        "rate": str(Money(service.rate_micros)),
        "min": str(service.min_quantity),
        "max": str(service.max_quantity),
        "refill": service.refill,
        "cancel": service.cancel,
        "dripfeed": FORMS[ServiceType(service.type)].repeats,
        "description": service.description,
    }


async def add(asked: Asked) -> Json:
    """Place an order."""
    number = await add_order(asked.runtime, asked.caller, asked.options, asked.fields)
    return {"order": number}


async def status(asked: Asked) -> Json:
    """Where orders stand: of one its figures, of several an object by their ids."""
    ids, is_list = _ids(asked, "order", "orders")
    numbers = {number for text in ids if (number := number_of(text)) is not None}
    found = await _standings(asked, numbers)
    told = {text: found.get(number_of(text) or 0, {"error": ORDER_INCORRECT}) for text in ids}
    if is_list:
        return told
    [one] = told.values()
    return one


async def _standings(asked: Asked, numbers: set[int]) -> dict[int, dict[str, str]]:
    """Those of the numbers that are this book's: orders, and what is none of them, schedules."""
    runtime, book_id = asked.runtime, asked.caller.book_id
    async with runtime.uow.begin() as session:
        placed = await orders.find_many_in_book(session, book_id, numbers)
        others = [
            schedule
            for number in sorted(numbers - placed.keys())
            if (schedule := await schedules.find_in_book(session, book_id, number)) is not None
        ]
        seen = await overviews.overviews(session, runtime.keys, others) if others else []
    found = {number: of_order(order, asked.currency) for number, order in placed.items()}
    return found | {one.schedule.id: of_schedule(one, asked.currency) for one in seen}


async def refill(asked: Asked) -> Json:
    """Ask for refills: of one order a text id, of several an array with number ids."""
    ids, is_list = _ids(asked, "order", "orders")

    async def one(session: Session, number: int) -> int:
        book_id, actor = asked.caller.book_id, asked.caller.actor
        if await schedules.find_in_book(session, book_id, number) is not None:
            return (await refill_groups.request(session, number, actor=actor)).id
        return (await refills.request(session, book_id, number, actor=actor)).id

    if not is_list:
        return {"refill": str(await _each(asked, ids[0], one))}
    return [{"order": _shown(text), "refill": await _told(asked, text, one)} for text in ids]


async def refill_status(asked: Asked) -> Json:
    """Where refills stand."""
    ids, is_list = _ids(asked, "refill", "refills")
    async with asked.runtime.uow.begin() as session:
        words = {text: await _refill_word(session, asked.caller, text) for text in ids}
    if is_list:
        return [
            {"refill": _shown(text), "status": word or {"error": REFILL_NOT_FOUND}}
            for text, word in words.items()
        ]
    [word] = words.values()
    if word is None:
        raise Refused(REFILL_NOT_FOUND)
    return {"status": word}


async def _refill_word(session: Session, caller: Caller, text: str) -> str | None:
    number = number_of(text)
    if number is None:
        return None
    found = await refills.find_in_book(session, caller.book_id, number)
    if found is not None:
        return REFILL_WORD[REFILL_STATUS[RefillState(found.state)]]
    try:
        group = await refill_groups.get_in_book(session, caller.book_id, number)
    except NotFound:
        return None
    return REFILL_WORD[group.status]


async def cancel(asked: Asked) -> Json:
    """Ask to end orders; `1` says that it was asked, and the order's status what came of it."""
    ids, _ = _ids(asked, "order", "orders")

    async def one(session: Session, number: int) -> int:
        caller = asked.caller
        if await schedules.find_in_book(session, caller.book_id, number) is not None:
            await schedules.cancel(session, caller.book_id, number, actor=caller.actor)
            return 1
        order = await orders.get_in_book(session, caller.book_id, number)
        await canceling.request(
            session, order.id, actor=caller.actor, reason="canceled_by_reseller"
        )
        return 1

    return [{"order": _shown(text), "cancel": await _told(asked, text, one)} for text in ids]


async def balance(asked: Asked) -> Json:
    """What can be spent."""
    async with asked.runtime.uow.begin() as session:
        has = await ledger.balance(session, asked.caller.book_id)
    return {"balance": str(has.available), "currency": asked.currency}


def _ids(asked: Asked, single: str, several: str) -> tuple[list[str], bool]:
    """The ids that are asked about, and whether as a list; more than 100 are never cut short."""
    text = asked.fields.get(several, asked.fields.get(single, "")).strip(" ,\r\n\t")
    is_list = several in asked.fields or bool(_SEPARATOR.search(text))
    ids = list(dict.fromkeys(_SEPARATOR.split(text))) if text else []
    if not ids or len(ids) > IDS_MAX:
        raise Refused(REQUEST_INCORRECT)
    return ids, is_list


def _shown(text: str) -> int | str:
    number = number_of(text)
    return text[:_ECHO_MAX] if number is None else number


One = Callable[[Session, int], Awaitable[int]]


async def _each(asked: Asked, text: str, one: One) -> int:
    """Do it for one order, in a transaction of its own. Raises Refused for an id that is none."""
    number = number_of(text)
    if number is None:
        raise Refused(ORDER_INCORRECT)
    try:
        return await asked.runtime.uow.run(lambda session: one(session, number))
    except NotFound as error:
        raise Refused(ORDER_INCORRECT) from error


async def _told(asked: Asked, text: str, one: One) -> int | dict[str, str]:
    """The same in a list, where a refusal is that id's own answer."""
    try:
        return await _each(asked, text, one)
    except Refused as refused:
        return {"error": refused.sentence}
    except Unavailable:
        raise
    except AppError as error:
        return {"error": sentence_of(error)}


@dataclass(frozen=True, slots=True)
class Action:
    """What an action does, and what it needs of a key."""

    run: Callable[[Asked], Awaitable[Json]]
    needs: Needs


_READS: Final = Needs(Scope.ORDERS_READ, GROUP, winds_down=True)
_PLACES: Final = Needs(Scope.ORDERS_WRITE, GROUP, winds_down=False)
_WINDS_DOWN: Final = Needs(Scope.ORDERS_WRITE, GROUP, winds_down=True)

ACTIONS: Final[Mapping[str, Action]] = {
    "services": Action(services, _READS),
    "add": Action(add, _PLACES),
    "status": Action(status, _READS),
    "refill": Action(refill, _WINDS_DOWN),
    "refill_status": Action(refill_status, _READS),
    "cancel": Action(cancel, _WINDS_DOWN),
    "balance": Action(balance, _READS),
}
