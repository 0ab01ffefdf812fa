"""Insiders who change the books are found out, and secrets come out nowhere."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import httpx
import pytest
import redis

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    Desk,
    Shop,
    assert_each_was_taken_at_most_once,
    joining,
)
from tests.faults.hostile.raw_provider import Call, RawProvider, Say, as_json

pytestmark = [pytest.mark.timeout(180)]

APPEND_ONLY: Final = {
    "journal": "kind = kind",
    "postings": "amount = amount + 1",
    "audit_log": "actor = 'nobody'",
    "order_events": "actor = 'nobody'",
}


@pytest.mark.fault(47)
def test_the_books_refuse_a_change_even_to_their_owner(
    stack: RunningStack, desk: Desk, shop: Shop
) -> None:
    order_id = desk.waiting_order(shop)
    for table, assignment in APPEND_ONLY.items():
        for statement in (
            f"UPDATE {table} SET {assignment}",  # noqa: S608 - from the table above
            f"DELETE FROM {table}",  # noqa: S608 - from the table above
            f"TRUNCATE {table} CASCADE",
        ):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="append-only"):
                stack.sql(statement)
    desk.cancel(order_id)


UNGUARDED: Final = """
DO $body$
BEGIN
    ALTER TABLE {table} DISABLE TRIGGER USER;
    {change};
    ALTER TABLE {table} ENABLE TRIGGER USER;
