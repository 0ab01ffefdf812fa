"""The one form in which two links are compared, and where a link leads, told by the link alone."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from app.catalog.links.address import address_of
from app.catalog.links.forms import Platform
from app.catalog.links.messengers import DISCORD, TELEGRAM
from app.catalog.links.meta import FACEBOOK, INSTAGRAM, THREADS
from app.catalog.links.music import SOUNDCLOUD, SPOTIFY
from app.catalog.links.networks import LINKEDIN, PINTEREST, REDDIT, TWITTER, VK
from app.catalog.links.reading import Place, Reader
from app.catalog.links.video import SNAPCHAT, TIKTOK, TWITCH, YOUTUBE

PLATFORMS: Final[tuple[Platform, ...]] = (
    INSTAGRAM,
    FACEBOOK,
    YOUTUBE,
    TIKTOK,
    TWITTER,
    TELEGRAM,
    LINKEDIN,
    SPOTIFY,
    SOUNDCLOUD,
    TWITCH,
    REDDIT,
    PINTEREST,
    THREADS,
    SNAPCHAT,
    DISCORD,
    VK,
)
_DOMAIN_LABELS: Final = (3, 2)
_REMEMBERED: Final = 64
"""One order reads its link several times; no more is remembered than arrives together."""

_READERS: Final = {
    domain: reader
    for platform in PLATFORMS
    for reader in [Reader(platform)]
    for domain in (*platform.hosts, *platform.others)
}


@lru_cache(maxsize=_REMEMBERED)
def place_of(link: str) -> Place:
    """Where a link leads that passed the general check; nothing is fetched."""
    address = address_of(link)
    labels = address.host.split(".")
    for count in _DOMAIN_LABELS:
        domain = ".".join(labels[-count:])
        if domain in _READERS:
            return _READERS[domain].read(address, domain)
    return Place(None, None, address.written())


def canonical_link(link: str) -> str:
    """Equal for links that lead to the same place; canonical already where it stays as it is."""
    return place_of(link).canonical
