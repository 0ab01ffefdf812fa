"""Every verb on an order in every state: it moves it as the table says, or changes nothing at all.

The orders are real rows, which the product's own verbs have brought into their state; each verb is
tried on each, and undone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.core import work
from app.core.audit import Actor
from app.core.clock import Clock
from app.core.db import Session
from app.core.errors import AppError
from app.core.money import ZERO, Money
from app.core.runtime import Runtime
from app.ledger import service as ledger
from app.orders import (
    canceling,
    conceding,
    dispatch,
    follow,
    fulfilling,
    holding,
    outcomes,
    resolving,
    restored,
    sweeping,
)
from app.orders import service as orders
from app.orders.conceding import Concession
from app.orders.dispatch import Batch
from app.orders.endings import End
from app.orders.errors import (
    IllegalMoveError,
    OrderIsPolled,
    OrderNotCancelable,
    OrderStateConflict,
)
from app.orders.follow import POLL_MIN, Poll
from app.orders.hand_settlement import Settlement
from app.orders.judging import ABSENCE_AFTER
from app.orders.service import DISPATCH, FOLLOW
from app.orders.settlement import end_order
from app.orders.states import ENDED, MOVES, RUNNING, Move, OrderState
from app.providers.protocol import (
    Accepted,
    NotSent,
    ProviderState,
    RefusalKind,
    StatusAnswer,
    SubmitOutcome,
    Unconfirmed,
)
from tests.fixtures.looking import look_for
from tests.fixtures.world import World
from tests.orders.conftest import Desk, Say, progress, refused

S, M = OrderState, Move
ACTOR = Actor("operator", "opr_test")
UNITS = 1000

WITHOUT_A_VERB = {M.FORFEIT}
"""Moves of parts that are yet to come."""


@dataclass(frozen=True, slots=True)
class Case:
    """An order in one state, and what a worker that once had it would still bring."""

    order_id: int
    state: OrderState
    runtime: Runtime
    batch: Batch
    poll: Poll


Do = Callable[[Session, Case], Awaitable[object]]
Moves = Mapping[OrderState, tuple[Move, OrderState]]


@dataclass(frozen=True, slots=True)
class Verb:
    """What it does in which states; elsewhere it refuses (None: it passes the order over)."""

    name: str
    do: Do
    moves: Moves
    refusal: type[Exception] | None = None
    accepted_in: frozenset[OrderState] = frozenset()
    """States in which it is accepted and moves nothing: it may note something."""
    refusals_in: Mapping[OrderState, type[Exception]] = field(default_factory=dict)
    unfounded: frozenset[str] = frozenset()
    """What the ledger check finds because what the verb stands on is missing here, as a claim."""


def by(move: Move, target: OrderState, *sources: OrderState) -> Moves:
    return dict.fromkeys(sources, (move, target))


def heard(name: str, say: SubmitOutcome, move: Move, target: OrderState) -> Verb:
    """A worker records what it heard, perhaps when the order is no longer its."""

    async def record(session: Session, case: Case) -> None:
        said = {h: say for h in case.batch.handovers if h.order_id == case.order_id}
        await outcomes.record_outcomes(session, case.batch, said)

    return Verb(name, record, by(move, target, S.SUBMITTING))


def polled(name: str, said: StatusAnswer, move: Move, target: OrderState) -> Verb:
    async def record(session: Session, case: Case) -> None:
        await follow.record_answers(session, case.poll, dict.fromkeys(case.poll.orders, said))

    return Verb(name, record, by(move, target, S.IN_PROGRESS))


def settled(target: OrderState) -> Verb:
    async def settle(session: Session, case: Case) -> None:
        remains = 1 if target is S.PARTIAL else None
        await resolving.settle_by_hand(
            session, case.order_id, Settlement(target, remains), actor=ACTOR, reason="test"
        )

    moves = by(M.SETTLE, target, S.NEEDS_REVIEW)
    return Verb(f"settled {target}", settle, moves, OrderStateConflict)


async def hold(session: Session, case: Case) -> None:
    await holding.put_on_hold(
        session, case.order_id, source="case", source_id="2", reason="test", actor=ACTOR
    )


async def release(session: Session, case: Case) -> None:
    await holding.release_hold(session, case.order_id, source="operator", actor=ACTOR)


async def cancel(session: Session, case: Case) -> None:
    await orders.cancel(session, case.order_id, actor=ACTOR, reason="test")


async def ask_to_cancel(session: Session, case: Case) -> None:
    await canceling.request(session, case.order_id, actor=ACTOR, reason="test")


async def find(session: Session, case: Case) -> None:
    await resolving.find(
        session, case.order_id, provider_order_id="found", actor=ACTOR, reason="test"
    )


async def prove_absent(session: Session, case: Case) -> None:
    await resolving.prove_absent(session, case.order_id, actor=ACTOR, reason="test")


async def write_off(session: Session, case: Case) -> None:
    await resolving.write_off(session, case.order_id, actor=ACTOR, reason="test")


async def tell_completed(session: Session, case: Case) -> None:
    await fulfilling.tell_progress(
        session,
        case.order_id,
        ProviderState.COMPLETED,
        start_count=None,
        remains=None,
        actor=ACTOR,
    )


async def reconcile_an_old_one(session: Session, case: Case) -> None:
    await look_for(
        session, case.runtime.keys, case.order_id, case.batch.provider_id, unknown_hours_max=0
    )


async def take(session: Session, case: Case) -> None:
    """Take what is due; where the order is no worker's, its dispatch is promised once more."""
    if case.state is not S.SUBMITTING:
        await work.put(session, DISPATCH, str(case.order_id), lane=str(case.batch.provider_id))
    await dispatch.lease_batch(session, case.runtime.keys, case.batch.provider_id, time_scale=1.0)


