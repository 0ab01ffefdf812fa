"""What an order of each type must say, and how much it is for: the simulator's own count."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from app.simulator.catalog import PACKAGES, SimulatedService, WireType

_WHOLE: Final = re.compile(r"[0-9]{1,15}")
_LINK_CHARS_MAX: Final = 2048
_RUNS_MAX: Final = 1000

_TEXTS: Final[Mapping[WireType, tuple[str, ...]]] = {
    WireType.SEO: ("keywords",),
    WireType.CUSTOM_COMMENTS: ("comments",),
    WireType.CUSTOM_COMMENTS_PACKAGE: ("comments",),
    WireType.MENTIONS: ("usernames",),
    WireType.MENTIONS_WITH_HASHTAGS: ("usernames", "hashtags"),
    WireType.MENTIONS_CUSTOM_LIST: ("usernames",),
    WireType.MENTIONS_HASHTAG: ("hashtag",),
    WireType.MENTIONS_USER_FOLLOWERS: ("username",),
    WireType.MENTIONS_MEDIA_LIKERS: ("media",),
    WireType.COMMENT_LIKES: ("username",),
    WireType.COMMENT_REPLIES: ("username", "comments"),
    WireType.POLL: ("answer_number",),
    WireType.INVITES_FROM_GROUPS: ("groups",),
    WireType.SUBSCRIPTIONS: ("username", "min", "max", "delay"),
    WireType.WEB_TRAFFIC: ("country", "device", "type_of_traffic"),
}
"""What must be there beside link and quantity."""

_COUNTED: Final[Mapping[WireType, str]] = {
    WireType.CUSTOM_COMMENTS: "comments",
    WireType.COMMENT_REPLIES: "comments",
    WireType.MENTIONS_CUSTOM_LIST: "usernames",
}
_BETWEEN: Final[Mapping[str, tuple[int, int]]] = {
    "answer_number": (0, 1000),
    "device": (1, 5),
    "type_of_traffic": (1, 3),
    "delay": (0, 600),
}
_TRAFFIC: Final[Mapping[int, str]] = {1: "google_keyword", 2: "referring_url"}


class Unfit(ValueError):
    """The order cannot be taken as it is; the message is the standard's sentence for it."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a subscription asks for."""

    min: int
    max: int
    posts: int | None
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an order asks for; of a subscription `quantity` is the most for one post."""

    link: str
    quantity: int
    runs: int = 1
    terms: Terms | None = None


def read(service: SimulatedService, form: Mapping[str, str]) -> Wanted:
    """What the form asks of this service. Raises Unfit."""
    if any(not form.get(field, "").strip() for field in _TEXTS.get(service.type, ())):
        raise Unfit("Incorrect request")
    for field, (least, most) in _BETWEEN.items():
        if field in form and not least <= _number(form, field) <= most:
            raise Unfit("Incorrect request")
    if service.type is WireType.SUBSCRIPTIONS:
        return _subscription(service, form)
    link = form.get("link", "")
    if not link.startswith(("http://", "https://")) or len(link) > _LINK_CHARS_MAX:
        raise Unfit("Bad link")
    if service.type is WireType.WEB_TRAFFIC:
        source = _TRAFFIC.get(_number(form, "type_of_traffic"))
        if source is not None and not form.get(source):
            raise Unfit("Incorrect request")
    quantity = _quantity(service, form)
    _within(service, quantity, quantity)
    return Wanted(link, quantity, _runs(service, form))


def whole(text: str) -> int | None:
    """A whole number in plain digits, or none."""
    return int(text) if _WHOLE.fullmatch(text.strip()) else None


def _quantity(service: SimulatedService, form: Mapping[str, str]) -> int:
    if service.type in PACKAGES:
        return 1
    counted = _COUNTED.get(service.type)
    if counted is None:
        return _number(form, "quantity")
    return sum(1 for line in form[counted].splitlines() if line.strip())


def _runs(service: SimulatedService, form: Mapping[str, str]) -> int:
    if not form.get("runs"):
        return 1
    runs = _number(form, "runs")
    if not service.dripfeed or not 1 <= runs <= _RUNS_MAX or _number(form, "interval") < 1:
        raise Unfit("Incorrect request")
    return runs


def _subscription(service: SimulatedService, form: Mapping[str, str]) -> Wanted:
    least, most = _number(form, "min"), _number(form, "max")
    if not 1 <= least <= most:
        raise Unfit("Incorrect request")
    _within(service, least, most)
    posts = _number(form, "posts") + _number(form, "old_posts", "0") if form.get("posts") else None
    terms = Terms(least, most, posts, _end_of_day(form.get("expiry", "")))
    return Wanted(form["username"], most, terms=terms)


def _within(service: SimulatedService, least: int, most: int) -> None:
    if least < service.min:
        raise Unfit(f"Quantity less than minimal {service.min}")
    if most > service.max:
        raise Unfit(f"Quantity more than maximum {service.max}")


def _number(form: Mapping[str, str], field: str, otherwise: str = "") -> int:
    number = whole(form.get(field) or otherwise)
    if number is None:
        raise Unfit("Incorrect request")
    return number


def _end_of_day(expiry: str) -> float | None:
    if not expiry:
        return None
    try:
        day, month, year = map(int, expiry.split("/"))
        midnight = datetime(year, month, day, tzinfo=UTC)
    except ValueError as error:
        raise Unfit("Incorrect request") from error
    return (midnight + timedelta(days=1)).timestamp()
