"""The oracle catches what it is there for, and nothing else; a naive worker first of all."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from app.orders.states import OrderState
from app.simulator.faults import Fault
from app.simulator.journal import Journal
from app.simulator.orders import Pace
from app.simulator.provider import Provider
from app.simulator.server import in_background
from tests.faults.oracle import MEMORY_BYTES_MAX, Facts, Known, Taken, verdict
from tests.faults.waiting import until

RUNNING = Known(
    id=1,
    target="link",
    state=OrderState.IN_PROGRESS,
    charge=900,
    held=900,
    refunded=0,
    provider_order="7",
)
UNKNOWN = replace(RUNNING, state=OrderState.UNKNOWN, provider_order=None)
TAKEN = Taken("7", "link")


def codes(facts: Facts) -> list[str]:
    return [finding.code for finding in verdict(facts)]


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (Facts([TAKEN], [RUNNING]), []),
        (Facts([TAKEN], [UNKNOWN]), []),
        (Facts([], [UNKNOWN]), []),
        (Facts([TAKEN], [replace(UNKNOWN, id=2, state=OrderState.QUEUED), UNKNOWN]), []),
        (Facts([TAKEN, Taken("8", "link")], [RUNNING]), ["taken-twice"]),
        (Facts([TAKEN, Taken("8", "link")], [UNKNOWN]), ["taken-twice"]),
        (Facts([TAKEN, Taken("8", "link")], [RUNNING, replace(UNKNOWN, id=2)]), []),
        (Facts([TAKEN, Taken("8", "stranger")], [RUNNING]), ["taken-unknown-to-us"]),
        (Facts([replace(TAKEN, provider="b")], [RUNNING]), ["taken-by-nobody", "taken-twice"]),
        (Facts([], [RUNNING]), ["taken-by-nobody"]),
        (Facts([TAKEN], [replace(UNKNOWN, held=0)]), ["taken-and-not-held"]),
        (Facts([TAKEN], [replace(UNKNOWN, state=OrderState.QUEUED)]), ["taken-and-to-be-sent"]),
        (
            Facts([TAKEN], [replace(UNKNOWN, state=OrderState.FAILED, held=0, refunded=900)]),
            ["taken-and-refunded"],
        ),
        (
            Facts([TAKEN], [replace(UNKNOWN, state=OrderState.COMPLETED, held=0)]),
            ["taken-and-ended-unknown"],
        ),
        (
            Facts(
                [TAKEN],
                [replace(UNKNOWN, state=OrderState.CANCELED, refunded=900, written_off=True)],
            ),
            [],
        ),
        (Facts([], [], acknowledged={"key": frozenset({1})}), ["acknowledged-and-lost"]),
        (Facts([TAKEN], [RUNNING], acknowledged={"key": frozenset({1})}), []),
        (
            Facts([], [], numbers=frozenset({1, 2}), acknowledged={"key": frozenset({1, 2})}),
            ["two-orders-of-one-key"],
        ),
        (Facts([], [], statuses={201: 9, 402: 1, 503: 4}), []),
        (Facts([], [], statuses={500: 1, 502: 2}), ["server-error", "server-error"]),
        (Facts([], [], memory_bytes={"api": MEMORY_BYTES_MAX}), []),
        (Facts([], [], memory_bytes={"api": MEMORY_BYTES_MAX + 1}), ["memory"]),
    ],
)
def test_the_verdict_is_what_the_facts_deserve(facts: Facts, found: list[str]) -> None:
    assert codes(facts) == found


NAIVE_WORKER = """
import json, sys, urllib.parse, urllib.request

url, key, todo, done = sys.argv[1:]
sent = set(open(done).read().split())
for link in open(todo).read().split():
    while link not in sent:
        form = {"key": key, "action": "add", "service": 102, "link": link, "quantity": 100}
        try:
            body = urllib.parse.urlencode(form).encode()
            told = json.load(urllib.request.urlopen(url, body, timeout=0.3))["order"]
        except OSError:
            continue  # it timed out, so it cannot have been taken
        print(json.dumps([link, str(told)]), flush=True)
        with open(done, "a") as file:
            file.write(f"{link}\\n")
        sent.add(link)
"""


@pytest.mark.fault(4)
def test_a_naive_worker_that_sends_again_is_caught_by_the_same_oracle(tmp_path: Path) -> None:
    links = [f"https://www.instagram.com/p/naive-{number}" for number in range(20)]
    todo, done, told = (tmp_path / name for name in ("todo", "done", "told"))
    todo.write_text("\n".join(links))
    done.write_text("")
    provider = Provider(Journal(None), pace=Pace(hang_seconds=1), key="naive")
    provider.faults.switch({"seed": 7, Fault.ACCEPT_THEN_TIMEOUT: 0.4})

    with told.open("ab") as output, in_background(provider) as addresses:
        arguments = [addresses.provider_url, "naive", str(todo), str(done)]

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(  # noqa: S603 - a program of our own
                [sys.executable, "-c", NAIVE_WORKER, *arguments], stdout=output
            )

        with start() as worker:
            until(lambda: provider.accepted_count > 5, 30, "some orders are taken")
            worker.kill()
        with start() as worker:
            assert worker.wait(40) == 0
        taken = [Taken(str(one["provider_order"]), one["link"]) for one in provider.accepted()]

    ids = dict(json.loads(line) for line in told.read_text().splitlines())
    known = [
        replace(RUNNING, id=number, target=link, provider_order=ids.get(link))
        for number, link in enumerate(links)
    ]
    times = Counter(one.target for one in taken)
    assert set(times) == set(links)
    duplicates = sum(times.values()) - len(links)
    assert duplicates > 0
    assert Counter(codes(Facts(taken, known)))["taken-twice"] == duplicates
