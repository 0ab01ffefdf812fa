"""A machine that loses orders in every way, and looks for them in every way, beside an oracle.

What providers took stands outside the database: answers are lost or late, workers are cut off,
people resolve orders (and may be wrong), and the database is restored to an older copy of itself.
After each step no order was taken twice, none that was taken is forgotten or paid back on a guess,
and every micro is where it must be.

More of it: `pytest tests/model --hypothesis-profile=deep`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncTransaction

from app.catalog.models import OnUnknown
from app.core import work
from app.core.audit import Actor
from app.core.db import Session
from app.core.errors import AppError
from app.core.money import Money
from app.core.settings import Settings
from app.ledger import service as ledger
from app.ledger.service import Violation
from app.orders import (
    canceling,
    dispatch,
    follow,
    holding,
    outcomes,
    placing,
    provider_lists,
    reconciling,
    resolving,
    restored,
    sweeping,
)
from app.orders.dispatch import Batch, Handover
from app.orders.errors import OrderStateConflict
from app.orders.follow import Poll
from app.orders.hand_settlement import Settlement
from app.orders.models import Order
from app.orders.pricing import NewOrder
from app.orders.reconciling import Learned, Look
from app.orders.service import DISPATCH, FOLLOW, RECONCILE
from app.orders.states import ENDED, OrderState
from app.providers.forms import OrderForm
from app.providers.protocol import (
    Accepted,
    NotSent,
    ProviderBalance,
    ProviderState,
    RefusalKind,
    Refused,
    SubmitOutcome,
    Unconfirmed,
)
from app.refunds import clock as claim_clock
from app.refunds import desk
from app.refunds import service as claims
from app.refunds.rules import BY_DELIVERY
from app.refunds.states import Reason
from app.supply import pausing, probing, sampling
from app.supply import service as supply
from app.supply.models import Provider
from app.supply.service import PROBE, Evidence
from tests.fixtures.profiles import is_deep, machine_settings
from tests.fixtures.world import RouteTo
from tests.model.oracle import ProviderInTruth, Taken
from tests.model.stage import OPENING, Play, Stage, raised

S = OrderState
ACTOR = Actor("operator", "opr_model")
UNRESOLVED = (S.UNKNOWN, S.NEEDS_REVIEW)
WAITING = (S.QUEUED, S.ON_HOLD)
QUANTITY = 100
HOURS_MAX = 24
LATE: Final = timedelta(minutes=16)
NO_LIMIT = Money(10**12)
LOST = Unconfirmed("ReadTimeout")
NOT_TAKEN: dict[str, SubmitOutcome] = {
    "lost": LOST,
    "not sent": NotSent("ConnectError"),
    "refused": Refused(RefusalKind.PERMANENT, "no", "{}"),
    "busy": Refused(RefusalKind.LINK_BUSY, "busy", "{}"),
    "unseen": Refused(RefusalKind.UNSEEN, "??", "{}"),
}
ON_OUR_WORD = {"written_off", "refund_claim", "settled_by_hand"}
"""The reasons of orders that a person, or a policy, has ended without the provider's word."""

MEANWHILE = (
    "another customer",
    "workers are given up",
    "balances are read",
    "orders wait too long",
    "claims are due",
)
WAITS = {
    "minutes": LATE,
    "hours": timedelta(hours=3),
    "a day": timedelta(hours=25),
    "a week": timedelta(days=8),
}
PANEL_LOOKS = ("as it is", "absent", "absent", "written off", "settled")
which = st.integers(0, 11)
provider_numbers = st.integers(0, 1)
then_what = st.sampled_from(["heard", "heard later", "cut off"])
words = st.lists(
    st.tuples(st.booleans(), st.sampled_from([*["told"] * 4, *NOT_TAKEN])), min_size=1, max_size=4
)


@dataclass(frozen=True, slots=True)
class Call:
    """A batch on the wire, with what each of its orders' providers will have answered."""

    batch: Batch
    answers: dict[Handover, SubmitOutcome]


@dataclass(frozen=True, slots=True)
class Asked:
    """A look for lost orders that was answered, and is yet to be recorded."""

    look: Look
    learned: Learned


@dataclass(frozen=True, slots=True)
class Row:
    """An order as the database has it."""

    id: int
    state: str
    charge: int
    held: int
    earned: int
    refunded: int
    provider_id: UUID | None
    provider_order_id: str | None
    reason: str | None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