async def sweep(session: Session, case: Case) -> None:
    await session.execute(
        text(
            "UPDATE work SET lease_until = clock_timestamp() - interval '1 second'"
            " WHERE lease_token IS NOT NULL AND ref = :ref"
        ),
        {"ref": str(case.order_id)},
    )
    await sweeping.sweep_dispatch(session)


async def end_once_more(session: Session, case: Case) -> None:
    """The one function that ends orders, as if nobody had looked at the state before."""
    order = await orders.get(session, case.order_id)
    await end_order(session, order, End(M.COMPLETE, S.COMPLETED, ZERO, 0), ACTOR)


def conceded(target: OrderState) -> Verb:
    """A claim on the order is approved, in full or in part."""

    async def concede(session: Session, case: Case) -> None:
        order = await orders.lock(session, case.order_id)
        amount = Money(order.charge if target is S.CANCELED else order.charge // 2)
        given = Concession(uuid4(), amount, ACTOR, {})
        await conceding.end_running(session, order, given)

    return Verb(
        f"conceded: {target}",
        concede,
        by(M.DECIDE_CLAIM, target, *(RUNNING - {S.SUBMITTING})),
        IllegalMoveError,
        refusals_in={S.SUBMITTING: OrderStateConflict},
        unfounded=frozenset({"order-remains"}),
    )


async def doubt_after_a_restore(session: Session, case: Case) -> None:
    await restored.doubt_waiting(session, since=None, actor=ACTOR)


VERBS = [
    Verb("hold", hold, by(M.HOLD, S.ON_HOLD, S.QUEUED), OrderStateConflict, frozenset({S.ON_HOLD})),
    Verb("release", release, by(M.RELEASE, S.QUEUED, S.ON_HOLD), OrderStateConflict),
    Verb("cancel", cancel, by(M.CANCEL, S.CANCELED, S.QUEUED, S.ON_HOLD), OrderNotCancelable),
    Verb(
        "ask to cancel",
        ask_to_cancel,
        by(M.CANCEL, S.CANCELED, S.QUEUED, S.ON_HOLD),
        OrderNotCancelable,
        frozenset({S.IN_PROGRESS}),
    ),
    Verb("take", take, by(M.TAKE, S.SUBMITTING, S.QUEUED)),
    heard("heard: taken", Accepted("taken", "{}"), M.ACCEPT, S.IN_PROGRESS),
    heard("heard: refused", refused(RefusalKind.PERMANENT), M.REFUSE, S.FAILED),
    heard("heard: nothing", Unconfirmed("ReadTimeout"), M.LOSE, S.UNKNOWN),
    heard("heard: new words", refused(RefusalKind.UNSEEN), M.REVIEW, S.NEEDS_REVIEW),
    heard("heard: busy", refused(RefusalKind.LINK_BUSY), M.PUT_BACK, S.QUEUED),
    heard("not sent", NotSent("ConnectError"), M.PUT_BACK, S.QUEUED),
    Verb("sweep", sweep, by(M.LOSE, S.UNKNOWN, S.SUBMITTING)),
    Verb("reconcile", reconcile_an_old_one, by(M.REVIEW, S.NEEDS_REVIEW, S.UNKNOWN)),
    Verb("find", find, by(M.FIND, S.IN_PROGRESS, S.UNKNOWN, S.NEEDS_REVIEW), OrderStateConflict),
    Verb(
        "prove absent",
        prove_absent,
        by(M.PROVE_ABSENT, S.QUEUED, S.UNKNOWN, S.NEEDS_REVIEW),
        OrderStateConflict,
    ),
    Verb(
        "write off",
        write_off,
        by(M.WRITE_OFF, S.CANCELED, S.UNKNOWN, S.NEEDS_REVIEW),
        OrderStateConflict,
    ),
    *(settled(target) for target in sorted(ENDED)),
    *(conceded(target) for target in (S.CANCELED, S.PARTIAL)),
    Verb(
        "doubt after a restore",
        doubt_after_a_restore,
        by(M.REVIEW, S.NEEDS_REVIEW, S.QUEUED, S.ON_HOLD, S.SUBMITTING, S.UNKNOWN),
    ),
    polled("polled: completed", progress(ProviderState.COMPLETED), M.COMPLETE, S.COMPLETED),
    polled("polled: partial", progress(ProviderState.PARTIAL, remains=1), M.END_SHORT, S.PARTIAL),
    polled("polled: canceled", progress(ProviderState.CANCELED), M.END_SHORT, S.CANCELED),
    polled("polled: failed", progress(ProviderState.FAILED), M.REVIEW, S.NEEDS_REVIEW),
    Verb(
        "told by a person",
        tell_completed,
        {},
        OrderStateConflict,
        refusals_in={S.IN_PROGRESS: OrderIsPolled},
    ),
    Verb(
        "end once more",
        end_once_more,
        by(M.COMPLETE, S.COMPLETED, S.IN_PROGRESS),
        IllegalMoveError,
    ),
]


async def brought_into(state: OrderState, world: World, desk: Desk, clock: Clock) -> Case:
    """An order in this state, by the way that orders come there."""
    provider = await world.provider()
    service = await world.service(routes=[provider])
    order_id = (await world.order(service=service, quantity=UNITS))["id"]
    batch = await desk.send(provider)
    words: dict[OrderState, Say] = {
        S.QUEUED: NotSent("ConnectError"),
        S.ON_HOLD: NotSent("ConnectError"),
        S.CANCELED: NotSent("ConnectError"),
        S.UNKNOWN: Unconfirmed("ReadTimeout"),
        S.NEEDS_REVIEW: refused(RefusalKind.UNSEEN),
        S.FAILED: refused(RefusalKind.PERMANENT),
    }
    if state is not S.SUBMITTING:
        await desk.record(batch, words.get(state, Accepted(f"p{order_id}", "{}")))
    lease = replace(batch.lease, kind=FOLLOW)
    account = batch.account
    poll = Poll(lease, provider.id, provider.name, account, {f"p{order_id}": order_id}, 1.0)
    if state in {S.IN_PROGRESS, S.COMPLETED, S.PARTIAL}:
        clock.move(POLL_MIN)
        poll = await desk.poll(provider)
    async with desk.runtime.uow.begin() as session:
        match state:
            case S.ON_HOLD:
                await holding.put_on_hold(
                    session, order_id, source="operator", source_id="1", reason="test", actor=ACTOR
                )
            case S.CANCELED:
                await orders.cancel(session, order_id, actor=ACTOR, reason="test")
            case S.COMPLETED | S.PARTIAL:
                said = progress(ProviderState(state), remains=UNITS // 2)
                await follow.record_answers(session, poll, dict.fromkeys(poll.orders, said))
            case _:
                pass
    assert (await world.row(order_id)).state == state
    return Case(order_id, state, desk.runtime, batch, poll)


SNAPSHOT = text(
    """
    SELECT o.state,
           (SELECT type FROM order_events WHERE order_id = o.id AND type = ANY(:moves)
            ORDER BY seq DESC LIMIT 1) AS last,
           (SELECT coalesce(jsonb_agg(w ORDER BY w.id), '[]') FROM accounts w WHERE kind = 'wallet')
               || jsonb_build_array((SELECT count(*) FROM journal)) AS money,
           to_jsonb(o)
               || jsonb_build_object('events', (SELECT count(*) FROM order_events e
                                                WHERE e.order_id = o.id))
               || jsonb_build_object('attempts', (SELECT jsonb_agg(a ORDER BY a.id) FROM attempts a
                                                  WHERE a.order_id = o.id))
               || jsonb_build_object('holds', (SELECT jsonb_agg(h ORDER BY h.id) FROM order_holds h
                                               WHERE h.order_id = o.id)) AS everything
    FROM orders o WHERE o.id = :id
    """
)


async def snapshot(session: Session, order_id: int) -> Any:
    """All that a verb could change of an order, and of anybody's money."""
    session.expunge_all()
    return (
        await session.execute(SNAPSHOT, {"id": order_id, "moves": [str(move) for move in Move]})
    ).one()


async def test_every_verb_on_every_state_moves_as_the_table_says_or_changes_nothing(
    world: World, desk: Desk, runtime: Runtime, clock: Clock
) -> None:
    cases = [await brought_into(state, world, desk, clock) for state in OrderState]
    clock.move(max(ABSENCE_AFTER, timedelta(minutes=20)))
    made: set[tuple[Move, OrderState, OrderState]] = set()
    for case in cases:
        for verb in VERBS:
            one = await tried(verb, case, runtime)
            made |= {one} if one else set()
    wanted = {
        (move, source, target)
        for move, pairs in MOVES.items()
        for source, target in pairs
        if move not in WITHOUT_A_VERB
    }
    assert made == wanted


async def tried(
    verb: Verb, case: Case, runtime: Runtime
) -> tuple[Move, OrderState, OrderState] | None:
    """Do it, look what it did, undo it; the move that it made, if any."""
    about = f"{verb.name} on {case.state}"
    async with runtime.uow.begin() as session:
        undone = await session.begin_nested()
        before = await snapshot(session, case.order_id)
        refusal = await refusal_of(verb, session, case)
        after = await snapshot(session, case.order_id)
        made = verb.moves.get(case.state)
        if made is not None:
            assert refusal is None, about
            assert (after.state, after.last) == (made[1], made[0]), about
            found = {violation.code for violation in await ledger.violations(session)}
            assert found <= verb.unfounded, about
        elif case.state in verb.accepted_in:
            assert refusal is None, about
            assert (after.state, after.money) == (before.state, before.money), about
        else:
            expected = verb.refusals_in.get(case.state, verb.refusal)
            assert type(refusal) is (expected or type(None)), about
            assert after == before, about
        await undone.rollback()
    return None if made is None else (made[0], case.state, made[1])


async def refusal_of(verb: Verb, session: Session, case: Case) -> Exception | None:
    """What it refuses with; what it did until then is undone, as its edge would."""
    attempt = await session.begin_nested()
    try:
        await verb.do(session, case)
    except (AppError, IllegalMoveError) as refusal:
        await attempt.rollback()
        return refusal
    return None


def test_every_running_state_can_be_left_and_no_ended_one_by_any_verb() -> None:
    left = {source for verb in VERBS for source in verb.moves}
    assert left == RUNNING


@pytest.mark.parametrize("move", sorted(WITHOUT_A_VERB))
def test_a_move_without_a_verb_is_made_by_nobody(move: Move) -> None:
    assert all(move is not made for verb in VERBS for made, _ in verb.moves.values())
