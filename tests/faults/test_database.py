"""The database killed, cut off and restarted: no 201 without its row, and nobody starts again."""

from http import HTTPStatus

import pytest

from tests.faults.stacks import RunningStack
from tests.faults.waiting import until

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("faults")]


@pytest.mark.fault(12)
def test_a_database_that_is_killed_loses_no_order_and_the_processes_outlive_it(
    stack: RunningStack,
) -> None:
    before = {name: stack.pid(name) for name in ("worker", "api")}
    order_ids = stack.place_many(10)
    killed = stack.kill("postgres")
    codes = set()
    with stack.api() as client:

        def served_again() -> bool:
            answer = stack.place(client)
            codes.add(answer.status_code)
            if answer.status_code == HTTPStatus.CREATED:
                order_ids.append(answer.json()["id"])
            return answer.is_success and stack.pid("postgres") != killed

        until(served_again, 30, "orders are taken again")
    assert codes <= {HTTPStatus.CREATED, HTTPStatus.SERVICE_UNAVAILABLE}
    order_ids += stack.place_many(10)
    # What the worker had in its hands when the database went is judged by the sweeper.
    stack.expire_leases()
    until(lambda: stack.are_over(order_ids, besides=("unknown",)), 30, "all ended or unknown")
    assert {name: stack.pid(name) for name in before} == before
