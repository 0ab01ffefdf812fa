"""Numbers and texts that are meant to hurt, at a live API and at the database itself."""

import json
from collections.abc import Iterator
from typing import Final
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.faults.conftest import RunningStack
from tests.faults.hostile.desk import Desk, Shop, new_link, uuid_of

pytestmark = [pytest.mark.timeout(180)]

CANARY: Final = "c4n4ry"
HUGE: Final = "1" + "0" * 400

NUMBERS: Final = (
    *("0", "-0", "-1", "2147483648", "9223372036854775807", "9223372036854775808", "1e3", "1e400"),
    *("-1e400", "0.1", "100.0", "NaN", "Infinity", "-Infinity", "0x10", "010", "1_000", HUGE),
    *("9" * 5000, '"5"', '"NaN"', '"١٠٠"', "true", "null", "[]", "{}", "[100]", "\x00", ""),
)
"""As they stand in JSON. None of them is a quantity."""

AMOUNTS: Final = (
    *(
        '"NaN"',
        '"Infinity"',
        '"-Infinity"',
        '"1e400"',
        '"1e3"',
        '"0x1"',
        '"1,000.00"',
        '"1.0000001"',
    ),
    *('"99999999999999"', '"9007199254.740992"', f'"{HUGE}"', f'"0.{"0" * 400}1"', '""', '" 1"'),
    *('"١٫٠٠"', "1", "1.5", "NaN", "1e400", "true", "null", "[]"),
)
"""As they stand in JSON. None of them is an amount of money."""

QUANTITY_MAX: Final = 100_000_000


def orders_in_all(stack: RunningStack) -> tuple[int, int, int]:
    [row] = stack.sql(
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM journal),"
        " (SELECT count(*) FROM services)"
    )
    return tuple(row)


def send(
    desk: Desk, path: str, content: bytes | Iterator[bytes], headers: dict[str, str]
) -> httpx.Response:
    return desk.client.post(
        path,
        content=content,
        headers={"Content-Type": "application/json", "Idempotency-Key": uuid4().hex} | headers,
    )


