"""What a worker does to orders, step by step, with the provider's words given by the test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count as count_up
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from app.catalog.models import Service
from app.core import work
from app.core.audit import Actor
from app.core.runtime import Runtime
from app.core.work import WorkRow
from app.orders import dispatch, follow, outcomes, placing, reconciling
from app.orders import service as orders
from app.orders.dispatch import Batch, Handover
from app.orders.follow import Poll
from app.orders.models import Attempt, Order, OrderEvent
from app.orders.pricing import NewOrder
from app.orders.reconciling import Learned, Look
from app.orders.service import RECONCILE
from app.providers.forms import OrderForm
from app.providers.protocol import (
    Accepted,
    Progress,
    ProviderState,
    RefusalKind,
    Refused,
    StatusAnswer,
    SubmitOutcome,
)
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.protection import Closed
from tests.fixtures.world import ResellerCaller, World

RESELLER = Actor("reseller", "key_1")
NOTHING_LEARNED = Learned()

_numbers = count_up(1)

Say = SubmitOutcome | Callable[[Handover], SubmitOutcome]


def accepted(handover: Handover) -> Accepted:
    """The provider takes it, under an id that names our order."""
    return Accepted(f"p{handover.order_id}", '{"order": 1}')


def refused(kind: RefusalKind, **fields: Any) -> Refused:
    return Refused(kind, f"said {kind}", "{}", **fields)


def progress(state: ProviderState, **fields: Any) -> Progress:
    """What a provider says of one order; what the test leaves out was not told."""
    untold: dict[str, Any] = {
        "remains": None,
        "start_count": None,
        "charge_micros": None,
        "currency": "USD",
        "raw_status": str(state),
    }
    return Progress(state, **(untold | fields))


@dataclass(frozen=True, slots=True)
class Desk:
    """Leases, records and looks things up, each in a transaction of its own."""

    runtime: Runtime
    world: World

    async def lease(self, provider: Provider) -> Batch | Closed | None:
        async with self.runtime.uow.begin() as session:
            return await dispatch.lease_batch(
                session, self.runtime.keys, provider.id, time_scale=1.0
            )

    async def send(self, provider: Provider) -> Batch:
        """Lease what is due and come as far as the last commit before the first byte."""
        batch = await self.lease(provider)
        assert isinstance(batch, Batch)
        async with self.runtime.uow.begin() as session:
            marked = await dispatch.mark_sending(session, batch)
        assert set(marked) == set(batch.handovers)
        return batch

    async def record(self, batch: Batch, say: Say) -> None:
        said = {h: say(h) if callable(say) else say for h in batch.handovers}
        async with self.runtime.uow.begin() as session:
            await outcomes.record_outcomes(session, batch, said)

    async def submit(self, provider: Provider, say: Say = accepted) -> Batch:
        """Hand over what is due, and hear this."""
        batch = await self.send(provider)
        await self.record(batch, say)
        return batch

    async def running(
        self,
        provider: Provider,
        service: Service,
        reseller: ResellerCaller | None = None,
        **body: Any,
    ) -> int:
        """An order that the provider has taken."""
        placed = await self.world.order(reseller, service, **body)
        await self.submit(provider)
        order_id: int = placed["id"]
        return order_id

    async def place_many(self, reseller: ResellerCaller, service: Service, count: int) -> list[int]:
        """Orders by the hundred, without a request for each."""
        items = [
            NewOrder(
                service.id,
                OrderForm(
                    link=f"https://example.com/{next(_numbers)}", quantity=service.min_quantity
                ),
            )
            for _ in range(count)
        ]
        async with self.runtime.uow.begin() as session:
            placed = await placing.place_batch(
                session, self.runtime.keys, reseller.book_id, items, actor=RESELLER
            )
        return [one.id for one in placed if isinstance(one, Order)]

    async def poll(self, provider: Provider) -> Poll:
        async with self.runtime.uow.begin() as session:
            poll = await follow.lease_poll(session, self.runtime.keys, provider.id, time_scale=1.0)
        assert isinstance(poll, Poll)
        return poll

    async def answer(self, poll: Poll, said: StatusAnswer | Mapping[int, StatusAnswer]) -> None:
        """Record the answers to a poll: one for all, or one per order."""
        answers = {
            given: said[order_id] if isinstance(said, Mapping) else said
            for given, order_id in poll.orders.items()
        }
        async with self.runtime.uow.begin() as session:
            await follow.record_answers(session, poll, answers)

    async def hear(
        self, provider: Provider, said: StatusAnswer | Mapping[int, StatusAnswer]
    ) -> None:
        """Let the next poll fall due, and hear this."""
        async with self.runtime.uow.begin() as session:
            due = await session.scalar(
                text("SELECT max(due_at) FROM work WHERE kind = 'follow' AND lane = :lane"),
                {"lane": str(provider.id)},
            )
        assert isinstance(due, datetime)
        ahead = due - self.runtime.clock.now()
        if ahead.total_seconds() > 0:
            self.runtime.clock.move(ahead)
        await self.answer(await self.poll(provider), said)

    async def look(
        self, order_id: int, learned: Learned = NOTHING_LEARNED, *, hours: int = 24
    ) -> Look | None:
        """Let the next look for a lost order fall due, and hear this; None when none is promised.

        A person has to look after so many hours.
        """
        promised = (await self.work_of(order_id)).get(RECONCILE)
        if promised is None:
            return None
        async with self.runtime.uow.begin() as session:
            now = self.runtime.clock.now()
            await work.put(session, RECONCILE, str(order_id), lane=promised.lane, due_at=now)
        async with self.runtime.uow.begin() as session:
            look = await reconciling.lease_look(
                session, self.runtime.keys, UUID(promised.lane), time_scale=1.0
            )
        assert look is not None
        for question in look.questions:
            async with self.runtime.uow.begin() as session:
                await reconciling.record_look(
                    session, look, question, learned, unknown_hours_max=hours
                )
        return look

    async def attempts(self, order_id: int) -> Sequence[Attempt]:
        async with self.runtime.uow.begin() as session:
            return (await orders.detail(session, order_id)).attempts

    async def attempt(self, order_id: int) -> Attempt:
        """The only attempt of an order."""
        [attempt] = await self.attempts(order_id)
        return attempt

    async def events(self, order_id: int) -> Sequence[OrderEvent]:
        async with self.runtime.uow.begin() as session:
            return await orders.events(session, order_id, public_only=False, after=0, limit=500)

    async def event_types(self, order_id: int) -> list[str]:
        return [event.type for event in await self.events(order_id)]

    async def work_of(self, order_id: int) -> dict[str, WorkRow]:
        """What is promised for an order, by kind."""
        async with self.runtime.uow.begin() as session:
            rows = await session.scalars(select(WorkRow).where(WorkRow.ref == str(order_id)))
            return {row.kind: row for row in rows}

    async def provider(self, provider: Provider) -> Provider:
        """The provider as it stands now."""
        async with self.runtime.uow.begin() as session:
            return await supply.get(session, provider.id)


@pytest.fixture
def desk(runtime: Runtime, world: World) -> Desk:
    return Desk(runtime, world)
