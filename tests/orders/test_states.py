"""The life of an order: one table in code, in the database's rows and in its trigger."""

import re
from contextlib import suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.core.audit import Actor
from app.core.runtime import Runtime
from app.orders import attempt_repository, repository
from app.orders.errors import IllegalMoveError
from app.orders.states import (
    ENDED,
    MOVES,
    PAIRS,
    RUNNING,
    V1_STATUS,
    Move,
    OrderState,
    may_move,
)
from tests.fixtures.world import World

ACTOR = Actor("system", "test")


class Undone(Exception):
    """Ends a transaction whose doings are not to stay."""


def ended_values(state: OrderState) -> str:
    """The money and time that go with a state."""
    if state in ENDED:
        return "held = 0, refunded = charge, earned = 0, ended_at = created_at"
    return "held = charge, refunded = 0, earned = 0, ended_at = NULL"


async def test_the_rows_of_the_database_are_the_pairs_of_the_table(runtime: Runtime) -> None:
    async with runtime.uow.begin() as session:
        rows = await session.execute(text("SELECT source, target FROM order_moves"))
        assert {tuple(row) for row in rows} == {(str(a), str(b)) for a, b in PAIRS}


async def test_the_database_lets_exactly_the_pairs_of_the_table_pass(
    runtime: Runtime, world: World
) -> None:
    order = await world.order()
    passed = set()
    with suppress(Undone):
        async with runtime.uow.begin() as session:
            connection = await session.connection()
            for source in OrderState:
                await connection.exec_driver_sql("ALTER TABLE orders DISABLE TRIGGER guard_order")
                await connection.exec_driver_sql(
                    f"UPDATE orders SET state = '{source}', {ended_values(source)}"  # noqa: S608 - our own words
                )
                await connection.exec_driver_sql("ALTER TABLE orders ENABLE TRIGGER guard_order")
                for target in OrderState:
                    attempt = await connection.begin_nested()
                    try:
                        await connection.exec_driver_sql(
                            f"UPDATE orders SET state = '{target}', {ended_values(target)}"  # noqa: S608 - our own words
                            f" WHERE id = {order['id']}"
                        )
                    except DBAPIError as error:
                        assert "cannot move" in str(error)  # noqa: PT017 - one of a hundred
                    else:
                        passed.add((source, target))
                    await attempt.rollback()
            raise Undone
    staying = {(state, state) for state in OrderState}
    assert passed == PAIRS | staying


async def test_a_move_outside_the_table_never_reaches_the_database(
    runtime: Runtime, world: World
) -> None:
    order = await world.order()
    async with runtime.uow.begin() as session:
        for move in Move:
            for source in OrderState:
                for target in OrderState:
                    if may_move(move, source, target):
                        continue
                    with pytest.raises(IllegalMoveError):
                        await repository.move(
                            session, order["id"], move, source=source, target=target, actor=ACTOR
                        )
    assert (await world.row(order)).version == 1


async def test_every_move_of_the_table_changes_the_state_and_writes_its_event(
    runtime: Runtime, world: World
) -> None:
    order = await world.order()
    with suppress(Undone):
        async with runtime.uow.begin() as session:
            connection = await session.connection()
            for move, pairs in MOVES.items():
                for source, target in sorted(pairs):
                    attempt = await connection.begin_nested()
                    await connection.exec_driver_sql(
                        "ALTER TABLE orders DISABLE TRIGGER guard_order"
                    )
                    await connection.exec_driver_sql(
                        f"UPDATE orders SET state = '{source}', {ended_values(source)}"  # noqa: S608 - our own words
                    )
                    await connection.exec_driver_sql(
                        "ALTER TABLE orders ENABLE TRIGGER guard_order"
                    )
                    values = {}
                    if target in ENDED:
                        charge = (await repository.find(session, order["id"])).charge  # type: ignore[union-attr]
                        values = {"held": 0, "refunded": charge, "ended_at": runtime.clock.now()}
                    await repository.move(
                        session,
                        order["id"],
                        move,
                        source=source,
                        target=target,
                        actor=ACTOR,
                        values=values,
                    )
                    moved = await repository.find(session, order["id"])
                    last = await repository.last_event(session, order["id"])
                    assert moved is not None
                    assert last is not None
                    assert moved.state == target
                    assert (last.type, last.seq, last.actor) == (move, 2, "system:test")
                    await attempt.rollback()
                    session.expunge_all()  # what was undone is not to be remembered
            raise Undone