@dataclass(slots=True)
class Backup:
    """An older copy, and the number that was next in it."""

    copy: AsyncTransaction
    numbers: int


@dataclass(slots=True)
class Known:
    """The database as it stood after the last step."""

    orders: dict[int, Row] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    """Orders of which an answer carried an id."""
    work: set[tuple[str, int]] = field(default_factory=set)
    unvouched: bool = False


class LostAndFound(RuleBasedStateMachine):
    """Two providers, a service that holds on and one that writes off, and three links."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.play: Play = stage.play()
        self.book = stage.props.books[0]
        world = self.play.desk.world
        self.providers: list[Provider] = []
        for _ in range(2):
            self.providers.append(self.run(world.provider(adapter="smmos", in_flight_max=4)))
            self.play.do(self.declare_evidence)
        first, second = self.providers
        routes = [
            [RouteTo(first, provider_service="101", link_exclusive=False)],
            [
                RouteTo(second, provider_service="102", link_exclusive=False, priority=1),
                RouteTo(first, provider_service="102", link_exclusive=False, priority=2),
            ],
        ]
        self.services = [
            self.run(world.service(routes=routes[0])),
            self.run(
                world.service(routes=routes[1], on_unknown=OnUnknown.WRITE_OFF, write_off_hours=2)
            ),
        ]
        self.truth = [ProviderInTruth(one.id) for one in self.providers]
        self.calls: list[Call] = []
        self.looks: list[Asked] = []
        self.given: set[int] = set()
        """Every number that was ever given, also in a time that was forgotten."""
        self.links: dict[int, str] = {}
        self.misled: set[int] = set()
        """Orders that a person called absent though a provider had them."""
        self.adopted: set[int] = set()
        """Orders that a list was read for, which does not tell orders alike apart."""
        self.backup: Backup | None = None
        self.known = Known()

    async def declare_evidence(self, session: Session) -> None:
        declared = Evidence(balance_is_proof=True, may_probe_ids=True)
        await supply.declare(session, self.providers[-1], declared)

    def run(self, doing: Any) -> Any:
        return self.play.stage.run(doing)

    def wrong(self) -> list[Violation]:
        """What the ledger check finds, but for what a person did who called a taken order absent:
        that it was taken twice is told by rights, once the late answer has come.
        """
        found = self.play.do(ledger.violations)
        return [
            one
            for one in found
            if not (one.code == "order-taken-twice" and int(one.ref) in self.misled)
        ]

    def teardown(self) -> None:
        try:
            assert self.wrong() == []
        finally:
            if self.backup is not None:
                self.run(self.backup.copy.rollback())
            self.play.end()

    # --- what the steps are told ----------------------------------------------------------------

    def pick(self, number: int, states: Collection[OrderState]) -> Row | None:
        """One of the orders in these states."""
        found = [row for row in self.known.orders.values() if row.state in states]
        return found[number % len(found)] if found else None

    def taken(self, number: int) -> list[Taken]:
        return [one for truth in self.truth for one in truth.of(number)]

    def has(self, *states: OrderState) -> bool:
        return self.pick(0, states) is not None

    # --- orders and workers ---------------------------------------------------------------------

    @initialize(
        links=st.lists(st.integers(0, 2), min_size=4, max_size=4),
        said=words,
        backed_up=st.booleans(),
        heard=st.booleans(),
    )
    def begin(
        self, links: list[int], said: list[tuple[bool, str]], backed_up: bool, heard: bool
    ) -> None:
        """Orders that have come different ways already: a play is short. The worker that had those
        of one provider was cut off; some were overlooked there, and its answers may come now.
        """
        for number, link in enumerate(links):
            self.place(number % 2, link)
        if backed_up:
            self.back_up()
        self.send(0, said, "heard")
        self.send(1, [(True, "told")], "cut off")
        for row in self.see().orders.values():
            if row.state == S.UNKNOWN and self.taken(row.id):
                self.call_absent(row.id, is_wrong=True)
        while heard and self.calls:
            self.hear(0)
        self.see()

    @rule(service=st.integers(0, 1), link=st.integers(0, 2))
    def place(self, service: int, link: int) -> None:
        address = f"https://example.com/model/{link}"
        item = NewOrder(self.services[service].id, OrderForm(link=address, quantity=QUANTITY))
        keys = self.play.runtime.keys
        placed = self.play.attempt(
            lambda session: placing.place(session, keys, self.book, item, actor=ACTOR)
        )
        if isinstance(placed, Order):
            assert placed.id not in self.given
            self.given.add(placed.id)
            self.links[placed.id] = address

    @precondition(lambda self: self.has(S.QUEUED))
    @rule(provider=provider_numbers, said=words, then=then_what)
    def send(self, provider: int, said: list[tuple[bool, str]], then: str) -> None:
        """Hand over what is due. The answers come at once or later; or later than the worker, that
        was cut off, is given up.
        """
        keys, provider_id = self.play.runtime.keys, self.providers[provider].id
        self.play.do(lambda session: pausing.resume(session, provider_id))
        self.make_due(DISPATCH)
        batch = self.play.do(
            lambda session: dispatch.lease_batch(session, keys, provider_id, time_scale=1.0)
        )
        if not isinstance(batch, Batch):
            return
        assert not self.known.unvouched
        self.play.do(lambda session: dispatch.mark_sending(session, batch))
        call = Call(batch, {})
        for position, handover in enumerate(batch.handovers):
            self.check_sent(handover.order_id)
            takes, word = said[position % len(said)]
            given = self.take(provider, handover) if takes else None
            if given is None:
                call.answers[handover] = NOT_TAKEN.get(word, LOST)
            else:
                call.answers[handover] = LOST if word == "lost" else Accepted(given, "{}")
        self.calls.append(call)
        if then == "heard":
            self.hear(len(self.calls) - 1)
        elif then == "cut off":
            self.sweep()

    def check_sent(self, number: int) -> None:
        """Only a person who was wrong has an order sent again, and not once its id was told."""
        may_be_sent = number in self.misled and number not in self.known.told
        assert may_be_sent or not self.taken(number), f"order {number} was sent again"

    def take(self, provider: int, handover: Handover) -> str:
        number, truth = handover.order_id, self.truth[provider]
        given = truth.new_id()
        truth.take(
            Taken(
                given,
                number,
                handover.submission.reference,
                self.links[number],
                handover.submission.provider_service,
                QUANTITY,
                50_000,
                self.play.clock.now(),
            )
        )
        return given

    @precondition(lambda self: self.calls)
    @rule(number=which)
    def hear(self, number: int) -> None:
        """A worker records what it heard, perhaps long after it was given up."""
        call = self.calls.pop(number % len(self.calls))
        self.play.do(lambda session: outcomes.record_outcomes(session, call.batch, call.answers))

    def sweep(self) -> None:
        async def lose_and_sweep(session: Session) -> None:
            await session.execute(
                text(
                    "UPDATE work SET lease_until = clock_timestamp() - interval '1 second'"
                    " WHERE lease_token IS NOT NULL AND kind = 'dispatch'"
                )
            )
            await sweeping.sweep_dispatch(session)

        self.play.do(lose_and_sweep)

    @rule(provider=provider_numbers, what=st.sampled_from([*MEANWHILE, *WAITS]))
    def meanwhile(self, provider: int, what: str) -> None:
        """Time passes, and what workers do by themselves is done."""
        match what:
            case "another customer":
                self.truth[provider].new_id()
            case "workers are given up":
                self.sweep()
            case "balances are read":
                self.read_balance(provider)
            case "orders wait too long":
                self.play.do(lambda session: sweeping.cancel_stale(session, queued_days_max=7))
            case "claims are due":
                self.decide_claims()
            case _:
                self.play.clock.move(WAITS[what])

    @rule(
        provider=provider_numbers,
        states=st.lists(
            st.sampled_from(
                [
                    ProviderState.IN_PROGRESS,
                    ProviderState.COMPLETED,
                    ProviderState.PARTIAL,
                    ProviderState.CANCELED,
                ]
            ),
            min_size=1,
            max_size=3,
        ),
    )
    def poll(self, provider: int, states: list[ProviderState]) -> None:
        """The provider goes on with what it has, and tells of it what it is asked."""
        truth, keys = self.truth[provider], self.play.runtime.keys
        for position, one in enumerate(truth.took):
            if (state := states[position % len(states)]) is not ProviderState.IN_PROGRESS:
                truth.end(one, state)
        self.make_due(FOLLOW)
        poll = self.play.do(
            lambda session: follow.lease_poll(session, keys, truth.id, time_scale=1.0)
        )
        if isinstance(poll, Poll):
            answers = truth.tell(poll.orders)
            self.play.do(lambda session: follow.record_answers(session, poll, answers))

    # --- evidence -------------------------------------------------------------------------------

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(provider=provider_numbers, looked_up=st.booleans(), at_once=st.booleans())
    def look(self, provider: int, looked_up: bool, at_once: bool) -> None:
        """Ask a provider about what was lost there; what it says is recorded now or later."""
        truth, keys = self.truth[provider], self.play.runtime.keys
        self.make_due(RECONCILE)
        look = self.play.do(
            lambda session: reconciling.lease_look(session, keys, truth.id, time_scale=1.0)
        )
        if look is None:
            return
        lookups = {one: truth.look_up(one) for one in look.references if looked_up}
        ids = {str(one) for question in look.questions for one in question.ids}
        self.looks.append(Asked(look, Learned(lookups, truth.tell(ids))))
        if at_once:
            self.record_look(len(self.looks) - 1)

    @precondition(lambda self: self.looks)
    @rule(number=which)
    def record_look(self, number: int) -> None:
        asked = self.looks.pop(number % len(self.looks))
        for question in asked.look.questions:
            self.play.do(
                lambda session, one=question: reconciling.record_look(  # type: ignore[misc]  # has a default
                    session, asked.look, one, asked.learned, unknown_hours_max=HOURS_MAX
                )
            )

    def read_balance(self, provider: int) -> None:
        truth = self.truth[provider]
        ref = str(truth.id)
        learned = ProviderBalance(truth.balance, "USD")

        async def read(session: Session) -> None:
            await work.put(session, PROBE, ref)
            lease = await work.lease(
                session, PROBE, work.MAIN_LANE, limit=9, in_flight_max=99, seconds=60
            )
            asking = await sampling.begin_asking(session, truth.id)
            await probing.record_probe(
                session, lease, truth.id, learned, time_scale=1.0, asking=asking
            )

        self.play.do(read)
        self.play.clock.move(timedelta(seconds=10))

    # --- people ---------------------------------------------------------------------------------

    @precondition(lambda self: self.has(*UNRESOLVED))
    @rule(number=which, how=st.sampled_from(PANEL_LOOKS))
    def resolve(self, number: int, how: str) -> None:
        """A person looks into the panel, may overlook what is there, or has had enough."""
        row = self.pick(number, UNRESOLVED)
        assert row is not None
        took = self.taken(row.id)
        match how:
            case "as it is" if took:
                self.find(row.id, took[-1].given)
            case "as it is" | "absent":
                self.call_absent(row.id, is_wrong=bool(took))
            case "written off":
                self.play.do(
                    lambda session: resolving.write_off(
                        session, row.id, actor=ACTOR, reason="model"
                    )
                )
            case _:
                self.attempt(
                    lambda session: resolving.settle_by_hand(
                        session, row.id, Settlement(S.COMPLETED), actor=ACTOR, reason="model"
                    )
                )

    def find(self, number: int, given: str) -> None:
        self.attempt(
            lambda session: resolving.find(
                session, number, provider_order_id=given, actor=ACTOR, reason="model"
            )
        )

    def call_absent(self, number: int, *, is_wrong: bool) -> None:
        self.play.clock.move(LATE)
        answer = self.attempt(
            lambda session: resolving.prove_absent(session, number, actor=ACTOR, reason="model")
        )
        if isinstance(answer, AppError):
            assert isinstance(answer, OrderStateConflict)
        elif is_wrong:
            self.misled.add(number)

    @precondition(lambda self: self.has(*WAITING))
    @rule(number=which, verb=st.sampled_from(["cancel", "hold", "release"]))
    def stop_or_let_go(self, number: int, verb: str) -> None:
        if (row := self.pick(number, WAITING)) is None:
            return

        async def do(session: Session) -> None:
            if verb == "cancel":
                await canceling.request(session, row.id, actor=ACTOR, reason="model")
            elif verb == "hold":
                await holding.put_on_hold(
                    session, row.id, source="case", source_id="1", reason="model", actor=ACTOR
                )
            else:
                await holding.release_hold(session, row.id, source="case", actor=ACTOR)

        self.attempt(do)

    @rule(number=which, reason=st.sampled_from(sorted(BY_DELIVERY)), approved=st.booleans())
    def claim(self, number: int, reason: Reason, approved: bool) -> None:
        """A reseller claims; a person may give all back, or the rules decide in time."""
        row = self.pick(number, list(S))
        if row is None:
            return
        claim = self.attempt(
            lambda session: claims.file(
                session,
                self.play.runtime.keys,
                self.book,
                row.id,
                reason=reason,
                description="model",
                actor=ACTOR,
                time_scale=1.0,
            )
        )
        if approved and not isinstance(claim, AppError):
            self.attempt(
                lambda session: desk.approve(
                    session, claim.id, amount=None, reason="model", by=ACTOR, two_above=NO_LIMIT
                )
            )

    def decide_claims(self) -> None:
        """Claims whose time has come, with their providers silent."""
        lease = self.play.do(lambda session: claim_clock.lease_due(session, work.MAIN_LANE))
        for claim_id in map(UUID, lease.refs):
            self.play.do(
                lambda session, one=claim_id: claim_clock.decide_due(  # type: ignore[misc]  # has a default
                    session, lease, one, None, time_scale=1.0
                )
            )

    # --- backups and restores -------------------------------------------------------------------

    @precondition(lambda self: not self.known.unvouched)
    @rule()
    def back_up(self) -> None:
        if self.backup is not None:
            self.run(self.backup.copy.commit())

        async def next_number(session: Session) -> int:
            return int(await session.scalar(text("SELECT last_value FROM order_numbers")) or 0)

        self.backup = Backup(self.play.stage.savepoint(), self.play.do(next_number))

    @precondition(lambda self: self.backup is not None)
    @rule(vouched=st.booleans())
    def restore(self, vouched: bool) -> None:
        """What was done since is forgotten, and what workers still hear is lost with them."""
        assert self.backup is not None
        self.run(self.backup.copy.rollback())
        self.calls, self.looks = [], []
        numbers = self.backup.numbers

        async def elsewhere(session: Session) -> None:
            await session.execute(text("SELECT setval('order_numbers', :now)"), {"now": numbers})
            await session.execute(text("UPDATE database_lineage SET identity = 'elsewhere'"))
            await session.execute(text("DELETE FROM database_arrivals"))

        self.backup = Backup(self.play.stage.savepoint(), numbers)
        self.play.do(elsewhere)
        if vouched:
            self.vouch()

    @precondition(lambda self: self.known.unvouched)
    @rule()
    def vouch(self) -> None:
        self.play.do(lambda session: restored.doubt_waiting(session, since=None, actor=ACTOR))

    @precondition(lambda self: not self.known.unvouched)
    @rule(provider=provider_numbers, complete=st.booleans())
    def read_list(self, provider: int, complete: bool) -> None:
        """What a provider's own list tells is done, as `providers reconcile --apply` does it."""
        one, listed = self.providers[provider], self.truth[provider].listed()
        keys = self.play.runtime.keys
        reading = self.play.do(
            lambda session: provider_lists.read_list(session, keys, one, listed, since=None)
        )
        shown = {entry.provider_order_id for _, entry in (*reading.found, *reading.ambiguous)}
        shown |= {entry.provider_order_id for entry in reading.lost}
        assert len(shown) + reading.known == len(listed)
        for number, entry in reading.found:
            answer = self.attempt(
                lambda session, number=number, entry=entry: restored.adopt(
                    session, one, number, entry, actor=ACTOR
                )
            )
            if not isinstance(answer, AppError):
                self.adopted.add(number)
        if complete:
            self.play.clock.move(LATE)
            for number in reading.unlisted:
                self.attempt(
                    lambda session, number=number: restored.rule_out(
                        session, one, number, time_scale=1.0, actor=ACTOR
                    )
                )

    # --- what must hold -------------------------------------------------------------------------

    @invariant()
    def everything_is_where_it_must_be(self) -> None:
        before, now = self.known, self.see()
        for row in now.orders.values():
            assert row.held + row.earned + row.refunded == row.charge
            assert not (row.has_ended and row.held)
            self.check_taken(row, before)
        self.check_money(now)
        if is_deep():
            assert self.wrong() == []

    def check_taken(self, row: Row, before: Known) -> None:
        """An order is at a provider only by truth, and not forgotten where it is there."""
        took = self.taken(row.id)
        if row.provider_order_id is not None:
            ids = {one.given for one in took}
            if row.id in self.adopted:
                ids |= {
                    one.given
                    for truth in self.truth
                    for one in truth.took
                    if one.link == self.links[row.id]
                }
            assert row.provider_order_id in ids, f"order {row.id} has another's id"
        match row.state:
            case S.IN_PROGRESS:
                assert (FOLLOW, row.id) in self.known.work
            case S.UNKNOWN:
                assert (RECONCILE, row.id) in self.known.work
            case S.QUEUED | S.SUBMITTING:
                assert (DISPATCH, row.id) in self.known.work
            case _:
                pass
        if row.state in WAITING and took:
            assert row.id in self.misled or self.known.unvouched, f"order {row.id} is forgotten"
        was = before.orders.get(row.id)
        if row.has_ended and took and was is not None and not was.has_ended:
            self.check_end(row, before)

    def check_end(self, row: Row, before: Known) -> None:
        """An order that was taken has just ended: by its provider's word, or a person's."""
        was_told = row.id in before.told
        if row.reason in ON_OUR_WORD or row.provider_order_id is not None:
            actor = self.last_actor(row.id)
            by_policy = row.reason == "written_off" and actor != str(ACTOR)
            assert not (by_policy and was_told), f"a policy wrote order {row.id} off"
            by_rule = row.reason == "refund_claim" and actor != str(ACTOR)
            assert not by_rule or (row.id in self.misled and not was_told)
            return
        excused = row.id in self.misled and not was_told
        assert excused, f"order {row.id} was paid back on a guess"

    def last_actor(self, number: int) -> str:
        async def look(session: Session) -> str:
            found = await session.scalar(
                text(
                    "SELECT actor FROM order_events WHERE order_id = :id"
                    " AND type IN ('write_off', 'decide_claim') ORDER BY seq DESC LIMIT 1"
                ),
                {"id": number},
            )
            return str(found)

        return self.play.do(look)

    def check_money(self, now: Known) -> None:
        async def wallet(session: Session) -> tuple[int, int, int]:
            balance = await ledger.balance(session, self.book)
            totals = await ledger.trial_balance(session)
            return (
                balance.available.micros,
                balance.held.micros,
                totals.get("revenue", Money(0)).micros,
            )

        rows = now.orders.values()
        assert self.play.do(wallet) == (
            OPENING - sum(row.charge - row.refunded for row in rows),
            sum(row.held for row in rows),
            sum(row.earned for row in rows),
        )

    def see(self) -> Known:
        self.known = self.play.do(_known)
        return self.known

    def make_due(self, kind: str) -> None:
        now = self.play.clock.now()

        async def hasten(session: Session) -> None:
            await session.execute(
                text("UPDATE work SET due_at = :now WHERE kind = :kind AND due_at > :now"),
                {"now": now, "kind": kind},
            )

        self.play.do(hasten)

    def attempt(self, verb: Any) -> Any:
        return self.play.attempt(verb)


