"""A machine that does to orders and money whatever can be done to them, in any order.

Every step calls the product's own verb on a real database. A model beside it reckons what must have
become of every order and every micro. After each step both must agree; at the end of each play,
and after each step of a deep run, the ledger check must find nothing.

More of it: `pytest tests/model --hypothesis-profile=deep`.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import AppError, InvalidInput
from app.core.money import Money
from app.core.settings import Settings
from app.core.work import Lease
from app.ledger import service as ledger
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders import (
    canceling,
    dispatch,
    follow,
    holding,
    outcomes,
    placing,
    resolving,
    runs,
    sweeping,
)
from app.orders import service as orders
from app.orders.dispatch import Batch
from app.orders.errors import (
    OrderNotCancelable,
    OrderStateConflict,
    ProviderOrderTaken,
    TooEarlyToProve,
)
from app.orders.follow import Poll
from app.orders.hand_settlement import Settlement
from app.orders.judging import ABSENCE_AFTER
from app.orders.models import Order
from app.orders.pricing import NewOrder, Repeat
from app.orders.states import ENDED, OrderState
from app.providers.forms import OrderForm, ServiceType
from app.providers.protocol import (
    Accepted,
    IdUnknown,
    NotSent,
    Progress,
    ProviderState,
    RefusalKind,
    Refused,
    SubmitOutcome,
    Unconfirmed,
)
from app.schedules import service as schedules
from app.schedules.errors import OrderNotPausable, OrderNotResumable
from app.schedules.starting import SCHEDULE, start_due
from app.schedules.states import ScheduleState
from app.supply import pausing
from tests.fixtures.looking import look_for
from tests.fixtures.profiles import is_deep, machine_settings
from tests.model.books import Books, Bought, Plan, final, price
from tests.model.stage import OPENING, Play, Stage, raised

S = OrderState
ACTOR = Actor("operator", "opr_model")
UNRESOLVED = {S.UNKNOWN, S.NEEDS_REVIEW}
ONE_ID = "the-same-for-all"
COST_OF_A_PACKAGE = 500_000
PROVIDER_OF = (0, 1, 1)
"""Which of the two providers delivers each of the three services."""

SUBMIT_WORDS: dict[str, SubmitOutcome] = {
    "lost": Unconfirmed("ReadTimeout"),
    "not sent": NotSent("ConnectError"),
    "withheld": NotSent("SendWithheld", ours=True),
    "refused": Refused(RefusalKind.PERMANENT, "no", "{}"),
    "busy": Refused(RefusalKind.LINK_BUSY, "busy", "{}"),
    "too many": Refused(RefusalKind.RATE_LIMITED, "slow down", "{}", retry_after_seconds=60.0),
    "no funds": Refused(RefusalKind.NO_FUNDS, "no funds", "{}"),
    "unseen": Refused(RefusalKind.UNSEEN, "??", "{}"),
}
AFTER: dict[str, OrderState] = {
    "lost": S.UNKNOWN,
    "unseen": S.NEEDS_REVIEW,
} | dict.fromkeys(("not sent", "withheld", "busy", "too many", "no funds"), S.QUEUED)
submit_words = st.sampled_from([*["taken"] * 3, "taken under an id in use", *SUBMIT_WORDS])
some_submit_words = st.lists(submit_words, min_size=1, max_size=4)
told_tenths = st.one_of(st.none(), st.integers(-1, 11))
poll_words = st.tuples(
    st.sampled_from(
        [
            ProviderState.IN_PROGRESS,
            ProviderState.COMPLETED,
            ProviderState.PARTIAL,
            ProviderState.CANCELED,
            ProviderState.FAILED,
            None,
        ]
    ),
    told_tenths,
    st.sampled_from([None, 0, 123_457, COST_OF_A_PACKAGE]),
)


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A batch that was marked as sending, and whose answers are yet to come."""

    batch: Batch


