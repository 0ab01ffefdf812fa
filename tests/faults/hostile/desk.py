"""What operators and resellers do over HTTP on a running stack, and the verdict on their orders."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from tests.faults.conftest import RunningStack, until
from tests.faults.hostile.raw_provider import RawProvider

RATE: Final = "1.00"
QUANTITY: Final = 100
LOOK_AGAIN_SECONDS: Final = 0.1
HANGING: Final = frozenset({"unknown", "needs_review"})


@dataclass(frozen=True, slots=True)
class Shop:
    """A reseller with a key of its own."""

    reseller_id: str
    key_id: str
    key: str

    @property
    def reseller_uuid(self) -> UUID:
        return uuid_of(self.reseller_id)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@dataclass(frozen=True, slots=True)
class Desk:
    """An operator who sets the scene of a fault, by the routes that operators have."""

    stack: RunningStack
    client: httpx.Client

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        return self.client.request(method, path, json=body, headers=headers)

    def made(self, method: str, path: str, body: object = None) -> Any:
        answer = self.ask(method, path, body, **{"Idempotency-Key": uuid4().hex})
        assert answer.is_success, answer.text
        return answer.json()

    def provider(
        self, url: str, *, in_flight_max: int = 8, simulated: bool = True, key: str = "k"
    ) -> str:
        """An account with it. What is called a simulator has its waits divided by sixty."""
        told = {
            "name": f"Provider {uuid4().hex}",
            "adapter": "panel_v2",
            "base_url": url,
            "credentials": {"key": key},
            "currency": "USD",
            "in_flight_max": in_flight_max,
            "calls_per_minute": 100_000,
            "simulated": simulated,
        }
        made: str = self.made("POST", "/v1/operator/providers", told)["id"]
        return made

    def service(self, *provider_ids: str, cancel: bool = False) -> int:
        """One on sale, delivered by these."""
        service = self.made(
            "POST",
            "/v1/operator/services",
            {
                "name": "Hostile Likes",
                "category": "Instagram Likes",
                "platform": "instagram",
                "kind": "likes",
                "type": "default",
                "tier": "standard",
                "rate": RATE,
                "min_quantity": 1,
                "max_quantity": 1_000_000,
                "cancel": cancel,
            },
        )
        path = f"/v1/operator/services/{service['id']}"
        word = {"method": "advertising", "document": "A test delivers, to nobody."}
        self.made("PUT", f"{path}/attestation", word)
        for priority, provider_id in enumerate(provider_ids):
            route = {"provider_id": provider_id, "provider_service": "1", "cost": "0.50"}
            self.made("POST", f"{path}/routes", route | {"priority": priority})
        self.made("PATCH", path, {"state": "on_sale"})
        return int(service["id"])

    def shop(self) -> Shop:
        """A reseller with money to spend."""
        email = f"{uuid4().hex}@example.com"
        person = {"name": "Shop", "email": email, "country": "DE"}
        reseller = self.made("POST", "/v1/operator/resellers", person)["id"]
        path = f"/v1/operator/resellers/{reseller}"
        scopes = ["orders:read", "orders:write", "account"]
        key = self.made("POST", f"{path}/api-keys", {"name": "shop", "scopes": scopes})
        self.made("POST", f"{path}/credits", {"amount": "100.00", "note": "to spend"})
        return Shop(reseller, key["id"], key["key"])

    def place(self, shop: Shop, service_id: int, count: int) -> dict[str, int]:
        """So many orders, each on a link of its own: link → order id."""
        links = [new_link() for _ in range(count)]
        orders = [body_of(service_id, link) for link in links]
        answer = self.client.post(
            "/v1/orders/batch",
            json={"orders": orders},
            headers=shop.headers | {"Idempotency-Key": uuid4().hex},
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        items = answer.json()["data"]
        return {link: item["order"]["id"] for link, item in zip(links, items, strict=True)}

    def waiting_order(self, shop: Shop) -> int:
        """One that stays queued: its only provider is paused."""
        provider_id = self.provider("https://provider.invalid/api/v2")
        self.made("POST", f"/v1/operator/providers/{provider_id}/pause")
        [order_id] = self.place(shop, self.service(provider_id), 1).values()
        return order_id

    def cancel(self, order_id: int) -> None:
        self.made("POST", f"/v1/operator/orders/{order_id}/cancel", {"reason": "it is over"})

    def resolve(self, order_id: int, **resolution: object) -> httpx.Response:
        path = f"/v1/operator/orders/{order_id}/resolve"
        told = {"reason": "the test says so"} | resolution
        return self.ask("POST", path, told, **{"Idempotency-Key": uuid4().hex})

    def let_time_pass(self, orders: Mapping[str, int]) -> None:
        """Whatever is to be done for these orders, and is not being done, is due now."""
        self.stack.sql(
            "UPDATE work SET due_at = clock_timestamp() WHERE lease_token IS NULL"
            " AND ref = ANY($1)",
            [str(order_id) for order_id in orders.values()],
        )

    def order(self, order_id: int) -> Any:
        """Its row, with the provider's id for it."""
        [row] = self.stack.sql("SELECT * FROM orders WHERE id = $1", order_id)
        return row

    def until_states(self, orders: Mapping[str, int], seconds: float, **counts: int) -> None:
        ids = list(orders.values())
        wanted = unhurried(lambda: self.stack.states(ids) == counts)
        until(wanted, seconds, f"the orders are {counts}")

    def until_over(self, orders: Mapping[str, int], seconds: float, *besides: str) -> None:
        ids = list(orders.values())
        over = unhurried(lambda: self.stack.are_over(ids, besides=besides))
        until(over, seconds, "the orders have ended")