async def test_a_move_of_an_order_that_has_moved_meanwhile_is_refused(
    runtime: Runtime, world: World
) -> None:
    order = await world.order()
    with pytest.raises(IllegalMoveError, match="not on_hold any more"):
        async with runtime.uow.begin() as session:
            await repository.move(
                session,
                order["id"],
                Move.RELEASE,
                source=OrderState.ON_HOLD,
                target=OrderState.QUEUED,
                actor=ACTOR,
            )


@pytest.mark.parametrize(
    ("sql", "move"),
    [
        (attempt_repository._TAKE, Move.TAKE),
        (attempt_repository._ACCEPT, Move.ACCEPT),
        (attempt_repository._PUT_BACK, Move.PUT_BACK),
    ],
)
def test_the_moves_written_in_sql_for_batches_are_those_of_the_table(
    sql: object, move: Move
) -> None:
    statement = str(sql)
    [target] = re.findall(r"UPDATE orders SET state = '(\w+)'", statement)
    source = re.findall(r"state = '(\w+)'", statement)[-1]
    assert may_move(move, OrderState(source), OrderState(target))
    assert f"'{move}'" in statement


@pytest.mark.parametrize("column", ["charge", "quantity", "book_id", "service_id", "created_at"])
async def test_what_was_bought_cannot_be_changed(
    runtime: Runtime, world: World, column: str
) -> None:
    order = await world.order()
    other = {
        "charge": "charge + 1, held = held + 1",
        "quantity": "quantity + 1",
        "book_id": "(SELECT id FROM books WHERE id <> book_id LIMIT 1)",
        "service_id": "service_id + 1",
        "created_at": "created_at + interval '1 s'",
    }[column]
    with pytest.raises(DBAPIError, match="bought for cannot change"):
        async with runtime.uow.begin() as session:
            await session.execute(
                text(f"UPDATE orders SET {column} = {other} WHERE id = :id"),  # noqa: S608 - our own words
                {"id": order["id"]},
            )


async def test_an_order_is_placed_as_queued_or_on_hold_only(runtime: Runtime, world: World) -> None:
    await world.order()
    columns = (
        "id, book_id, service_id, state, quantity, charge, held, earned, refunded, forfeited,"
        " rate_micros, price_unit, markup_basis_points, cost_micros, link_hash, version,"
        " created_at, deliver_by"
    )
    for state in sorted(RUNNING - {OrderState.QUEUED, OrderState.ON_HOLD}):
        row = columns.replace("id,", "7,", 1).replace("state", f"'{state}'")
        with pytest.raises(IntegrityError, match="cannot be placed into"):
            async with runtime.uow.begin() as session:
                await session.execute(
                    text(f"INSERT INTO orders ({columns}) SELECT {row} FROM orders")  # noqa: S608 - our own words
                )


def test_an_ended_order_stays_ended_and_every_other_can_end() -> None:
    assert not any(source in ENDED for source, _ in PAIRS)
    reach_the_end = set(ENDED)
    for _ in OrderState:
        reach_the_end |= {source for source, target in PAIRS if target in reach_the_end}
    assert reach_the_end == set(OrderState)
    assert set(OrderState) == RUNNING | ENDED


def test_every_state_has_a_word_for_resellers() -> None:
    assert set(V1_STATUS) == set(OrderState)
    hidden = {"submitting", "unknown", "needs_review"}
    assert {state for state, word in V1_STATUS.items() if word == "processing"} == hidden
    assert all(word == state for state, word in V1_STATUS.items() if state not in hidden)
