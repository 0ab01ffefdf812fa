"""Whether a link fits what is sold: its platform, and what a kind of service acts on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from app.catalog.links.canonical import PLATFORMS, place_of
from app.catalog.links.forms import Platform, Target

WEBSITE: Final = "website"
"""The platform of services for which a link may lead anywhere."""

KNOWN_PLATFORMS: Final = (*(platform.name for platform in PLATFORMS), WEBSITE)

_BY_NAME: Final = {platform.name: platform for platform in PLATFORMS}
_ALIASES: Final = dict.fromkeys(
    ("x", "x (twitter)", "x/twitter", "twitter (x)", "twitter/x"), "twitter"
)

_AUDIENCE: Final = frozenset(
    {
        Target.PROFILE,
        Target.CHANNEL,
        Target.GROUP,
        Target.INVITE,
        Target.ARTIST,
        Target.SHOW,
        Target.BOARD,
    }
)
_CONTENT: Final = frozenset(
    {
        Target.POST,
        Target.VIDEO,
        Target.STORY,
        Target.LIVE,
        Target.TRACK,
        Target.ALBUM,
        Target.PLAYLIST,
        Target.EPISODE,
        Target.BOARD,
    }
)
_TARGETS: Final = {
    **dict.fromkeys(("followers", "subscribers", "members", "friends", "connections"), _AUDIENCE),
    **dict.fromkeys(("likes", "comments", "views", "shares", "saves", "plays"), _CONTENT),
    **dict.fromkeys(("reactions", "reposts", "retweets", "upvotes", "watch hours"), _CONTENT),
    "story views": frozenset({Target.STORY, Target.PROFILE}),
    "live views": frozenset(
        {Target.LIVE, Target.VIDEO, Target.POST, Target.PROFILE, Target.CHANNEL}
    ),
}
KNOWN_KINDS: Final = tuple(_TARGETS)


def platform_word(text: str) -> str:
    """An operator's word for a platform, in the spelling in which it is kept."""
    word = " ".join(text.lower().split())
    return _ALIASES.get(word, word)


def kind_word(text: str) -> str:
    """An operator's word for what a service delivers, in the spelling in which it is kept."""
    return " ".join(text.lower().replace("_", " ").split())


def broken_rule(link: str, *, platform: str, kind: str) -> str | None:
    """Why the link cannot be what the service acts on; None unless that is certain.

    A host that no platform is known to own may forward to any, and a form that is not known may
    be a new one: the provider judges those.
    """
    wanted = _BY_NAME.get(platform_word(platform))
    if wanted is None:
        return None
    place = place_of(link)
    if place.platform is None:
        return None
    if place.platform is not wanted:
        return f"must be {_an(wanted.title)} link"
    if place.target is None:
        return None
    targets = _targets(wanted, kind_word(kind))
    if not targets or place.target in targets:
        return None
    return f"must point at {_an(wanted.title)} {_one_of(targets)}"


def _targets(platform: Platform, kind: str) -> list[Target]:
    """What such a service acts on there; empty where we do not know."""
    allowed = _TARGETS.get(kind, frozenset()) | platform.also.get(kind, frozenset())
    return [target for target in platform.targets() if target in allowed]


def _an(title: str) -> str:
    return f"{'an' if title[0] in 'AEIOX' else 'a'} {title}"


def _one_of(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last
