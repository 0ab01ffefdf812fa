"""A reseller's software under trouble: it repeats each request with the same key until it is told
what became of it, and keeps everything that it was ever told.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from uuid import uuid4

import httpx

from tests.faults.clients import Heard

FOLLOWERS: Final = 1
LIKES: Final = 2
RUNS: Final = 3
BATCH: Final = 5
SHOPPERS: Final = 6
PAUSE_SECONDS: Final = (0.2, 0.9)
"""Each shopper rests so long between two errands: together they stay below the rate limits."""
REPEAT_SECONDS: Final = 0.5
TROUBLES_MAX: Final = 20
_TOLD_LATER: Final = frozenset(
    {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
)
_TIMEOUT: Final = httpx.Timeout(10, connect=2)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one request asks for: links that nobody else uses, each to be delivered `runs` times."""

    key: str
    links: tuple[str, ...]
    runs: int
    panel: bool
    body: dict[str, Any]

    @property
    def path(self) -> str:
        if self.panel:
            return "/api/v2"
        return "/v1/orders" if len(self.links) == 1 else "/v1/orders/batch"


class Resellers:
    """Several shoppers with one key, who ask the API processes by turns."""

    def __init__(
        self, base_urls: Sequence[str], reseller_key: str, heard: Heard, seed: int
    ) -> None:
        self._base_urls = base_urls
        self._key = reseller_key
        self._heard = heard
        self._seed = seed
        self._wanted: dict[str, Wanted] = {}
        self._orders: dict[str, tuple[int, ...]] = {}
        self.broken = 0
        """Requests that ended without an answer."""
        self.troubles: list[str] = []
        """Answers that no client should ever see."""

    @property
    def acknowledged(self) -> int:
        """How many orders these resellers know that they have."""
        return sum(len(numbers) for numbers in self._orders.values())

    @property
    def unanswered(self) -> set[str]:
        """The keys of requests of which it is not known what became."""
        return self._wanted.keys() - self._orders.keys()

    async def shop(self, seconds: float) -> None:
        """Ask for mixed orders for so long, and until each request has been answered for good."""
        ends_at = time.monotonic() + seconds
        async with self._client() as client:
            await asyncio.gather(*(self._shopper(client, n, ends_at) for n in range(SHOPPERS)))

    async def replay(self) -> list[str]:
        """Send every request once more under its key; what was answered otherwise than before."""
        gate = asyncio.Semaphore(SHOPPERS)
        differing: list[str] = []

        async def once_more(wanted: Wanted) -> None:
            async with gate:
                numbers = await self._until_told(client, wanted)
            if numbers != self._orders.get(wanted.key):
                before = self._orders.get(wanted.key)
                differing.append(f"key {wanted.key}: orders {before}, replayed {numbers}")

        async with self._client() as client:
            await asyncio.gather(*(once_more(one) for one in self._wanted.values()))
        return differing

    async def _shopper(self, client: httpx.AsyncClient, number: int, ends_at: float) -> None:
        draw = random.Random(f"{self._seed}/{number}")
        count = 0
        while time.monotonic() < ends_at:
            wanted = _wanted(draw, f"{self._seed}-{number}-{count}")
            self._wanted[wanted.key] = wanted
            self._orders[wanted.key] = await self._until_told(client, wanted)
            count += 1
            if draw.random() < 0.15:
                await self._cancel(client, draw)
            await asyncio.sleep(draw.uniform(*PAUSE_SECONDS))

    async def _until_told(self, client: httpx.AsyncClient, wanted: Wanted) -> tuple[int, ...]:
        """Repeat a request until it is known what became of it: the orders that it made."""
        while True:
            answer = await self._post(client, wanted.path, wanted)
            if answer is not None and answer.is_success:
                return self._numbers(wanted, answer)
            if answer is not None and answer.status_code not in _TOLD_LATER:
                self._trouble(f"{wanted.path} was answered {answer.status_code}: {answer.text}")
                return ()
            await asyncio.sleep(REPEAT_SECONDS)

    async def _post(
        self, client: httpx.AsyncClient, path: str, wanted: Wanted
    ) -> httpx.Response | None:
        """None for a connection that broke: only the key tells whether anything came of it."""
        url = random.choice(self._base_urls) + path
        try:
            if wanted.panel:
                form = wanted.body | {"key": self._key, "idempotency_key": wanted.key}
                answer = await client.post(url, data=form)
            else:
                headers = {"Idempotency-Key": wanted.key}
                answer = await client.post(url, json=wanted.body, headers=headers)
        except httpx.HTTPError:
            self.broken += 1
            return None
        return answer

    def _numbers(self, wanted: Wanted, answer: httpx.Response) -> tuple[int, ...]:
        said = answer.json()
        if wanted.panel:
            made = [said] if "order" in said else []
            return self._all_made(wanted, [one["order"] for one in made], answer)
        if len(wanted.links) == 1:
            return self._all_made(wanted, [said["id"]], answer)
        made = [item["order"]["id"] for item in said["data"] if item["order"]]
        return self._all_made(wanted, made, answer)

    def _all_made(
        self, wanted: Wanted, numbers: Sequence[int], answer: httpx.Response
    ) -> tuple[int, ...]:
        if len(numbers) != len(wanted.links):
            self._trouble(f"{wanted.path} made {len(numbers)} orders: {answer.text}")
        # Only single orders of v1 are known to `Heard` by themselves.
        self._heard.acknowledged[wanted.key].update(numbers[:1])
        for place, number in enumerate(numbers[1:], 1):
            self._heard.acknowledged[f"{wanted.key}/{place}"].add(number)
        return tuple(numbers)

    async def _cancel(self, client: httpx.AsyncClient, draw: random.Random) -> None:
        """Ask once for the end of some order; whether it was heard, its own end will tell."""
        known = [number for numbers in self._orders.values() for number in numbers]
        if not known:
            return
        url = f"{random.choice(self._base_urls)}/v1/orders/{draw.choice(known)}/cancel"
        try:
            answer = await client.post(url)
        except httpx.HTTPError:
            self.broken += 1
            return
        if not answer.is_success and answer.status_code not in _TOLD_LATER:
            self._trouble(f"a cancel was answered {answer.status_code}: {answer.text}")

    def _trouble(self, what: str) -> None:
        if len(self.troubles) < TROUBLES_MAX:
            self.troubles.append(what)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"},
            event_hooks={"response": [self._heard.note_async]},
            trust_env=False,
            timeout=_TIMEOUT,
        )


