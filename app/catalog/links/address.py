"""A link taken apart: host, path and query, each in one spelling whatever way it was sent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import (
    SplitResult,
    parse_qsl,
    quote,
    unquote,
    unquote_to_bytes,
    urlencode,
    urlsplit,
)

_ROUTE: Final = re.compile(r"[/!@-]|[0-9]")
"""How a fragment begins that says which page a site's own script shows; all else is an anchor."""

_USUAL_PORTS: Final = {None, 80, 443}
_PATH_SAFE: Final = "@:!$&'()*+,;=~"
_DOT_LIKE: Final = "\u3002"  # the full stop of Chinese and Japanese separates labels as well

_TRACKING_PREFIX: Final = "utm_"
_TRACKING_NAMES: Final = (
    "_ga _gl _hsenc _hsmi dclid epik fbclid gbraid gclid gclsrc igsh igshid li_fat_id mc_cid mc_eid"
    " mibextid msclkid rdt_cid sccid srsltid ttclid twclid wbraid yclid"
)
"""Names that only ever say where a visitor came from, on any site."""
_TRACKING: Final = frozenset(_TRACKING_NAMES.split())


@dataclass(frozen=True, slots=True)
class Address:
    """Where a link leads: lower-case ASCII host, normalised path segments, sorted query.

    `route` is what stands behind a `#` where that names a page and no place in it.
    """

    host: str
    segments: tuple[str, ...]
    query: tuple[tuple[str, str], ...]
    route: str = ""

    @property
    def decoded_path(self) -> str | None:
        """The path in plain text, without empty segments; None where it has no such reading."""
        try:
            parts = [unquote(part, errors="strict") for part in self.segments if part]
        except UnicodeDecodeError:
            return None
        return None if any("/" in part for part in parts) else "".join(f"/{p}" for p in parts)

    def value_of(self, name: str) -> str | None:
        return next((value for key, value in self.query if key == name), None)

    def without(self, names: Collection[str]) -> Address:
        return replace(self, query=tuple(pair for pair in self.query if pair[0] not in names))

    def on(self, host: str) -> Address:
        """The same place on a platform's site, where empty segments mean nothing."""
        return replace(self, host=host, segments=tuple(part for part in self.segments if part))

    def written(self) -> str:
        query = urlencode(self.query, errors="surrogateescape")
        path = "".join(f"/{part}" for part in self.segments)
        route = f"#{self.route}" if self.route else ""
        return f"https://{self.host}{path}{'?' if query else ''}{query}{route}"


def address_of(link: str) -> Address:
    """Read a link that passed the general check. Its scheme, anchor and tracking are dropped."""
    parts = urlsplit(link)
    return Address(_host(parts), _segments(parts.path), _query(parts.query), _route(parts.fragment))


def _host(parts: SplitResult) -> str:
    host = _in_ascii(parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in _USUAL_PORTS else f"{host}:{parts.port}"


def _in_ascii(host: str) -> str:
    """Internationalised names as punycode, as a browser sends them to the name service."""
    if host.isascii():
        return host.lower()
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower())
    labels = plain.replace(_DOT_LIKE, ".").split(".")
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in labels
    )


def _segments(path: str) -> tuple[str, ...]:
    """Percent-encoding in one spelling, dot segments resolved, no slash at the end."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        spelled = quote(unquote_to_bytes(segment), safe=_PATH_SAFE)
        if spelled == "..":
            kept[-1:] = []
        elif spelled != ".":
            kept.append(spelled)
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)


def _route(fragment: str) -> str:
    spelled = quote(unquote_to_bytes(fragment), safe=f"{_PATH_SAFE}/?").rstrip("/")
    return spelled if spelled != "!" and _ROUTE.match(spelled) else ""


def _query(text: str) -> tuple[tuple[str, str], ...]:
    pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
    return tuple(sorted(_without_tracking(pairs), key=lambda pair: pair[0]))


def _without_tracking(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for name, value in pairs:
        plain = name.lower()
        if plain not in _TRACKING and not plain.startswith(_TRACKING_PREFIX):
            yield name, value
