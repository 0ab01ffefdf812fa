"""Claims, cancels and endings at once, with real commits: never more goes back than was paid."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.audit import Actor
from app.core.crypto import KeyRing, new_master_key
from app.core.db import Session
from app.core.errors import AppError
from app.core.money import Money
from app.core.runtime import Runtime
from app.core.settings import Settings
from app.core.work import Lease
from app.orders import canceling, follow
from app.orders import service as orders
from app.orders.follow import Poll
from app.orders.models import Order
from app.orders.states import ENDED, OrderState
from app.providers.protocol import ProviderState
from app.refunds import clock, desk, service
from app.refunds.clock import Heard
from app.refunds.models import Claim
from app.refunds.states import Reason
from tests.fixtures.world import ResellerCaller, World
from tests.orders.conftest import RESELLER, Desk, progress
from tests.orders.conftest import desk as order_desk
from tests.refunds.conftest import WEEK

__all__ = ["order_desk"]

pytestmark = pytest.mark.committing

ORDERS = 40
QUEUED = 8
TWO_ABOVE = Money.parse("100")
OPERATORS = [Actor("operator", f"opr_{n}") for n in range(2)]
SECOND = timedelta(seconds=1)
KEYS = KeyRing([new_master_key()])

Act = Callable[[Session], Awaitable[object]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "pool_size": 20,
            "pool_timeout_seconds": 60,
            "lock_timeout_seconds": 30,
            "statement_timeout_seconds": 60,
        }
    )


async def file(
    session: Session,
    reseller: ResellerCaller,
    order_id: int,
    reason: Reason,
    *,
    time_scale: float = 1.0,
) -> Claim:
    return await service.file(
        session,
        KEYS,
        reseller.book_id,
        order_id,
        reason=reason,
        description="Nothing came.",
        actor=RESELLER,
        time_scale=time_scale,
    )


async def attempt(runtime: Runtime, act: Act) -> str:
    """What became of one of many at once: done, or the code of its refusal.

    A cancel that is asked for while others wait for the order's work may deadlock two of them; the
    database undoes one, and it is run again, as at every edge.
    """
    try:
        await runtime.uow.run(act)
    except AppError as refusal:
        return refusal.code
    return "done"


class Crowd:
    """Everybody who may end an order or give its money back, all at once."""

    def __init__(self, runtime: Runtime, reseller: ResellerCaller, jitter: random.Random) -> None:
        self._runtime = runtime
        self._reseller = reseller
        self._jitter = jitter

    async def decide_due(self) -> list[str]:
        """A worker of claims, whose provider says that 400 of 1000 are left."""
        told: list[str] = []
        await self._pause()
        while True:
            leased = await self._runtime.uow.run(lambda s: clock.lease_due(s, "main"))
            if not leased.refs:
                return told
            told += [await self._decide(leased, ref) for ref in leased.refs]

    async def _decide(self, leased: Lease, ref: str) -> str:
        claim_id = UUID(ref)

        async def question(session: Session) -> object:
            return await clock.last_question(
                session, self._runtime.keys, leased, claim_id, time_scale=1.0
            )

        poll = await self._runtime.uow.run(question)
        said = progress(ProviderState.IN_PROGRESS, remains=400)
        heard = Heard(poll, said, answered=True) if isinstance(poll, Poll) else None

        async def record(session: Session) -> None:
            await clock.decide_due(session, leased, claim_id, heard, time_scale=1.0)

        return await attempt(self._runtime, record)

    async def end(self, poll: Poll) -> str:
        """A worker that follows orders: some are completed, some partial."""

        async def act(session: Session) -> None:
            said = {
                given: progress(ProviderState.COMPLETED)
                if order_id % 2
                else progress(ProviderState.PARTIAL, remains=400, charge_micros=300_000)
                for given, order_id in poll.orders.items()
            }
            await follow.record_answers(session, poll, said)

        return await self._soon(act)

    async def cancel(self, order_id: int) -> str:
        async def act(session: Session) -> Order:
            return await canceling.request(session, order_id, actor=RESELLER, reason="asked")

        return await self._soon(act)

    async def approve(self, claim: Claim, amount: Money | None) -> str:
        async def act(session: Session) -> Claim:
            return await desk.approve(
                session,
                claim.id,
                amount=amount,
                reason="as the evidence shows",
                by=self._jitter.choice(OPERATORS),
                two_above=TWO_ABOVE,
            )

        return await self._soon(act)

    async def claim_again(self, order_id: int) -> str:
        async def act(session: Session) -> Claim:
            return await file(session, self._reseller, order_id, Reason.NOT_DELIVERED)

        return await self._soon(act)

    async def _soon(self, act: Act) -> str:
        await self._pause()
        return await attempt(self._runtime, act)

    async def _pause(self) -> None:
        """So that nobody always comes first."""
        await asyncio.sleep(self._jitter.uniform(0, 1))


@pytest.mark.policy("REF-3")
async def test_two_hundred_claims_cancels_and_endings_never_refund_more_than_was_paid(
    world: World, order_desk: Desk, runtime: Runtime
) -> None:
    provider = await world.provider(in_flight_max=200)
    async with runtime.uow.begin() as session:
        # As a simulator it lets the claims fall due in a second; they can still be filed again.
        await session.execute(text("UPDATE providers SET simulated = true"))
    service_sold = await world.service(routes=[provider], min_quantity=1000, rate="0.90")
    reseller = await world.reseller(balance="100.00")
    ids = await order_desk.place_many(reseller, service_sold, ORDERS - QUEUED)
    await order_desk.submit(provider)
    ids += await order_desk.place_many(reseller, service_sold, QUEUED)
    claims: list[Claim] = []
    for one in ids:
        async with runtime.uow.begin() as session:
            filed = await file(
                session, reseller, one, Reason.NOT_DELIVERED, time_scale=WEEK / SECOND
            )
            claims.append(filed)
    runtime.clock.move(follow.POLL_MIN)
    poll = await order_desk.poll(provider)
    jitter = random.Random(38)
    crowd = Crowd(runtime, reseller, jitter)
    amounts = [None, Money.parse("0.10"), Money.parse("0.60"), Money.parse("0.90")]

    told = await asyncio.gather(
        *(crowd.end(part) for part in poll.parts()),
        *(crowd.cancel(one) for one in ids),
        *(crowd.approve(one, jitter.choice(amounts)) for one in claims),
        *(crowd.approve(one, jitter.choice(amounts)) for one in claims),
        *(crowd.claim_again(one) for one in ids),
        *(crowd.claim_again(one) for one in ids),
        *(crowd.decide_due() for _ in range(3)),
    )

    assert sum(1 if isinstance(one, str) else len(one) for one in told) >= 200
    rows = [await world.row(one) for one in ids]
    assert all(0 <= row.refunded <= row.charge for row in rows)
    assert {OrderState(row.state) for row in rows} <= ENDED
    balance = await world.balance(reseller)
    earned = sum(row.earned for row in rows)
    assert balance.held == Money(0)
    assert balance.available + Money(earned) == Money.parse("100.00")


async def test_of_many_claims_on_one_order_at_once_one_is_open(
    world: World, runtime: Runtime
) -> None:
    reseller = await world.reseller()
    order = await world.order(reseller, await world.service())

    told = await asyncio.gather(
        *(
            attempt(runtime, lambda s: file(s, reseller, order["id"], Reason.NOT_DELIVERED))
            for _ in range(8)
        )
    )

    assert sorted(told) == ["claim-open"] * 7 + ["done"]
    assert await world.count("refund_claims") == 1


async def test_a_claim_decided_by_two_workers_is_paid_once(world: World, runtime: Runtime) -> None:
    reseller = await world.reseller(balance="10.00")
    order = await world.order(reseller, await world.service())
    claim = await runtime.uow.run(lambda s: file(s, reseller, order["id"], Reason.NOT_DELIVERED))
    runtime.clock.move(WEEK)
    leased = await runtime.uow.run(lambda s: clock.lease_due(s, "main"))

    async def decide(session: Session) -> None:
        await clock.decide_due(session, leased, claim.id, None, time_scale=1.0)

    await asyncio.gather(*(attempt(runtime, decide) for _ in range(4)))

    assert (await world.balance(reseller)).available == Money.parse("10.00")
    async with runtime.uow.begin() as session:
        assert (await orders.get(session, order["id"])).state == "canceled"
