"""What the demo's resellers order: a fixed mixture, so that two runs can be compared."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

BATCH_SIZE: Final = 10
_BATCHED_SHARE: Final = 3
"""Every third group of ten goes as one batch, the rest as single orders."""

# Services 2 and 4 are offered to the second provider first: half of the mixture.
_MIXTURE: Final = (1, 2, 3, 4, 5, 2)
_LINKS: Final = {
    1: "https://www.instagram.com/demo.{}/",
    2: "https://www.instagram.com/p/demo-{}/",
    3: "https://www.tiktok.com/@demo/video/{}",
    4: "https://www.instagram.com/demo.{}/",
    5: "https://www.instagram.com/reel/demo-{}/",
}
"""By service: what it acts on, with the order's number in it."""
_WORDS: Final = ("great", "lovely", "well done", "wow", "nice one", "more of this", "so good")


@dataclass(frozen=True, slots=True)
class Errand:
    """One request: a single order, or several as a batch. Its links are used by no other."""

    reseller: int
    orders: tuple[dict[str, Any], ...]

    @property
    def is_batch(self) -> bool:
        return len(self.orders) > 1


def shopping_list(count: int, *, resellers: int, seed: int) -> list[Errand]:
    """`count` orders as requests, by turns of the resellers, in the order in which they go out."""
    draw = random.Random(seed)
    bodies = [_body(number, draw) for number in range(count)]
    turns = cycle(range(resellers))
    errands: list[Errand] = []
    for group, start in enumerate(range(0, count, BATCH_SIZE)):
        some = tuple(bodies[start : start + BATCH_SIZE])
        turn = next(turns)
        if group % _BATCHED_SHARE == 0 and len(some) > 1:
            errands.append(Errand(turn, some))
        else:
            errands.extend(Errand(turn, (one,)) for one in some)
    return errands


def _body(number: int, draw: random.Random) -> dict[str, Any]:
    service_id = _MIXTURE[number % len(_MIXTURE)]
    body: dict[str, Any] = {
        "service_id": service_id,
        "link": _LINKS[service_id].format(number),
        "reference": f"demo-{number}",
    }
    match service_id:
        case 4:
            pass
        case 5:
            body["comments"] = _comments(draw)
        case _:
            body["quantity"] = draw.randrange(100, 1000, 50)
    return body


def _comments(draw: random.Random) -> Sequence[str]:
    return [draw.choice(_WORDS) for _ in range(draw.randint(5, 30))]
