"""Clients that repeat, race and go on after they were shut out: one order, one charge, one end."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

import httpx
import pytest

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.desk import (
    QUANTITY,
    Desk,
    Shop,
    assert_each_was_taken_at_most_once,
    body_of,
    new_link,
)
from tests.faults.hostile.raw_provider import RawProvider, as_json, running, told

pytestmark = [pytest.mark.timeout(180)]

BELIEVED_SECONDS: Final = 0.5
"""For so long, and no longer, a revoked key may still be believed."""
MARGIN_SECONDS: Final = 0.5
PACE_SECONDS: Final = 0.05
BUSY_MAX: Final = 20
ENOUGH: Final = 20
"""So many orders are taken before somebody is shut out."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many requests at once, spread over the API processes of a stack."""

    client: httpx.AsyncClient
    bases: Sequence[str]
    operator: dict[str, str]

    async def post(
        self, path: str, body: object, headers: dict[str, str], *, key: str | None = None
    ) -> httpx.Response:
        """The answer; who is told that we are busy waits and asks again, as all clients should."""
        headers = headers | {"Idempotency-Key": key or uuid4().hex}
        for _ in range(BUSY_MAX):
            url = random.choice(self.bases) + path
            answer = await self.client.post(url, json=body, headers=headers)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return answer
            await asyncio.sleep(int(answer.headers["retry-after"]))
        pytest.fail("the API was busy for too long")


def in_a_crowd(stack: RunningStack, act: Callable[[Crowd], Awaitable[None]]) -> None:
    """Run it with a client of its own for both API processes."""

    async def run() -> None:
        ready = stack.ready()
        limits = httpx.Limits(max_connections=60)
        operator = {"Authorization": f"Bearer {ready['operator_key']}"}
        async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
            await act(Crowd(client, ready["base_urls"], operator))

    asyncio.run(run())


def orders_of(stack: RunningStack, shop: Shop) -> list[int]:
    rows = stack.sql(
        "SELECT o.id FROM orders o JOIN books b ON b.id = o.book_id WHERE b.reseller_id = $1",
        shop.reseller_uuid,
    )
    return [row["id"] for row in rows]


def balance_of(stack: RunningStack, shop: Shop) -> int:
    [row] = stack.sql(
        "SELECT a.balance FROM accounts a JOIN books b ON b.id = a.book_id"
        " WHERE a.kind = 'wallet' AND b.mode = 'live' AND b.reseller_id = $1",
        shop.reseller_uuid,
    )
    return int(row["balance"])


@pytest.mark.fault(32)
def test_one_key_fifty_times_at_once_is_one_order_and_one_charge(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    service = desk.service(desk.provider(provider.url))
    body, key = body_of(service, new_link()), uuid4().hex
    before = balance_of(stack, shop)
    answers: list[httpx.Response] = []

    async def act(crowd: Crowd) -> None:
        posts = (crowd.post("/v1/orders", body, shop.headers, key=key) for _ in range(50))
        answers.extend(await asyncio.gather(*posts))
        answers.append(await crowd.post("/v1/orders", body, shop.headers, key=key))

    in_a_crowd(stack, act)
    taken = [answer for answer in answers if answer.status_code == 201]
    in_flight = [answer for answer in answers if answer.status_code == 409]
    assert len(taken) + len(in_flight) == len(answers)
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in in_flight)
    first = [answer for answer in taken if "idempotency-replayed" not in answer.headers]
    assert len(first) == 1
    assert {answer.content for answer in taken} == {first[0].content}
    assert answers[-1].headers["idempotency-replayed"] == "true"
    [order_id] = orders_of(stack, shop)
    assert first[0].json()["id"] == order_id
    assert before - balance_of(stack, shop) == desk.order(order_id)["charge"]
    orders = {str(body["link"]): order_id}
    desk.until_states(orders, 30, completed=1)
    assert_each_was_taken_at_most_once(stack, provider, orders)


