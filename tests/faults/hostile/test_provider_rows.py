"""Providers that hang, break, trickle, stutter or are away: never sent twice, never a guess."""

import gzip
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    Desk,
    Shop,
    assert_each_was_taken_at_most_once,
    uuid_of,
)
from tests.faults.hostile.raw_provider import (
    Call,
    RawProvider,
    Say,
    as_json,
    free_port,
    raw_provider,
    running,
)

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.slow_fault,
]

MEGABYTE: Final = 1024 * 1024
TOTAL_SECONDS: Final = 2.0
"""What one call to a simulated provider may take in all, at the stack's time scale."""


def date_back(stack: RunningStack, order_ids: list[int], hours: int) -> None:
    """Let time pass for these unknown orders: their sending is longer ago, their next look due."""
    for table, moment in (("attempts", "sending_at"), ("inquiries", "sent_at")):
        stack.sql(
            f"UPDATE {table} SET {moment} = {moment} - make_interval(hours => $2)"  # noqa: S608 - ours
            " WHERE order_id = ANY($1)",
            *(order_ids, hours),
        )
    stack.sql(
        "UPDATE work SET due_at = clock_timestamp() WHERE kind = 'reconcile' AND ref = ANY($1)",
        [str(order_id) for order_id in order_ids],
    )


def looks_due(stack: RunningStack, order_ids: list[int]) -> int:
    """How many of these orders wait for a look of the reconciler that is due now."""
    [row] = stack.sql(
        "SELECT count(*) FROM work WHERE kind = 'reconcile' AND due_at <= clock_timestamp()"
        " AND ref = ANY($1)",
        [str(order_id) for order_id in order_ids],
    )
    return int(row[0])


