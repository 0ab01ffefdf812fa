"""What the demo's resellers order: a fixed mixture, so that two runs can be compared."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

BATCH_SIZE: Final = 10
_BATCHED_SHARE: Final = 3
"""Every third group of ten goes as one batch, the rest as single orders."""

# Services 2 and 4 are offered to the second provider first: half of the mixture.
_MIXTURE: Final = (1, 2, None, 4, 5, 2)
_BY_TURNS: Final = (3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Services that take turns in the place left open in the mixture, so that each type is seen."""

_LINKS: Final = {
    1: "https://www.instagram.com/demo.{}/",
    2: "https://www.instagram.com/p/demo-{}/",
    3: "https://www.tiktok.com/@demo/video/{}",
    4: "https://www.instagram.com/demo.{}/",
    5: "https://www.instagram.com/reel/demo-{}/",
    6: "https://shop-{}.example.com/",
    7: "https://shop-{}.example.com/sale",
    8: "https://x.com/demo/status/{}",
    9: "https://www.youtube.com/watch?v=demo-{:06}",
    10: "https://www.youtube.com/watch?v=demo-{:06}",
    11: "https://www.instagram.com/reel/demo-{}/",
    18: "https://www.facebook.com/groups/demo{}/",
}
"""By service: what it acts on, with the order's number in it; the rest act on a post."""
_POST: Final = "https://www.instagram.com/p/demo-{}/"
_FIELDS: Final[Mapping[int, Mapping[str, Any]]] = {
    6: {"keywords": ["running shoes", "trail shoes"]},
    7: {"country": "US", "device": 5, "type_of_traffic": 1, "google_keyword": "running shoes"},
    8: {"answer_number": 2},
    9: {"username": "demo"},
    10: {"username": "demo"},
    11: {"type": "custom_comments_package"},
    12: {"usernames": ["ada", "grace"]},
    13: {"usernames": ["ada", "grace"], "hashtags": ["sun", "sea"]},
    14: {"usernames": ["ada", "grace", "mary"]},
    15: {"hashtag": "sun"},
    16: {"type": "mentions_user_followers", "username": "https://www.instagram.com/ada/"},
    17: {"media": "https://www.instagram.com/p/liked/"},
    18: {"groups": ["https://www.facebook.com/groups/runners/"]},
}
"""By service: what its type asks for beside the link."""
_COMMENTED: Final = frozenset({5, 10, 11})
_COUNTED: Final = frozenset({4, 5, 10, 11, 14})
"""Services whose orders count themselves."""
_QUANTITY_MAX: Final = 400
"""Of what is asked for by number; so much of the dearest costs less than a demo order may."""
_WORDS: Final = ("great", "lovely", "well done", "wow", "nice one", "more of this", "so good")


_DRIP_FEED: Final = {"quantity": 100, "runs": 3, "interval_minutes": 1}
_SUBSCRIPTION: Final = {"min": 10, "max": 20, "posts": 2, "delay": 0, "spend_cap": "1.00"}


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


def schedules(*, resellers: int) -> list[Errand]:
    """Purchases that are delivered in runs: a drip-feed for each reseller, and a subscription."""
    drip_feeds = [
        Errand(turn, ({"service_id": 1, "link": _LINKS[1].format(f"drip.{turn}"), **_DRIP_FEED},))
        for turn in range(resellers)
    ]
    watched = {"service_id": 19, "username": "demo.watched", **_SUBSCRIPTION}
    return [*drip_feeds, Errand(0, (watched,))]


def _body(number: int, draw: random.Random) -> dict[str, Any]:
    round_, place = divmod(number, len(_MIXTURE))
    service_id = _MIXTURE[place] or _BY_TURNS[round_ % len(_BY_TURNS)]
    body: dict[str, Any] = {
        "service_id": service_id,
        "link": _LINKS.get(service_id, _POST).format(number),
        "reference": f"demo-{number}",
        **_FIELDS.get(service_id, {}),
    }
    if service_id in _COMMENTED:
        body["comments"] = _comments(draw)
    if service_id not in _COUNTED:
        body["quantity"] = draw.randrange(100, _QUANTITY_MAX, 50)
    return body


def _comments(draw: random.Random) -> Sequence[str]:
    return [draw.choice(_WORDS) for _ in range(draw.randint(5, 30))]