END $body$
"""

POSTING: Final = "UPDATE postings SET amount = amount {by} WHERE order_id = {order}"
HASH: Final = (
    "UPDATE audit_log SET body = {body}, hash = sha256(prev_hash || convert_to(concat_ws('|', seq,"
    " to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US'),"
    " actor, action, subject, {body}), 'UTF8')) WHERE seq = {act}"
)
DRILLS: Final = {
    "one side of a journal": (
        *("postings", f"{POSTING} AND line = 1".replace("{by}", "+ 1000")),
        f"{POSTING} AND line = 1".replace("{by}", "- 1000"),
        {"journal-unbalanced"},
    ),
    "both sides of a journal": (
        *("postings", POSTING.replace("{by}", "* 2"), POSTING.replace("{by}", "/ 2")),
        {"balance-drift", "order-money-drift", "order-not-charged-once"},
    ),
    "a balance": (
        *("accounts", "UPDATE accounts SET balance = balance + 1 WHERE id = '{wallet}'"),
        "UPDATE accounts SET balance = balance - 1 WHERE id = '{wallet}'",
        {"balance-drift"},
    ),
    "who it was": (
        *("audit_log", "UPDATE audit_log SET actor = 'x' || actor WHERE seq = {act}"),
        "UPDATE audit_log SET actor = substr(actor, 2) WHERE seq = {act}",
        {"audit-chain-broken"},
    ),
    "what was done, with a new hash for it": (
        *("audit_log", HASH.replace("{body}", "body || ' '")),
        HASH.replace("{body}", "rtrim(body)"),
        {"audit-chain-broken"},
    ),
}
"""The table, what is changed behind its guards, what puts it right, what it is found by."""


@contextmanager
def tampered(stack: RunningStack, table: str, there: str, back: str) -> Iterator[None]:
    """As somebody does who may switch the guards off; afterwards all is as it was."""
    stack.sql(UNGUARDED.format(table=table, change=there))
    try:
        yield
    finally:
        stack.sql(UNGUARDED.format(table=table, change=back))


def checked_by_the_worker(stack: RunningStack) -> None:
    """Let the next look of the ledger check be due; it is taken every minute."""
    stack.sql(
        "UPDATE work SET due_at = clock_timestamp()"
        " WHERE kind = 'upkeep' AND ref = 'check_ledger' AND lease_token IS NULL"
    )


@pytest.mark.fault(47)
@pytest.mark.slow_fault
@pytest.mark.parametrize("what", DRILLS)
def test_who_changes_the_books_behind_their_guards_is_found_within_one_cycle(
    stack: RunningStack, desk: Desk, shop: Shop, what: str
) -> None:
    table, there, back, codes = DRILLS[what]
    order_id = desk.waiting_order(shop)
    [wallet] = stack.sql(
        "SELECT a.id FROM accounts a JOIN orders o ON o.book_id = a.book_id"
        " WHERE a.kind = 'wallet' AND o.id = $1",
        order_id,
    )
    [act] = stack.sql("SELECT max(seq) - 1 AS seq FROM audit_log")
    names = {"order": order_id, "wallet": wallet["id"], "act": act["seq"]}
    logged = len(stack.log("worker"))
    with tampered(stack, table, there.format(**names), back.format(**names)):
        found = {row[0] for row in stack.violations()}
        assert codes <= found
        checked_by_the_worker(stack)
        wanted = [f'"code": "{code}"' for code in codes]
        until(
            lambda: all(one in stack.log("worker")[logged:] for one in wanted), 60, f"told: {codes}"
        )
        if what == "a balance":
            check = subprocess.run(
                [sys.executable, "-m", "app.cli", "ledger-check"],
                env=joining(stack),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert check.returncode == 1
            assert "balance-drift" in check.stdout
    assert stack.violations() == []
    checked_by_the_worker(stack)
    desk.cancel(order_id)


CARD: Final = "4111111111111111"
"""A number that a card could have."""

COMMENTS: Final = 5


@pytest.mark.fault(48)
@pytest.mark.slow_fault
def test_secrets_that_went_in_come_out_nowhere(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    kept = json.loads((stack.folder / "data" / "secrets.json").read_text())
    provider_key = f"canary-{uuid4().hex}"
    webhook_secret = f"whsec_{uuid4().hex}"
    private = uuid4().hex
    canaries = {
        "a provider's key": provider_key,
        "a reseller's key": shop.key.rsplit("_", 1)[1][12:],
        "an operator's key": kept["operator_key"].rsplit("_", 1)[1][12:],
        "the master key": kept["master_key"],
        "the token for metrics": kept["metrics_token"],
        "a secret in a comment": webhook_secret,
        "a card's number in a comment": CARD,
        "a link": private,
    }
    told: list[str] = []

    # The provider reads our key back to us in everything that it says.
    def parrot(call: Call) -> Say:
        said = {"error": f"Invalid request: key={call.form['key']} {call.form['link']}"}
        return as_json(said) if len(provider.submits) % 2 else Say(f"<html>{said}".encode())

    provider.on_add = parrot
    provider.on_status = lambda call, _payload: as_json({"error": f"no {call.form['key']}"})
    link = f"https://www.instagram.com/p/{private}"
    orders: dict[str, int] = {}
    service = desk.service(desk.provider(provider.url, key=provider_key))
    for number in range(4):
        one = {"service_id": service, "link": f"{link}{number}", "quantity": 100}
        answer = desk.client.post(
            "/v1/orders", json=one, headers=shop.headers | {"Idempotency-Key": uuid4().hex}
        )
        assert answer.status_code == 201, answer.text
        orders[str(one["link"])] = answer.json()["id"]
    desk.until_states(orders, 60, unknown=2, needs_review=2)

    texts = [f"{webhook_secret} {CARD} number {n}" for n in range(COMMENTS)]
    commented = {"service_id": 5, "link": f"{link}c", "comments": texts}
    answer = desk.client.post(
        "/v1/orders", json=commented, headers=shop.headers | {"Idempotency-Key": uuid4().hex}
    )
    assert answer.status_code == 201, answer.text
    desk.until_over({"commented": answer.json()["id"]}, 60)

    told += refusals(desk, shop, commented, provider_key)
    told += [metrics(url, kept["metrics_token"]) for url in metrics_urls(stack)]
    told += [file.read_text(errors="replace") for file in logs(stack)]
    told += in_redis(stack)
    for what, canary in canaries.items():
        assert [text[:500] for text in told if canary in text] == [], what
    assert columns_with(stack, list(canaries.values())) == set()
    assert_each_was_taken_at_most_once(stack, provider, orders)


def refusals(desk: Desk, shop: Shop, body: dict[str, object], provider_key: str) -> list[str]:
    """Secrets sent to where they do not belong: what is answered to that."""
    ask = desk.client.request
    wrong = {"Authorization": f"Bearer {shop.key[:-1]}x"}
    broken = {
        "name": "X",
        "adapter": "panel_v2",
        "base_url": "https://provider.invalid/",
        "credentials": {"key": provider_key, "password": provider_key},
        "currency": "USD",
    }
    key = {"Idempotency-Key": uuid4().hex}
    answers = [
        ask("GET", "/v1/balance", headers=wrong),
        ask("GET", f"/v1/orders?key={shop.key}", headers=wrong),
        ask("GET", f"/v1/orders/{shop.key}", headers=shop.headers),
        ask("POST", "/v1/orders", json=body | {"quantity": shop.key}, headers=shop.headers | key),
        ask("POST", "/v1/orders", json=body | {shop.key: 1}, headers=shop.headers | key),
        ask("POST", "/v1/orders", json=body | {"link": 5}, headers=shop.headers | key),
        ask("POST", "/v1/operator/providers", json=broken),
        ask("POST", "/v1/operator/providers", json=broken | {"adapter": provider_key}),
        ask("POST", "/api/v2", data={"key": shop.key, "action": shop.key}),
        ask("POST", "/api/v2", data={"key": shop.key[:-1], "action": "balance"}),
        ask("GET", f"/api/v2?key={shop.key}&action=add&service=x"),
        ask("GET", f"/nowhere/{shop.key}"),
    ]
    assert all(answer.status_code < 500 for answer in answers)
    # The name of a member is no secret until somebody makes one of it: it is told in the pointer.
    answers.pop(4)
    return [f"{answer.headers}\n{answer.text}" for answer in answers]


def metrics_urls(stack: RunningStack) -> list[str]:
    ready = stack.ready()
    return [f"{base}/metrics" for base in ready["base_urls"]] + [ready["worker_metrics_url"]]


def metrics(url: str, token: str) -> str:
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code == httpx.codes.OK
    return answer.text


def logs(stack: RunningStack) -> list[Path]:
    """What every process of ours and the database wrote; the simulator is not ours."""
    return [
        file
        for file in (stack.folder / "data").rglob("*.log")
        if not file.name.startswith("simulator")
    ]


def in_redis(stack: RunningStack) -> list[str]:
    with redis.Redis.from_url(stack.ready()["redis_url"]) as server:
        names = list(server.scan_iter(count=1000))
        return [repr(name) + repr(server.dump(name)) for name in names]


def columns_with(stack: RunningStack, canaries: Sequence[str]) -> set[tuple[str, str]]:
    """In which columns of ours which of these stand, whatever the column's type."""
    tables = stack.sql(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
    )
    # Of binary columns the text is in hex.
    look = (
        "SELECT '{0}.' || said.key, canary FROM {0} a_row, jsonb_each_text(to_jsonb(a_row)) said,"
        " unnest($1::text[]) canary WHERE strpos(said.value, canary) > 0"
        " OR strpos(said.value, encode(convert_to(canary, 'UTF8'), 'hex')) > 0"
    )
    query = " UNION ".join(look.format(table) for [table] in tables)
    return {(row[0], row[1]) for row in stack.sql(query, list(canaries))}