def unhurried(condition: Callable[[], bool]) -> Callable[[], bool]:
    """The same, looked at less often: each look is a connection of its own to the database."""

    def look() -> bool:
        came_true = condition()
        if not came_true:
            time.sleep(LOOK_AGAIN_SECONDS)
        return came_true

    return look


def new_link() -> str:
    return f"https://www.instagram.com/p/{uuid4().hex}"


def body_of(service_id: int, link: str) -> dict[str, object]:
    return {"service_id": service_id, "link": link, "quantity": QUANTITY}


def assert_each_was_taken_at_most_once(
    stack: RunningStack,
    provider: RawProvider,
    orders: Mapping[str, int],
    *,
    refunded_by_rule: Collection[int] = (),
) -> None:
    """The oracle's verdict. No order was taken twice; one that was taken is known by its id, or
    hangs with its money held; one that was not is not being delivered. Money went back only for
    the orders of which the provider itself said that it had not delivered.
    """
    times, given = provider.times_taken(), {one.link: one.order_id for one in provider.taken}
    assert [link for link, count in times.items() if count > 1] == []
    assert set(times) <= set(orders), "taken without an order of ours"
    rows = stack.sql("SELECT * FROM orders WHERE id = ANY($1)", list(orders.values()))
    by_id = {row["id"]: row for row in rows}
    assert set(by_id) == set(orders.values()), "an order was lost"
    for link, order_id in orders.items():
        row = by_id[order_id]
        if link in times:
            is_known = row["provider_order_id"] == str(given[link])
            hangs = row["state"] in HANGING and row["held"] == row["charge"]
            assert is_known or hangs, f"taken and not known: {dict(row)}"
            assert row["refunded"] == 0 or order_id in refunded_by_rule, dict(row)
        else:
            assert row["state"] not in {"in_progress", "completed", "partial"}, dict(row)


def joining(stack: RunningStack) -> dict[str, str]:
    """The environment of a process that joins the stack, as a second shell would."""
    # Without compiled modules it would spend seconds on compiling its own.
    unwanted = ("SMMOS_", "PYTHONDONTWRITEBYTECODE")
    ours = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    return ours | {"SMMOS_DATA_DIR": str(stack.folder / "data")}


@contextmanager
def another_worker(
    stack: RunningStack,
    script: str | None = None,
    *,
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """A second worker runs beside the stack's own, perhaps with something done to it."""
    what = ["-m", "app.cli", "worker"] if script is None else ["-c", script]
    log = stack.folder / f"worker-{time.monotonic_ns()}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, *what],
            env=dict(environment or joining(stack)),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: "worker_started" in log.read_text(), 90, "another worker runs")
        yield
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def workers_say(stack: RunningStack) -> str:
    """What the stack's worker and those beside it have logged."""
    logs = [*stack.folder.glob("worker-*.log"), stack.folder / "data" / "worker.log"]
    return "".join(log.read_text(errors="replace") for log in logs)


def uuid_of(public_id: str) -> UUID:
    """The database's id for what the API shows as `prv_…`, `rsl_…` and so on."""
    return UUID(public_id.rpartition("_")[2])