def _wanted(draw: random.Random, name: str) -> Wanted:
    """The next errand: most are single orders, some a batch, a drip-feed, or API v2."""
    key = str(uuid4())
    kind = draw.choices(("single", "panel", "batch", "drip"), weights=(6, 2, 1, 1))[0]
    if kind == "batch":
        links = tuple(f"https://www.instagram.com/p/chaos-{name}-{n}" for n in range(BATCH))
        orders = [_body(draw, link) for link in links]
        return Wanted(key, links, 1, panel=False, body={"orders": orders})
    link = f"https://www.instagram.com/p/chaos-{name}"
    if kind == "drip":
        link = f"https://www.instagram.com/chaos.{name.replace('-', '.')}"
        repeat = {"runs": RUNS, "interval_minutes": 1}
        body = {"service_id": FOLLOWERS, "link": link, "quantity": 50, **repeat}
        return Wanted(key, (link,), RUNS, panel=False, body=body)
    if kind == "panel":
        body = {"action": "add", "service": LIKES, "link": link, "quantity": 100}
        return Wanted(key, (link,), 1, panel=True, body=body)
    return Wanted(key, (link,), 1, panel=False, body=_body(draw, link))


def _body(draw: random.Random, link: str) -> dict[str, Any]:
    return {"service_id": LIKES, "link": link, "quantity": draw.randrange(50, 500, 50)}