@pytest.mark.fault(33)
def test_a_key_with_another_body_is_refused_and_another_resellers_same_key_is_its_own(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    service = desk.service(desk.provider(provider.url))
    neighbour, key = desk.shop(), uuid4().hex
    mine, other, theirs = (body_of(service, new_link()) for _ in range(3))
    answers: list[httpx.Response] = []

    async def act(crowd: Crowd) -> None:
        for body, headers in (
            (mine, shop.headers),
            (other, shop.headers),
            (mine | {"quantity": QUANTITY + 1}, shop.headers),
            (theirs, neighbour.headers),
            (mine, neighbour.headers),
            (mine, shop.headers),
        ):
            answers.append(await crowd.post("/v1/orders", body, headers, key=key))

    in_a_crowd(stack, act)
    assert [answer.status_code for answer in answers] == [201, 422, 422, 201, 422, 201]
    assert {answers[n].json()["code"] for n in (1, 2, 4)} == {"idempotency-key-reused"}
    assert answers[5].content == answers[0].content
    assert orders_of(stack, shop) == [answers[0].json()["id"]]
    assert orders_of(stack, neighbour) == [answers[3].json()["id"]]
    orders = {
        str(mine["link"]): answers[0].json()["id"],
        str(theirs["link"]): answers[3].json()["id"],
    }
    desk.until_states(orders, 30, completed=2)
    assert_each_was_taken_at_most_once(stack, provider, orders)


@dataclass(slots=True)
class Load:
    """Orders placed as fast as they are answered, until told to stop."""

    crowd: Crowd
    shop: Shop
    service: int
    over: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[tuple[float, int]] = field(default_factory=list)
    """When each was asked for, and how it was answered."""

    placed: dict[str, int] = field(default_factory=dict)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def go_on(self) -> None:
        while not self.over.is_set():
            asked, link = time.monotonic(), new_link()
            body = body_of(self.service, link)
            answer = await self.crowd.post("/v1/orders", body, self.shop.headers)
            self.answers.append((asked, answer.status_code))
            if answer.is_success:
                self.placed[link] = answer.json()["id"]
                if len(self.placed) >= ENOUGH:
                    self.enough.set()
            await asyncio.sleep(PACE_SECONDS)

    def taken_when_asked_after(self, moment: float) -> int:
        return sum(asked > moment and status < 300 for asked, status in self.answers)


async def shut_out(crowd: Crowd, shop: Shop, how: str) -> None:
    path = f"{crowd.bases[0]}/v1/operator/resellers/{shop.reseller_id}"
    if how == "revoked":
        answer = await crowd.client.delete(f"{path}/api-keys/{shop.key_id}", headers=crowd.operator)
    else:
        told_why = {"standing": "suspended", "reason": "the test says so"}
        answer = await crowd.client.post(f"{path}/standing", json=told_why, headers=crowd.operator)
    assert answer.is_success, answer.text


@pytest.mark.fault(37)
@pytest.mark.slow_fault
@pytest.mark.parametrize("how", ["revoked", "suspended"])
def test_who_is_shut_out_under_load_places_no_more_and_what_was_taken_goes_on(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider, how: str
) -> None:
    provider.progress = lambda _order_id, _nth: told("Partial", remains=40)
    service = desk.service(desk.provider(provider.url))
    before = balance_of(stack, shop)
    loads: list[Load] = []
    cut_at = 0.0

    async def act(crowd: Crowd) -> None:
        nonlocal cut_at
        load = Load(crowd, shop, service)
        loads.append(load)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(load.go_on())
            await load.enough.wait()
            await shut_out(crowd, shop, how)
            cut_at = time.monotonic()
            await asyncio.sleep(BELIEVED_SECONDS + MARGIN_SECONDS + 1)
            load.over.set()

    in_a_crowd(stack, act)
    [load] = loads
    # A suspension is exact where money moves; a key is believed for half a second.
    bound = 0.0 if how == "suspended" else BELIEVED_SECONDS + MARGIN_SECONDS
    assert load.taken_when_asked_after(cut_at + bound) == 0
    after = Counter(status for asked, status in load.answers if asked > cut_at + bound)
    assert after, "nothing was tried after the cut"
    assert set(after) <= ({401, 429} if how == "revoked" else {403})

    assert sorted(load.placed.values()) == sorted(orders_of(stack, shop))
    desk.until_states(load.placed, 60, partial=len(load.placed))
    rows = [desk.order(order_id) for order_id in load.placed.values()]
    assert all(row["refunded"] == row["charge"] * 40 // QUANTITY for row in rows)
    spent = sum(row["charge"] - row["refunded"] for row in rows)
    assert balance_of(stack, shop) == before - spent
    assert_each_was_taken_at_most_once(
        stack, provider, load.placed, refunded_by_rule=set(load.placed.values())
    )


def ends_in_the_ledger(stack: RunningStack, order_ids: Sequence[int]) -> Counter[int]:
    """How many journals paid back to a wallet, by order."""
    rows = stack.sql(
        "SELECT p.order_id, count(*) AS times FROM postings p"
        " JOIN accounts a ON a.id = p.account_id AND a.kind = 'wallet'"
        " WHERE p.amount > 0 AND p.order_id = ANY($1) GROUP BY p.order_id",
        list(order_ids),
    )
    return Counter({row["order_id"]: row["times"] for row in rows})


@pytest.mark.fault(38)
@pytest.mark.slow_fault
def test_ten_who_end_an_order_at_once_pay_it_back_once(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    """Half of the orders are running: the follower and cancels may end them. Half are under review:
    operators may.
    """
    denied: set[str] = set()
    flips = False

    def progress(order_id: str, nth: int) -> object:
        if order_id in denied:
            return {"error": "Incorrect order ID"}
        return told("Partial", remains=40) if flips else running(order_id, nth)

    provider.progress = progress
    service = desk.service(desk.provider(provider.url), cancel=True)
    reviewed = desk.place(shop, service, 6)
    until(lambda: len(provider.taken) == len(reviewed), 30, "those are taken")
    denied |= {str(one.order_id) for one in provider.taken}
    desk.until_states(reviewed, 60, needs_review=len(reviewed))
    followed = desk.place(shop, service, 6)
    desk.until_states(followed, 60, in_progress=len(followed))
    answers: dict[int, list[int]] = {
        order_id: [] for order_id in [*reviewed.values(), *followed.values()]
    }

    async def act(crowd: Crowd) -> None:
        async def resolve(order_id: int, **outcome: object) -> None:
            body = {"reason": "the test says so"} | outcome
            path = f"/v1/operator/orders/{order_id}/resolve"
            answer = await crowd.post(path, body, crowd.operator)
            answers[order_id].append(answer.status_code)

        async def cancel(order_id: int, path: str, headers: dict[str, str]) -> None:
            body = {"reason": "the test says so"} if path.startswith("/v1/operator") else None
            answer = await crowd.post(f"{path}/{order_id}/cancel", body, headers)
            answers[order_id].append(answer.status_code)

        def at_once(order_id: int) -> list[Awaitable[None]]:
            return [
                resolve(order_id, outcome="partial", remains=70),
                resolve(order_id, outcome="partial", remains=10),
                resolve(order_id, outcome="canceled"),
                resolve(order_id, outcome="failed"),
                resolve(order_id, outcome="completed"),
                resolve(order_id, outcome="written_off"),
                *(cancel(order_id, "/v1/orders", shop.headers) for _ in range(2)),
                *(cancel(order_id, "/v1/operator/orders", crowd.operator) for _ in range(2)),
            ]

        nonlocal flips
        flips = True
        everyone = [one for order_id in answers for one in at_once(order_id)]
        random.shuffle(everyone)
        await asyncio.gather(*everyone)

    in_a_crowd(stack, act)
    everything = reviewed | followed
    desk.until_over(everything, 60)
    for order_id in reviewed.values():
        assert Counter(answers[order_id]) == {200: 1, 409: 9}
    for order_id in followed.values():
        # A cancel that is asked for moves nothing: how the order ends does.
        assert set(answers[order_id]) <= {200, 409}
        row = desk.order(order_id)
        assert (row["state"], row["refunded"]) == ("partial", row["charge"] * 40 // QUANTITY)
    paid_back = ends_in_the_ledger(stack, list(everything.values()))
    for order_id in everything.values():
        row = desk.order(order_id)
        assert row["refunded"] <= row["charge"]
        assert paid_back[order_id] == (1 if row["refunded"] else 0)
    assert_each_was_taken_at_most_once(
        stack, provider, everything, refunded_by_rule=set(everything.values())
    )


@pytest.mark.fault(39)
@pytest.mark.slow_fault
def test_a_cancel_that_races_the_workers_take_a_hundred_times_never_wins_with_it(
    stack: RunningStack, desk: Desk, shop: Shop, provider: RawProvider
) -> None:
    provider.on_add = lambda call: as_json({"order": provider.accept(call)})
    service = desk.service(desk.provider(provider.url))
    orders: dict[str, int] = {}
    canceled: set[int] = set()
    refused: set[int] = set()

    async def act(crowd: Crowd) -> None:
        turn = asyncio.Semaphore(10)

        async def one_round(number: int) -> None:
            async with turn:
                link = new_link()
                placed = await crowd.post("/v1/orders", body_of(service, link), shop.headers)
                assert placed.status_code == 201, placed.text
                order_id = orders[link] = placed.json()["id"]
                # From at once to when it has long been taken, most of them about the take itself.
                await asyncio.sleep(0.0004 * (number % 50) ** 2)
                path = f"/v1/orders/{order_id}/cancel"
                answer = await crowd.post(path, None, shop.headers)
                assert answer.status_code in {200, 409}, answer.text
                (canceled if answer.is_success else refused).add(order_id)

        await asyncio.gather(*(one_round(number) for number in range(100)))

    in_a_crowd(stack, act)
    assert canceled
    assert refused
    desk.until_over(orders, 60)
    links = {order_id: link for link, order_id in orders.items()}
    times = provider.times_taken()
    for order_id in canceled:
        row = desk.order(order_id)
        assert (row["state"], row["refunded"]) == ("canceled", row["charge"])
        assert times[links[order_id]] == 0
    for order_id in refused:
        row = desk.order(order_id)
        assert (row["state"], row["refunded"]) == ("completed", 0)
        assert times[links[order_id]] == 1
    assert_each_was_taken_at_most_once(stack, provider, orders)