async def _known(session: Session) -> Known:
    rows = await session.execute(
        text(
            "SELECT id, state, charge, held, earned, refunded, provider_id, provider_order_id,"
            " reason FROM orders ORDER BY id"
        )
    )
    told = await session.scalars(
        text(
            "SELECT a.order_id FROM provider_evidence e JOIN attempts a ON a.id = e.attempt_id"
            " WHERE e.provider_order_id IS NOT NULL"
        )
    )
    promised = await session.execute(text("SELECT kind, ref FROM work WHERE ref ~ '^[0-9]+$'"))
    elsewhere = await session.scalar(
        text(
            "SELECT identity <> database_identity() FROM database_lineage ORDER BY id DESC LIMIT 1"
        )
    )
    return Known(
        {row.id: Row(*row) for row in rows},
        set(told),
        {(row.kind, int(row.ref)) for row in promised},
        bool(elsewhere),
    )


@pytest.mark.timeout(7_200 if is_deep() else 120)
def test_however_orders_are_lost_none_is_taken_twice_forgotten_or_paid_back_on_a_guess(
    settings: Settings,
) -> None:
    with raised(settings) as stage:

        class OnThisStage(LostAndFound):
            def __init__(self) -> None:
                super().__init__(stage)

        run_state_machine_as_test(OnThisStage, settings=machine_settings(examples=6, steps=20))