@pytest.mark.fault(18)
def test_accepted_then_timed_out_is_unknown_and_neither_sent_again_nor_refunded_for_a_day(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    def accept_and_hang(call: Call) -> Say:
        provider.accept(call)
        return Say(hangs=True)

    provider.on_add = accept_and_hang
    service = desk.service(desk.provider(provider.url))
    orders = desk.place(shop, service, 4)
    desk.until_states(orders, 30, unknown=4)
    provider.on_add = provider.take
    ids = list(orders.values())

    date_back(stack, ids, hours=23)
    until(lambda: not looks_due(stack, ids), 30, "the reconciler has looked after 23 hours")
    assert stack.states(ids) == {"unknown": 4}
    date_back(stack, ids, hours=1)
    desk.until_states(orders, 30, needs_review=4)
    assert len(provider.submits) == 4
    assert_each_was_taken_at_most_once(stack, provider, orders)

    given = {one.link: str(one.order_id) for one in provider.taken}
    for link, order_id in orders.items():
        answer = desk.resolve(order_id, outcome="accepted", provider_order_id=given[link])
        assert answer.status_code == 200, answer.text
    desk.until_states(orders, 30, completed=4)
    assert len(provider.submits) == 4
    assert_each_was_taken_at_most_once(stack, provider, orders)


def seconds_to_be_taken(
    desk: Desk, shop: Shop, service: int, provider: RawProvider, count: int
) -> list[float]:
    """From asking for an order over HTTP to its provider having it, one after the other."""
    seconds = []
    for _ in range(count):
        known, began = len(provider.taken), time.monotonic()
        desk.place(shop, service, 1)
        until(lambda: len(provider.taken) > known, 30, "the next order is taken")  # noqa: B023 - it is over before the next round
        seconds.append(provider.taken[known].at - began)
    return seconds


def p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


@pytest.mark.fault(19)
def test_server_errors_are_unknown_and_open_the_breaker_and_slow_no_other_provider(
    stack: RunningStack,
    desk: Desk,
    shop: Shop,
    provider: RawProvider,
    record_property: Callable[[str, object], None],
) -> None:
    with raw_provider() as broken:

        def fail(call: Call) -> Say:
            broken.accept(call)
            return Say(b"{}", (500, 502, 503, 504)[len(broken.taken) % 4])

        broken.on_add = fail
        good = desk.service(desk.provider(provider.url))
        # Not called a simulator, so that its breaker stays open for half a minute.
        bad_id = desk.provider(broken.url, in_flight_max=4, simulated=False)
        bad = desk.service(bad_id)
        alone = seconds_to_be_taken(desk, shop, good, provider, 40)

        orders = desk.place(shop, bad, 60)
        beside = seconds_to_be_taken(desk, shop, good, provider, 40)
        until(lambda: breaker_is_open(stack, bad_id), 30, "the breaker is open")
        ids = list(orders.values())
        until(lambda: "submitting" not in stack.states(ids), 30, "what was under way is recorded")
        states = stack.states(ids)
        # Opened at the fifth, with no more under way than the lane allows.
        assert 5 <= states["unknown"] <= 5 + 3
        assert states == {"unknown": states["unknown"], "queued": 60 - states["unknown"]}
        assert len(broken.submits) == states["unknown"]
        assert_each_was_taken_at_most_once(stack, broken, orders)
    record_property("p95 of the others alone, ms", round(1000 * p95(alone)))
    record_property("p95 of the others beside it, ms", round(1000 * p95(beside)))
    # The ratio is about one; what is added is for a machine that is busy with other things.
    assert p95(beside) < 3 * p95(alone) + 0.5


def breaker_is_open(stack: RunningStack, provider_id: str) -> bool:
    [row] = stack.sql(
        "SELECT breaker_open_until FROM providers WHERE id = $1", uuid_of(provider_id)
    )
    return row["breaker_open_until"] is not None


@contextmanager
def watched_transactions(stack: RunningStack) -> Iterator[list[str]]:
    """Which processes of the stack were seen idle in a transaction for over a second meanwhile."""
    seen: list[str] = []
    over = threading.Event()
    idle = (
        "SELECT application_name FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        " AND clock_timestamp() - state_change > interval '1 second'"
    )

    def watch() -> None:
        while not over.wait(0.1):
            seen.extend(row[0] for row in stack.sql(idle))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.fault(20)
def test_a_provider_of_a_byte_a_second_is_given_up_in_time_with_no_transaction_open(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    # Every byte comes in time for the wait for the next one: only the total ends such a call.
    def trickle(call: Call) -> Say:
        order_id = provider.accept(call)
        return Say(
            orjson.dumps({"order": order_id}),
            seconds_per_byte=0.7,
            from_the_head=order_id % 2 == 0,
        )

    provider.on_add = trickle
    service = desk.service(desk.provider(provider.url))
    with watched_transactions(stack) as idle:
        orders = desk.place(shop, service, 4)
        desk.until_states(orders, 30, unknown=4)
    assert idle == []
    rows = stack.sql(
        "SELECT extract(epoch FROM ended_at - sending_at) AS seconds, outcome FROM attempts"
        " WHERE order_id = ANY($1)",
        list(orders.values()),
    )
    assert len(rows) == 4
    for row in rows:
        # Ended by the total time, and recorded soon after on however busy a machine.
        assert TOTAL_SECONDS - 0.5 < row["seconds"] < TOTAL_SECONDS + 5
        assert "TimeoutError" in row["outcome"]
    assert_each_was_taken_at_most_once(stack, provider, orders)


@dataclass(frozen=True, slots=True)
class Garbage:
    """What is answered to an order that was taken, and where that leaves the order."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    leaves: str = "unknown"


def garbage() -> dict[str, Garbage]:
    """Each kind by its name. Made when it is needed: the bomb is a hundred megabytes."""
    bomb = gzip.compress(b'{"order": "' + b"0" * (100 * MEGABYTE) + b'"}')
    return {
        "html": Garbage(
            b"<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html"}
        ),
        "truncated": Garbage(b'{"order": 700'),
        "null": Garbage(b'{"order": null}'),
        "zero": Garbage(b'{"order": 0}'),
        "negative": Garbage(b'{"order": -5}'),
        "fraction": Garbage(b'{"order": 7.5}'),
        "boolean": Garbage(b'{"order": true}'),
        "nested": Garbage(b'{"order": {"id": 7}}'),
        "array": Garbage(b'[{"order": 7}]'),
        "a-text": Garbage(b'"7"'),
        "empty": Garbage(b""),
        "nan": Garbage(b'{"order": NaN}'),
        "twice": Garbage(b'{"order": 7, "order": 8}'),
        "both": Garbage(b'{"order": 7, "error": "Incorrect link"}'),
        "deep": Garbage(b"[" * 200_000),
        "latin": Garbage(b'{"order": "\xff\xfe"}'),
        "huge": Garbage(b'{"order": 7, "more": "' + b"a" * (10 * MEGABYTE) + b'"}'),
        "bomb": Garbage(bomb, headers={"Content-Encoding": "gzip"}),
        "not-gzip": Garbage(b'{"order": 7}', headers={"Content-Encoding": "gzip"}),
        "brotli": Garbage(b'{"order": 7}', headers={"Content-Encoding": "br"}),
        "cut": Garbage(b'{"order": 70011, "status": "success"}', cut_after=14),
        "redirect": Garbage(b"", status=307, headers={"Location": "http://127.0.0.1:1/"}),
        "in-use": Garbage(b'{"order": 4711}'),
        # A mark before the JSON is an oddity of a server's, and no doubt about what it says.
        "bom": Garbage(b'\xef\xbb\xbf{"order": 700901}', leaves="in_progress"),
        # So may an id be spelt: nothing is lost, for an order that cannot be found under it is not
        # refunded either, but given to a person after three polls.
        "word": Garbage(b'{"order": "abc"}', leaves="needs_review"),
    }


@pytest.mark.fault(21)
def test_garbage_is_unknown_and_neither_fills_the_memory_nor_ends_anything(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    """Each kind comes from an account of its own: five in a row would open a breaker."""
    kinds = garbage()

    def spoil(call: Call) -> Say:
        said = kinds[call.path.rsplit("/", 1)[-1]]
        provider.accept(call)
        return Say(said.body, said.status, said.headers, cut_after=said.cut_after)

    def whom(call: Call, payload: object) -> Say:
        unknown = call.path.endswith("/word")
        return as_json({"error": "Incorrect order ID"} if unknown else payload)

    provider.on_status = whom
    provider.progress = running
    ids = {kind: desk.provider(f"{provider.url}/{kind}") for kind in kinds}
    # One of them gave the same id to another order before.
    provider.on_add = lambda call: as_json({"order": 4711, "taken": provider.accept(call)})
    orders = desk.place(shop, desk.service(ids["in-use"]), 1)
    desk.until_states(orders, 30, in_progress=1)

    provider.on_add = spoil
    read_before, memory = len(stack.log("worker")), resident_bytes(stack.pid("worker"))
    by_kind: dict[str, int] = {}
    for kind, account in ids.items():
        placed = desk.place(shop, desk.service(account), 1)
        orders |= placed
        [by_kind[kind]] = placed.values()
    wanted = {kind: said.leaves for kind, said in kinds.items()}

    def states() -> dict[str, str]:
        rows = stack.sql("SELECT id, state FROM orders WHERE id = ANY($1)", list(by_kind.values()))
        found = {row["id"]: row["state"] for row in rows}
        return {kind: found[order_id] for kind, order_id in by_kind.items()}

    unanswered = {"queued", "submitting"}
    until(lambda: unanswered.isdisjoint(states().values()), 60, "all have been answered")
    # The last one is to be polled three times.
    assert states() | {"word": "needs_review"} == wanted
    until(lambda: states() == wanted, 60, "what cannot be found is under review")
    grown = resident_bytes(stack.pid("worker")) - memory
    assert grown < 50 * MEGABYTE, f"{grown / MEGABYTE:.0f} MB more"
    lanes = {str(uuid_of(account)) for account in ids.values()}
    assert raised_in(stack.log("worker")[read_before:], lanes) == []
    rows = stack.sql("SELECT * FROM orders WHERE id = ANY($1)", list(orders.values()))
    assert {(row["refunded"], row["charge"] - row["held"]) for row in rows} == {(0, 0)}
    assert len(provider.submits) == len(provider.taken) == len(kinds) + 1


def raised_in(log: str, lanes: Collection[str]) -> list[str]:
    """What was logged with an exception about these providers, and the end of each exception."""
    lines = [orjson.loads(line) for line in log.splitlines() if "Traceback" in line]
    return [
        f"{line['event']}: {line['exception'][-300:]}"
        for line in lines
        if line.get("lane") in lanes
    ]


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.mark.fault(22)
@pytest.mark.parametrize("asked", ["1", None, "storm"])
def test_too_many_requests_leaves_orders_queued_and_is_not_answered_by_more_requests(
    stack: RunningStack,
    desk: Desk,
    shop: Shop,
    provider: RawProvider,
    record_property: Callable[[str, object], None],
    asked: str | None,
) -> None:
    turned_away = 0

    def limit(call: Call) -> Say:
        """Turns the first away, or in a storm whoever comes within two seconds after the first."""
        nonlocal turned_away
        began = provider.submits[0].at
        storm = asked == "storm" and call.at - began < 2
        if storm or (asked != "storm" and len(provider.submits) == 1):
            turned_away += 1
            headers = {} if asked is None else {"Retry-After": "2" if storm else asked}
            return as_json({"error": "Too many requests"}, 429, headers)
        return provider.take(call)

    provider.on_add = limit
    orders = desk.place(shop, desk.service(desk.provider(provider.url)), 100)
    desk.until_states(orders, 60, completed=100)
    assert turned_away
    record_property("calls per order", len(provider.submits) / len(orders))
    assert len(provider.submits) <= 1.1 * len(orders)
    ids = list(orders.values())
    lost = "SELECT count(*) FROM order_events WHERE order_id = ANY($1) AND type = 'lose'"
    assert stack.sql(lost, ids)[0][0] == 0
    assert set(provider.times_taken().values()) == {1}
    assert_each_was_taken_at_most_once(stack, provider, orders)


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's side of a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(private + certificate.public_bytes(encoding))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@pytest.mark.fault(23)
def test_a_provider_that_cannot_be_reached_was_sent_nothing_and_gets_all_once_it_is_back(
    stack: RunningStack, desk: Desk, shop: Shop, tmp_path: Path
) -> None:
    port = free_port()
    with raw_provider(tls=self_signed(tmp_path)) as untrusted:
        accounts = {
            "refused": desk.provider(f"http://127.0.0.1:{port}/api/v2"),
            "no such host": desk.provider("https://provider.invalid/api/v2"),
            "not to be trusted": desk.provider(untrusted.url),
        }
        placed = {why: desk.place(shop, desk.service(a), 5) for why, a in accounts.items()}
        orders = {link: i for some in placed.values() for link, i in some.items()}
        ids = list(orders.values())
        failed = (
            "SELECT count(DISTINCT lane) FROM work w JOIN attempts a ON a.order_id::text = w.ref"
            " WHERE a.order_id = ANY($1) AND a.state = 'absent'"
        )
        until(lambda: stack.sql(failed, ids)[0][0] == 3, 30, "each of them was tried in vain")
        assert untrusted.submits == []
    attempts = stack.sql("SELECT DISTINCT state FROM attempts WHERE order_id = ANY($1)", ids)
    assert {row["state"] for row in attempts} <= {"leased", "sending", "absent"}
    assert set(stack.states(ids)) <= {"queued", "submitting"}

    with raw_provider(port) as back:
        for account in accounts.values():
            stack.sql(
                "UPDATE providers SET base_url = $2 WHERE id = $1", uuid_of(account), back.url
            )
        until(
            lambda: not any(breaker_is_open(stack, a) for a in accounts.values()),
            *(60, "every breaker is closed again"),
        )
        desk.let_time_pass(orders)
        desk.until_states(orders, 60, completed=15)
        assert len(back.submits) == 15
        assert_each_was_taken_at_most_once(stack, back, orders)
