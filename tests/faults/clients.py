"""Clients of a stack: what they were told, and some that go on ordering while it is being hurt."""

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import httpx

ORDER_EVERY_SECONDS: Final = 0.1
AGAIN_AFTER_SECONDS: Final = 0.1
CONVERGE_SECONDS_MAX: Final = 60.0
SERVICE: Final = 2


@dataclass(frozen=True, slots=True)
class Heard:
    """What all clients of a stack were answered, kept for the oracle."""

    statuses: Counter[int] = field(default_factory=Counter)
    acknowledged: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def note(self, answer: httpx.Response) -> None:
        """To be hung into a client: sees every answer that came whole."""
        answer.read()
        request = answer.request
        key = request.headers.get("Idempotency-Key")
        is_order = request.method == "POST" and request.url.path == "/v1/orders"
        with self._turn:
            self.statuses[answer.status_code] += 1
            if key and is_order and answer.status_code == HTTPStatus.CREATED:
                self.acknowledged[key].add(answer.json()["id"])

    async def note_async(self, answer: httpx.Response) -> None:
        """The same for an asynchronous client."""
        await answer.aread()
        self.note(answer)


def order_body(**other: Any) -> dict[str, Any]:
    """An order on a link of its own."""
    link = f"https://www.instagram.com/p/{uuid4().hex}"
    return {"service_id": SERVICE, "link": link, "quantity": 100} | other


@dataclass(slots=True)
class Load:
    """Careful clients: each order has a key of its own and is asked for until it is answered."""

    base_urls: Sequence[str]
    reseller_key: str
    heard: Heard
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    ordered: dict[str, int] = field(default_factory=dict)
    """The order number by key, once it is answered."""
    seconds: list[float] = field(default_factory=list)
    """How long each answer of whatever kind took."""
    cut_off: int = 0
    """Requests that ended without an answer."""
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def order_ids(self) -> list[int]:
        return list(self.ordered.values())

    def replay(self) -> None:
        """Ask for every order once more: the same answer, and nothing new."""
        with self._client() as client:
            for key, body in self.bodies.items():
                answer = self._post(client, self.base_urls[0], key, body)
                assert answer is not None
                assert answer.status_code == HTTPStatus.CREATED, answer.text
                assert answer.headers["Idempotency-Replayed"] == "true"
                assert answer.json()["id"] == self.ordered[key]

    def go_on(self) -> None:
        """What one client does until it is told to stop."""
        with self._client() as client:
            while not self.stopping.is_set():
                self._order(client)
                self.stopping.wait(ORDER_EVERY_SECONDS)

    def _order(self, client: httpx.Client) -> None:
        key, body = uuid4().hex, order_body()
        self.bodies[key] = body
        deadline = time.monotonic() + CONVERGE_SECONDS_MAX
        for base_url in itertools.cycle(self.base_urls):
            answer = self._post(client, base_url, key, body)
            if answer is not None and answer.status_code == HTTPStatus.CREATED:
                self.ordered[key] = answer.json()["id"]
                return
            if time.monotonic() > deadline:
                return
            time.sleep(AGAIN_AFTER_SECONDS)

    def _post(
        self, client: httpx.Client, base_url: str, key: str, body: dict[str, Any]
    ) -> httpx.Response | None:
        began = time.monotonic()
        try:
            answer = client.post(
                f"{base_url}/v1/orders", json=body, headers={"Idempotency-Key": key}
            )
        except httpx.TransportError:
            self.cut_off += 1
            return None
        self.seconds.append(time.monotonic() - began)
        return answer

    def _client(self) -> httpx.Client:
        return httpx.Client(
            headers={"Authorization": f"Bearer {self.reseller_key}"},
            event_hooks={"response": [self.heard.note]},
            trust_env=False,
            timeout=30,
        )


@contextmanager
def ordering(load: Load, *, clients: int) -> Iterator[Load]:
    """So many clients order inside the block; after it each of their orders has been answered."""
    threads = [threading.Thread(target=load.go_on, daemon=True) for _ in range(clients)]
    for number, thread in enumerate(threads):
        thread.start()
        # Spread, as strangers would be.
        time.sleep(ORDER_EVERY_SECONDS * number / clients)
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in threads:
            thread.join(2 * CONVERGE_SECONDS_MAX)
    unanswered = set(load.bodies) - set(load.ordered)
    assert not unanswered, f"{len(unanswered)} orders were never answered"
    assert load.ordered, "nothing was ordered"