def assert_refused(answer: httpx.Response, what: str) -> None:
    """By a rule, in a document that says which, and without a word of what was sent."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code} for {what[:80]!r}"
    assert answer.headers["content-type"] == "application/problem+json", what[:80]
    assert answer.json()["code"], what[:80]
    assert CANARY not in answer.text, what[:80]
    assert len(answer.content) < 4096, what[:80]


@pytest.mark.fault(40)
def test_numbers_meant_to_hurt_are_refused_by_the_api_and_make_no_row(
    stack: RunningStack, desk: Desk, shop: Shop
) -> None:
    service = desk.service()
    before = orders_in_all(stack)
    for number in NUMBERS:
        for field in ("quantity", "service_id", "runs"):
            members = {
                "service_id": str(service),
                "link": json.dumps(new_link()),
                "quantity": "100",
                field: number,
            }
            if field == "runs" and number == "null":
                continue  # that is no runs at all
            body = ", ".join(f'"{name}": {text}' for name, text in members.items())
            answer = send(desk, "/v1/orders", f"{{{body}}}".encode(), shop.headers)
            assert_refused(answer, f"{field} {number}")
    for amount in AMOUNTS:
        credit = f'{{"amount": {amount}, "note": "{CANARY}"}}'
        path = f"/v1/operator/resellers/{shop.reseller_id}/credits"
        assert_refused(send(desk, path, credit.encode(), {}), f"credit {amount}")
        price = f'{{"rate": {amount}}}'.encode()
        if amount == "null":
            continue  # that leaves the price as it is
        answer = desk.client.patch(
            f"/v1/operator/services/{service}",
            content=price,
            headers={"Content-Type": "application/json"},
        )
        assert_refused(answer, f"price {amount}")
    assert orders_in_all(stack) == before


@pytest.mark.fault(40)
def test_an_amount_beyond_what_can_be_kept_is_refused_before_it_is_reckoned_in_the_database(
    stack: RunningStack, desk: Desk, shop: Shop
) -> None:
    path = f"/v1/operator/services/{desk.service()}"
    most = {"max_quantity": QUANTITY_MAX}
    too_dear = desk.ask("PATCH", path, most | {"rate": "90072.00"})
    assert_refused(too_dear, "a price at which the largest order cannot be written")
    service = desk.made("PATCH", path, most | {"rate": "90071.00"})["id"]
    before = orders_in_all(stack)
    order = {"service_id": service, "link": new_link(), "quantity": QUANTITY_MAX}
    for more in ({}, {"runs": 100, "interval_minutes": 10}, {"runs": 2**53 - 1}):
        content = json.dumps(order | more).encode()
        assert_refused(send(desk, "/v1/orders", content, shop.headers), str(more))
    content = json.dumps({"orders": [order] * 100}).encode()
    batch = send(desk, "/v1/orders/batch", content, shop.headers)
    assert batch.status_code == httpx.codes.OK
    assert {item["order"] for item in batch.json()["data"]} == {None}
    assert orders_in_all(stack) == before


BAD_VALUES: Final = {
    "orders": (
        *("quantity = 0", "quantity = -1", "quantity = 100000001", "quantity = 2147483648"),
        *("units = 0", "remains = -1", "remains = units + 1", "charge = 0", "charge = -charge"),
        *("held = -1", "held = held + 1", "earned = -1", "refunded = charge + 1", "forfeited = 1"),
        *("held = 9223372036854775807 + 1", "charge = 'NaN'::numeric", "state = 'paid'"),
        *("state = 'completed'", "ended_at = now()", "refunded = 'Infinity'::float8"),
        "charge = charge + 1, held = held + 1",
    ),
    "services": (
        *("rate_micros = 0", "rate_micros = -1", "rate_micros = 'NaN'::numeric"),
        *("rate_micros = 'Infinity'::float8", "rate_micros = 9223372036854775808"),
        *("min_quantity = 0", "min_quantity = max_quantity + 1", "max_quantity = 100000001"),
        *("price_unit = 0", "price_unit = 7", "package_units = 0", "package_units = -1"),
    ),
    "service_routes": ("cost_micros = -1", "cost_micros = 'NaN'::numeric"),
    "accounts": ("balance = -1", "held = -1", "balance = 'NaN'::numeric"),
    "providers": (
        *("in_flight_max = 0", "in_flight_max = 201", "in_flight_max = 32768"),
        *("calls_per_minute = 0", "calls_per_minute = 100001"),
    ),
}
"""What the owner of the tables may try: the database itself refuses."""

REFUSED_BY: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.FeatureNotSupportedError,
)


@pytest.mark.fault(40)
def test_numbers_meant_to_hurt_are_refused_by_the_database_itself(
    stack: RunningStack, desk: Desk, shop: Shop
) -> None:
    provider = desk.provider("https://provider.invalid/api/v2")
    desk.made("POST", f"/v1/operator/providers/{provider}/pause")
    service = desk.service(provider)
    [order_id] = desk.place(shop, service, 1).values()
    rows: dict[str, tuple[str, object]] = {
        "orders": ("id", order_id),
        "services": ("id", service),
        "service_routes": ("service_id", service),
        "providers": ("id", uuid_of(provider)),
        "accounts": ("kind", "wallet"),
    }
    for table, assignments in BAD_VALUES.items():
        column, value = rows[table]
        for assignment in assignments:
            with pytest.raises(REFUSED_BY):
                stack.sql(f"UPDATE {table} SET {assignment} WHERE {column} = $1", value)  # noqa: S608 - from the table above
    for posting in ("0", "'NaN'::numeric", "9223372036854775808"):
        with pytest.raises(REFUSED_BY):
            stack.sql(
                "INSERT INTO postings (journal_id, line, account_id, amount, order_id)"  # noqa: S608 - from the line above
                f" SELECT journal_id, 9, account_id, {posting}, order_id FROM postings"
                " WHERE order_id = $1 LIMIT 1",
                order_id,
            )
    desk.cancel(order_id)


def body(**members: str) -> bytes:
    """An order with these members in the place of its own, as they stand in JSON."""
    whole = {"service_id": "2", "link": json.dumps(new_link()), "quantity": "100"} | members
    return ("{" + ", ".join(f'"{name}": {text}' for name, text in whole.items()) + "}").encode()


LINK: Final = "https://www.instagram.com/p/"
BODIES: Final = {
    "a NUL in a link": body(link=f'"{LINK}\\u0000{CANARY}"'),
    "a lone surrogate in a link": body(link=f'"{LINK}\\ud800{CANARY}"'),
    "a link of 60 kB": body(link=f'"{LINK}{CANARY * 10_000}"'),
    "a link written from the right": body(link=f'"{LINK}\\u202e{CANARY}"'),
    "a link with nothing in it that is seen": body(link='"\\u200b\\u200b"'),
    "a line break in a link": body(link=f'"{LINK}\\r\\n{CANARY}: 1"'),
    "a link that is a script": body(link=f"\"javascript:alert('{CANARY}')\""),
    "a link with a password": body(link=f'"https://u:{CANARY}@www.instagram.com/p/a"'),
    "a NUL in a reference": body(reference=f'"{CANARY}\\u0000"'),
    "a lone surrogate in a reference": body(reference=f'"{CANARY}\\udfff"'),
    "a line break in a reference": body(
        reference=f'"{CANARY}\\r\\n{{\\"event\\": \\"{CANARY}\\"}}"'
    ),
    "an escape sequence in a reference": body(reference=f'"\\u001b[2J{CANARY}"'),
    "a member given twice": body()[:-1] + b', "quantity": 1}',
    "a member of ours": body(charge='"0.01"', status='"completed"', book_id='"x"'),
    "a name that is no text": body()[:-1] + b', "\\ud800": 1}',
    "broken UTF-8": body(reference=f'"{CANARY}\\"').replace(b'\\"', b'\xff\xfe"'),
    "arrays without a bottom": b"[" * 30_000,
    "objects without a bottom": b'{"a":' * 10_000,
    "a file that is no JSON": b"%PDF-1.7 " + CANARY.encode(),
}


@pytest.mark.fault(41)
def test_texts_meant_to_hurt_are_refused_and_leave_no_row_and_no_line_of_theirs_in_the_logs(
    stack: RunningStack, desk: Desk, shop: Shop
) -> None:
    before, logged = orders_in_all(stack), len(stack.log("api"))
    for what, content in BODIES.items():
        assert_refused(send(desk, "/v1/orders", content, shop.headers), what)
    endless = (b" " * 65_536 for _ in range(160))
    assert send(desk, "/v1/orders", endless, shop.headers).status_code == 413
    for path in (
        *(f"/v1/orders/%0d%0a{CANARY}", f"/v1/orders/%00{CANARY}", f"/v1/%1b[2J{CANARY}"),
        *(f"/v1/orders?cursor={CANARY}%0d%0a", f"/v1/orders?reference=%ff{CANARY}%00"),
    ):
        assert_refused(desk.client.get(path, headers=shop.headers), path)
    for name, value in (
        ("X-Request-Id", f"{CANARY}\tforged"),
        ("User-Agent", f"{CANARY}" * 100),
        ("Authorization", f"Bearer {CANARY}"),
    ):
        answer = desk.client.get("/v1/orders", headers=shop.headers | {name: value})
        # 429 where somebody has tried too many keys before.
        assert answer.status_code in {200, 401, 429}
        assert CANARY not in answer.headers["x-request-id"]
    panel = {"key": shop.key, "action": "add", "service": "2", "quantity": "100"}
    for link in (f"{LINK}\x00{CANARY}", f"{LINK}\r\n{CANARY}", f"{LINK}\u202e{CANARY}", CANARY):
        answer = desk.client.post("/api/v2", data=panel | {"link": link})
        assert set(answer.json()) == {"error"}
        assert CANARY not in answer.text
    assert orders_in_all(stack) == before
    lines = stack.log("api")[logged:].splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines), lines
    assert not [line for line in lines if CANARY in line]


@pytest.mark.fault(41)
def test_a_formula_is_kept_as_the_text_that_it_is(desk: Desk, shop: Shop) -> None:
    """What opens it in a spreadsheet escapes it there; what is stored is what was said."""
    formula = "=cmd|' /C calc'!A0"
    content = body(reference=json.dumps(formula))
    answer = send(desk, "/v1/orders", content, shop.headers)
    assert answer.status_code == 201
    assert answer.json()["reference"] == formula
