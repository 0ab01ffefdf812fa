"""One subscription's life as a function of time: a post every so often, each paid as it comes."""

import zlib
from dataclasses import dataclass
from typing import Final

from app.simulator.catalog import SimulatedService, money_text

_POSTS_MAX: Final = 1000
"""Where neither posts nor an expiry ends it."""


@dataclass(slots=True)
class SimulatedSubscription:
    """An accepted subscription. Each post gets its own number of units between the two bounds."""

    id: int
    service: SimulatedService
    username: str
    at: float
    min: int
    max: int
    posts: int | None
    expires_at: float | None
    seconds_per_post: float
    canceled_at: float | None = None
    charged_before_micros: int = 0
    """What was charged when the balance was last set anew."""

    @property
    def link(self) -> str:
        return self.username

    @property
    def quantity(self) -> int:
        """What the oracle tells: the most that one post may get."""
        return self.max

    def posts_delivered(self, now: float) -> int:
        ends = [moment for moment in (self.expires_at, self.canceled_at) if moment is not None]
        seconds = max(0.0, min(now, *ends) - self.at) if ends else max(0.0, now - self.at)
        posts_max = _POSTS_MAX if self.posts is None else min(self.posts, _POSTS_MAX)
        if self.seconds_per_post <= 0:
            return posts_max
        return min(posts_max, int(seconds / self.seconds_per_post))

    def charged_micros(self, now: float) -> int:
        posts = range(self.posts_delivered(now))
        return sum(self.service.charge_micros(self._units_of_post(number)) for number in posts)

    @property
    def is_canceled(self) -> bool:
        return self.canceled_at is not None

    def ended(self, now: float) -> bool:
        return self._word(now) != "Active"

    def cancel(self, now: float) -> None:
        """End here, with the posts that were delivered by now."""
        self.canceled_at = now

    def status(self, now: float) -> dict[str, str]:
        """The subscription as `action=status` tells it, everything as text."""
        return {
            "charge": money_text(self.charged_micros(now)),
            "status": self._word(now),
            "posts": str(self.posts_delivered(now)),
            "currency": "USD",
        }

    def _word(self, now: float) -> str:
        if self.canceled_at is not None:
            return "Canceled"
        if self.posts is not None and self.posts_delivered(now) >= self.posts:
            return "Completed"
        return "Expired" if self.expires_at is not None and now >= self.expires_at else "Active"

    def _units_of_post(self, number: int) -> int:
        return self.min + zlib.crc32(f"{self.id} {number}".encode()) % (self.max - self.min + 1)