class Platform(RuleBasedStateMachine):
    """Two resellers, two providers, three services; nobody plays fair."""

    placed: Bundle[int] = Bundle("placed")
    planned: Bundle[int] = Bundle("planned")
    calls: Bundle[UnderWay] = Bundle("calls")

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.props = stage.props
        self.play: Play = stage.play()
        self.books = Books(
            dict.fromkeys(self.props.books, OPENING), dict.fromkeys(self.props.books, True)
        )
        self.numbers = count(1)

    def teardown(self) -> None:
        try:
            self.check_the_ledger()
        finally:
            self.play.end()

    def has(self, *states: OrderState) -> bool:
        """Whether a step that needs such an order would do anything but be refused."""
        return any(order.state in states for order in self.books.orders.values())

    # --- resellers -----------------------------------------------------------------------------

    @initialize(
        target=placed,
        quantities=st.lists(st.integers(10, 900), min_size=6, max_size=6),
        words=some_submit_words,
    )
    def begin(self, quantities: list[int], words: list[str]) -> MultipleResults[int]:
        """Orders that have come different ways already: a play is short and has some rules only."""
        made = [
            order_id
            for number, quantity in enumerate(quantities)
            for order_id in self._place(number % 2, number % 3, quantity)
        ]
        for provider in range(2):
            self.hand_over(provider, words)
        made += self._place(0, 0, 100)
        return multiple(*made)

    @initialize(target=planned, quantity=st.integers(10, 400))
    def begin_a_plan(self, quantity: int) -> MultipleResults[int]:
        return multiple(*self._plan(1, 1, quantity, 3))

    @rule(
        target=placed,
        book=st.integers(0, 1),
        service=st.integers(0, 2),
        quantity=st.integers(10, 3_000),
    )
    def place(self, book: int, service: int, quantity: int) -> MultipleResults[int]:
        return multiple(*self._place(book, service, quantity))

    def _place(self, book: int, service: int, quantity: int) -> list[int]:
        owner, sold = self.props.books[book], self.props.services[service]
        is_package = sold.type == ServiceType.PACKAGE
        bought = 1 if is_package else quantity
        charge = price(sold.rate_micros, bought, sold.price_unit)
        form = OrderForm(link=self._link(), quantity=None if is_package else quantity)
        item = NewOrder(sold.id, form)
        answer = self.play.attempt(
            lambda session: placing.place(session, self.play.runtime.keys, owner, item, actor=ACTOR)
        )
        if not self._may_take(owner, charge, answer):
            return []
        assert isinstance(answer, Order)
        self.books.orders[answer.id] = Bought(
            owner,
            charge,
            units=None if is_package else quantity,
            cost=price(COST_OF_A_PACKAGE, bought, sold.price_unit),
            provider=PROVIDER_OF[service],
        )
        return [answer.id]

    def _may_take(self, book: UUID, charge: int, answer: object) -> bool:
        """Take it in the model too, where it can be; else it must have been refused for that."""
        if not self.books.spendable[book]:
            assert isinstance(answer, SpendingStopped)
            return False
        if charge > self.books.available[book]:
            assert isinstance(answer, InsufficientFunds)
            return False
        self.books.take(book, charge)
        return True

    @rule(order_id=placed)
    def cancel(self, order_id: int) -> None:
        answer = self.play.attempt(
            lambda session: canceling.request(session, order_id, actor=ACTOR, reason="model")
        )
        self._canceled(order_id, refused=isinstance(answer, OrderNotCancelable))

    def _canceled(self, order_id: int, *, refused: bool) -> None:
        order = self.books.orders[order_id]
        match order.state:
            case S.QUEUED | S.ON_HOLD:
                assert not refused
                self.books.end(order_id, S.CANCELED, order.charge)
            case S.IN_PROGRESS:
                assert not refused  # its provider will be asked; no money moves by that
            case _:
                assert refused

    # --- operators -----------------------------------------------------------------------------

    @rule(book=st.integers(0, 1), micros=st.integers(-3_000_000, 3_000_000), again=st.booleans())
    def credit(self, book: int, micros: int, again: bool) -> None:
        owner, credit_id = self.props.books[book], uuid5(UUID(int=0), str(next(self.numbers)))
        if not micros:
            return
        for times in range(2 if again else 1):
            answer = self.play.attempt(
                lambda session: ledger.credit(
                    session, owner, Money(micros), credit_id=credit_id, note="model"
                )
            )
            if self.books.available[owner] + micros < 0 and not times:
                assert isinstance(answer, InsufficientFunds)
                return
            self.books.available[owner] += 0 if times else micros
            assert answer == Money(self.books.available[owner])

    @rule(book=st.integers(0, 1), spendable=st.booleans())
    def let_spend(self, book: int, spendable: bool) -> None:
        owner = self.props.books[book]
        self.play.do(lambda session: ledger.set_spendable(session, owner, spendable=spendable))
        self.books.spendable[owner] = spendable

    @rule(order_id=placed, source=st.sampled_from(["operator", "case"]))
    def hold(self, order_id: int, source: str) -> None:
        answer = self.play.attempt(
            lambda session: holding.put_on_hold(
                session, order_id, source=source, source_id="1", reason="model", actor=ACTOR
            )
        )
        order = self.books.orders[order_id]
        may = order.state in {S.QUEUED, S.ON_HOLD}
        assert isinstance(answer, OrderStateConflict) is not may
        if may:
            order.state = S.ON_HOLD

    @precondition(lambda self: self.has(S.ON_HOLD))
    @rule(order_id=placed, source=st.sampled_from(["operator", "case"]))
    def release(self, order_id: int, source: str) -> None:
        answer = self.play.attempt(
            lambda session: holding.release_hold(session, order_id, source=source, actor=ACTOR)
        )
        order = self.books.orders[order_id]
        assert isinstance(answer, OrderStateConflict) is (order.state is not S.ON_HOLD)
        if isinstance(answer, Order):
            assert answer.state in {S.QUEUED, S.ON_HOLD}  # another source may hold it still
            order.state = S(answer.state)

    @rule(provider=st.integers(0, 1))
    def resume_provider(self, provider: int) -> None:
        provider_id = self.props.providers[provider].id
        self.play.do(lambda session: pausing.resume(session, provider_id))

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(order_id=placed, id_in_use=st.booleans())
    def find(self, order_id: int, id_in_use: bool) -> None:
        given = ONE_ID if id_in_use else f"found-{next(self.numbers)}"
        answer = self.play.attempt(
            lambda session: resolving.find(
                session, order_id, provider_order_id=given, actor=ACTOR, reason="model"
            )
        )
        order = self.books.orders[order_id]
        if order.state not in UNRESOLVED:
            assert isinstance(answer, OrderStateConflict)
        elif self.books.is_taken(given, besides=order):
            assert isinstance(answer, ProviderOrderTaken)
        else:
            assert isinstance(answer, Order)
            order.state, order.given = S.IN_PROGRESS, given
            assert order.attempt is not None
            self.books.said_ids[order.attempt] = (order.provider, given)

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(order_id=placed, wait=st.booleans())
    def prove_absent(self, order_id: int, wait: bool) -> None:
        if wait:
            self.play.clock.move(ABSENCE_AFTER)
        answer = self.play.attempt(
            lambda session: resolving.prove_absent(session, order_id, actor=ACTOR, reason="model")
        )
        order = self.books.orders[order_id]
        if order.state not in UNRESOLVED or self.books.has_id(order):
            assert isinstance(answer, OrderStateConflict)
        elif wait:
            assert isinstance(answer, Order)
        if isinstance(answer, Order):
            order.state, order.lease, order.attempt = S.QUEUED, None, None
        else:
            assert isinstance(answer, OrderStateConflict | TooEarlyToProve)

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(order_id=placed)
    def write_off(self, order_id: int) -> None:
        answer = self.play.attempt(
            lambda session: resolving.write_off(session, order_id, actor=ACTOR, reason="model")
        )
        order = self.books.orders[order_id]
        if order.state in UNRESOLVED:
            assert isinstance(answer, Order)
            self.books.end(order_id, S.CANCELED, order.charge)
        else:
            assert isinstance(answer, OrderStateConflict)

    @precondition(lambda self: self.has(S.NEEDS_REVIEW))
    @rule(order_id=placed, ending=st.sampled_from(sorted(ENDED)), tenths=told_tenths)
    def settle_by_hand(self, order_id: int, ending: OrderState, tenths: int | None) -> None:
        order = self.books.orders[order_id]
        remains = None if tenths is None else (order.units or 10) * tenths // 10
        settlement = Settlement(ending, remains)
        answer = self.play.attempt(
            lambda session: resolving.settle_by_hand(
                session, order_id, settlement, actor=ACTOR, reason="model"
            )
        )
        if order.state is not S.NEEDS_REVIEW:
            assert isinstance(answer, OrderStateConflict)
        elif remains is not None and ending is not S.PARTIAL:
            assert isinstance(answer, InvalidInput)
        elif ending is S.COMPLETED:
            self.books.end(order_id, ending, 0)
        elif ending is not S.PARTIAL:
            self.books.end(order_id, ending, order.charge)
        elif order.units is None or remains is None or not 0 < remains < order.units:
            assert isinstance(answer, InvalidInput)
        else:
            self.books.end(order_id, ending, order.charge * remains // order.units)

    # --- workers -------------------------------------------------------------------------------

    @precondition(lambda self: self.has(S.QUEUED))
    @rule(target=calls, provider=st.integers(0, 1))
    def send(self, provider: int) -> MultipleResults[UnderWay]:
        """Take what is due, and come as far as the wire."""
        batch = self._take(provider)
        if batch is None:
            return multiple()
        self._mark_sending(batch)
        return multiple(UnderWay(batch))

    @precondition(lambda self: self.has(S.QUEUED))
    @rule(provider=st.integers(0, 1))
    def take_and_die(self, provider: int) -> None:
        self._take(provider)

    @precondition(lambda self: self.has(S.QUEUED))
    @rule(provider=st.integers(0, 1), words=some_submit_words)
    def hand_over(self, provider: int, words: list[str]) -> None:
        batch = self._take(provider)
        if batch is not None:
            self._mark_sending(batch)
            self._hear(batch, words)

    @rule(call=consumes(calls), words=some_submit_words)
    def hear(self, call: UnderWay, words: list[str]) -> None:
        """The provider answers, perhaps long after somebody else has judged the orders."""
        self._hear(call.batch, words)

    def _take(self, provider: int) -> Batch | None:
        keys, provider_id = self.play.runtime.keys, self.props.providers[provider].id
        batch = self.play.do(
            lambda session: dispatch.lease_batch(session, keys, provider_id, time_scale=1.0)
        )
        if not isinstance(batch, Batch):
            return None
        for handover in batch.handovers:
            order = self.books.orders[handover.order_id]
            assert order.state is S.QUEUED
            order.state, order.lease = S.SUBMITTING, batch.lease.token
            order.attempt = handover.attempt_id
        return batch

    def _mark_sending(self, batch: Batch) -> None:
        marked = self.play.do(lambda session: dispatch.mark_sending(session, batch))
        assert set(marked) == set(batch.handovers)

    def _hear(self, batch: Batch, words: list[str]) -> None:
        handovers = sorted(batch.handovers, key=lambda handover: handover.order_id)
        said = {h: words[n % len(words)] for n, h in enumerate(handovers)}
        outcome = {h: self._outcome(word) for h, word in said.items()}
        ids = {h: o.provider_order_id for h, o in outcome.items() if isinstance(o, Accepted)}
        for handover, given in ids.items():
            provider = self.books.orders[handover.order_id].provider
            self.books.said_ids[handover.attempt_id] = (provider, given)
        self.play.do(lambda session: outcomes.record_outcomes(session, batch, outcome))
        times = Counter(ids.values())
        for handover, word in said.items():
            order = self.books.orders[handover.order_id]
            if order.state is not S.SUBMITTING or order.lease != batch.lease.token:
                continue  # the sweeper was there first
            if word == "refused":
                self.books.end(handover.order_id, S.FAILED, order.charge)
            elif handover in ids:
                given = ids[handover]
                doubtful = times[given] > 1 or self.books.is_in_use(given, besides=order)
                order.state = S.UNKNOWN if doubtful else S.IN_PROGRESS
                order.given = None if doubtful else given
            else:
                order.state = AFTER[word]

    def _outcome(self, word: str) -> SubmitOutcome:
        match word:
            case "taken":
                return Accepted(f"p{next(self.numbers)}", "{}")
            case "taken under an id in use":
                return Accepted(ONE_ID, "{}")
            case _:
                return SUBMIT_WORDS[word]

    @precondition(lambda self: self.has(S.SUBMITTING))
    @rule()
    def sweep(self) -> None:
        """Every worker that had something is dead: what it may have sent is unknown now."""

        async def lose_and_sweep(session: Session) -> set[UUID]:
            await session.execute(
                text(
                    "UPDATE work SET lease_until = clock_timestamp() - interval '1 second'"
                    " WHERE lease_token IS NOT NULL AND kind = 'dispatch'"
                )
            )
            rows = await session.scalars(text("SELECT id FROM attempts WHERE state = 'sending'"))
            sending = set(rows)
            await sweeping.sweep_dispatch(session)
            return sending

        sending = self.play.do(lose_and_sweep)
        for order in self.books.orders.values():
            if order.state is S.SUBMITTING:
                order.state = S.UNKNOWN if order.attempt in sending else S.QUEUED

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(order_id=placed)
    def reconcile(self, order_id: int) -> None:
        keys, order = self.play.runtime.keys, self.books.orders[order_id]

        async def look(session: Session) -> None:
            provider_id = self.props.providers[order.provider].id
            await look_for(session, keys, order_id, provider_id, unknown_hours_max=24)

        self.play.do(look)
        now = self._state_of(order_id)
        if order.state in UNRESOLVED:
            assert now in {order.state, S.NEEDS_REVIEW, S.IN_PROGRESS}
            # Only what the provider itself said to this attempt finds an order.
            assert now is not S.IN_PROGRESS or self.books.has_id(order)
            if now is S.IN_PROGRESS and order.attempt is not None:
                _, order.given = self.books.said_ids[order.attempt]
            order.state = now

    @precondition(lambda self: self.has(S.IN_PROGRESS))
    @rule(provider=st.integers(0, 1), words=st.lists(poll_words, min_size=1, max_size=4))
    def poll(self, provider: int, words: list[tuple[Any, int | None, int | None]]) -> None:
        self.play.clock.move(timedelta(minutes=16))
        keys, provider_id = self.play.runtime.keys, self.props.providers[provider].id
        poll = self.play.do(
            lambda session: follow.lease_poll(session, keys, provider_id, time_scale=1.0)
        )
        if not isinstance(poll, Poll):
            return
        said: dict[int, Progress | IdUnknown] = {}
        for number, order_id in enumerate(sorted(poll.orders.values())):
            order = self.books.orders[order_id]
            # One that was written off is listened to, where a late answer told its id.
            assert order.state in {S.IN_PROGRESS, S.CANCELED}
            said[order_id] = _told(order, *words[number % len(words)])
        answers = {given: said[order_id] for given, order_id in poll.orders.items()}
        self.play.do(lambda session: follow.record_answers(session, poll, answers))
        for order_id, answer in said.items():
            order = self.books.orders[order_id]
            if order.state in ENDED:
                continue
            end = final(order, answer) if isinstance(answer, Progress) else None
            if end is not None:
                self.books.end(order_id, *end)
            else:
                order.state = self._state_of(order_id)
                assert order.state in {S.IN_PROGRESS, S.NEEDS_REVIEW}

    # --- drip-feeds ----------------------------------------------------------------------------

    @rule(
        target=planned,
        book=st.integers(0, 1),
        service=st.integers(0, 1),
        quantity=st.integers(10, 400),
        times=st.integers(2, 7),
    )
    def plan(self, book: int, service: int, quantity: int, times: int) -> MultipleResults[int]:
        return multiple(*self._plan(book, service, quantity, times))

    def _plan(self, book: int, service: int, quantity: int, times: int) -> list[int]:
        owner, sold = self.props.books[book], self.props.services[service]
        item = NewOrder(
            sold.id,
            OrderForm(link=self._link(), quantity=quantity),
            repeat=Repeat(runs=times, interval_minutes=60),
        )
        answer = self.play.attempt(
            lambda session: schedules.place(
                session, self.play.runtime.keys, owner, item, actor=ACTOR
            )
        )
        charge = price(sold.rate_micros, quantity * times, sold.price_unit)
        if not self._may_take(owner, charge, answer):
            return []
        assert not isinstance(answer, AppError)
        self.books.plans[answer.id] = Plan(owner, charge, quantity, times, PROVIDER_OF[service])
        return [answer.id]

    @precondition(lambda self: any(plan.held for plan in self.books.plans.values()))
    @rule(target=placed)
    def run_what_is_due(self) -> MultipleResults[int]:
        self.play.clock.move(timedelta(minutes=61))
        lease = self.play.do(
            lambda session: work.lease(
                session, SCHEDULE, work.MAIN_LANE, limit=9, in_flight_max=9, seconds=60
            )
        )
        begun = []
        for ref in lease.refs:
            self._start_due(lease, ref)
            plan = self.books.plans[int(ref)]
            assert plan.state is ScheduleState.ACTIVE
            if self.books.spendable[plan.book]:
                begun.append(self._run_begun(int(ref), plan))
        return multiple(*begun)

    def _start_due(self, lease: Lease, ref: str) -> None:
        keys = self.play.runtime.keys
        self.play.do(lambda session: start_due(session, keys, lease, ref, time_scale=1.0))

    def _run_begun(self, plan_id: int, plan: Plan) -> int:
        [run] = self.play.do(
            lambda session: runs.page(session, plan_id, after=plan.started, limit=9)
        )
        self.books.orders[run.id] = Bought(
            plan.book,
            plan.next_share(),
            units=plan.quantity,
            cost=0,
            provider=plan.provider,
            plan=plan_id,
        )
        plan.started += 1
        if plan.started == plan.runs:
            plan.state = ScheduleState.PLACED
        return run.id

    @rule(plan_id=planned)
    def pause(self, plan_id: int) -> None:
        plan = self.books.plans[plan_id]
        answer = self.play.attempt(
            lambda session: schedules.pause(session, plan.book, plan_id, actor=ACTOR)
        )
        may = plan.state in {ScheduleState.ACTIVE, ScheduleState.PAUSED}
        assert isinstance(answer, OrderNotPausable) is not may
        if may:
            plan.state = ScheduleState.PAUSED

    @rule(plan_id=planned)
    def resume(self, plan_id: int) -> None:
        plan = self.books.plans[plan_id]
        answer = self.play.attempt(
            lambda session: schedules.resume(session, plan.book, plan_id, actor=ACTOR)
        )
        may = plan.state in {ScheduleState.ACTIVE, ScheduleState.PAUSED}
        assert isinstance(answer, OrderNotResumable) is not may
        if may:
            plan.state = ScheduleState.ACTIVE

    @rule(plan_id=planned)
    def cancel_plan(self, plan_id: int) -> None:
        plan = self.books.plans[plan_id]
        answer = self.play.attempt(
            lambda session: schedules.cancel(session, plan.book, plan_id, actor=ACTOR)
        )
        cancelable = [
            order_id
            for order_id, order in self.books.orders.items()
            if order.plan == plan_id and order.state in {S.QUEUED, S.ON_HOLD, S.IN_PROGRESS}
        ]
        is_over = plan.state in {ScheduleState.PLACED, ScheduleState.CANCELED}
        assert isinstance(answer, OrderNotCancelable) is (is_over and not cancelable)
        for order_id in cancelable:
            self._canceled(order_id, refused=False)
        if not is_over:
            plan.refunded = plan.unrun
            self.books.available[plan.book] += plan.unrun
            plan.state = ScheduleState.CANCELED

    # --- what must hold ------------------------------------------------------------------------

    @invariant()
    def every_order_and_every_micro_is_where_it_must_be(self) -> None:
        now = self.play.do(_everything)
        assert now.orders == {
            order_id: (str(one.state), one.charge, one.held, one.earned, one.refunded, 0)
            for order_id, one in self.books.orders.items()
        }
        assert now.wallets == {
            book: (self.books.available[book], self.books.held(book)) for book in self.props.books
        }
        assert sum(total.micros for total in now.totals.values()) == 0
        assert now.totals.get("revenue", Money(0)).micros == self.books.earned

    @invariant()
    def the_ledger_check_finds_nothing(self) -> None:
        if is_deep():
            self.check_the_ledger()

    def check_the_ledger(self) -> None:
        assert self.play.do(ledger.violations) == []

    def _state_of(self, order_id: int) -> OrderState:
        return S(self.play.do(lambda session: orders.get(session, order_id)).state)

    def _link(self) -> str:
        return f"https://example.com/model/{next(self.numbers)}"


@dataclass(frozen=True, slots=True)
class Everything:
    """All that the model reckons too, as the database has it."""

    orders: dict[int, tuple[str, int, int, int, int, int]]
    wallets: dict[UUID, tuple[int, int]]
    totals: dict[str, Money]


async def _everything(session: Session) -> Everything:
    orders_now = await session.execute(
        text("SELECT id, state, charge, held, earned, refunded, forfeited FROM orders")
    )
    wallets = await session.execute(
        text("SELECT book_id, balance, held FROM accounts WHERE kind = 'wallet'")
    )
    return Everything(
        {number: (*rest,) for number, *rest in orders_now},
        {book_id: (balance, held) for book_id, balance, held in wallets},
        await ledger.trial_balance(session),
    )


def _told(
    order: Bought, state: ProviderState | None, tenths: int | None, charge: int | None
) -> Progress | IdUnknown:
    """What the provider says of it; None is that it does not know the order."""
    if state is None:
        return IdUnknown()
    remains = None if tenths is None else (order.units or 10) * tenths // 10
    return Progress(state, remains, None, charge, "USD", raw_status=str(state))


@pytest.mark.timeout(7_200 if is_deep() else 120)
def test_whatever_is_done_in_whatever_order_every_micro_is_where_it_must_be(
    settings: Settings,
) -> None:
    with raised(settings) as stage:

        class OnThisStage(Platform):
            def __init__(self) -> None:
                super().__init__(stage)

        run_state_machine_as_test(OnThisStage, settings=machine_settings(examples=10, steps=30))
