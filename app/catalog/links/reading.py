"""A platform's forms made ready to read links: patterns compiled once, the first that fits wins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from app.catalog.links.address import Address
from app.catalog.links.forms import Form, Platform, Target, Word


@dataclass(frozen=True, slots=True)
class Place:
    """Where a link leads. `target` is None where the form of the link is not one we know."""

    platform: Platform | None
    target: Target | None
    canonical: str


class Reader:
    """Reads the links of one platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._same = re.compile(platform.same)
        self._forms = [(form, _pattern(form, platform.words)) for form in platform.forms]
        self._words = {
            name: (word, re.compile(word.pattern, re.ASCII | re.DOTALL))
            for name, word in platform.words.items()
        }

    def read(self, address: Address, domain: str) -> Place:
        """`domain` is the one of the platform's that the address is on."""
        host = self._host_key(address.host, domain)
        address = address.on(host or self._platform.hosts[0]).without(self._platform.tracking)
        path = address.decoded_path
        known = None if path is None else next(self._fitting(host + path, address), None)
        return known or Place(self._platform, None, address.written())

    def _host_key(self, host: str, domain: str) -> str:
        """Empty for the usual site, else the host without `www`, under its first domain."""
        subdomain = host.removesuffix(domain).rstrip(".")
        usual = domain in self._platform.hosts
        if usual and (not subdomain or self._same.fullmatch(subdomain)):
            return ""
        if subdomain in {"", "www"}:
            return domain
        return f"{subdomain}.{self._platform.hosts[0] if usual else domain}"

    def _fitting(self, place: str, address: Address) -> Iterator[Place]:
        for form, pattern in self._forms:
            found = pattern.fullmatch(place)
            if found is None:
                continue
            values = found.groupdict() | {
                word or name: address.value_of(name) for name, _, word in _parameters(form)
            }
            words = self._folded(values)
            if words is not None:
                canonical = self._written(form, words, address)
                yield Place(self._platform, form.target, canonical)

    def _folded(self, values: Mapping[str, str | None]) -> dict[str, str] | None:
        """The words in their one spelling; None when one is missing, ill-formed or reserved."""
        folded = {}
        for name, value in values.items():
            word, pattern = self._words[name]
            if value is None or not pattern.fullmatch(value):
                return None
            folded[name] = word.fold(value)
            if folded[name] in word.reserved:
                return None
        return folded

    def _written(self, form: Form, words: Mapping[str, str], address: Address) -> str:
        spelled = {name: _quoted(value) for name, value in words.items()}
        place = form.canonical.format_map(spelled)
        site = self._platform.hosts[0] if place.startswith("/") else ""
        said = {name for name, _, _ in _parameters(form)}
        kept = [
            f"{name}={_quoted(value)}"
            for name in self._platform.kept
            if name not in said and f"{name}=" not in form.canonical
            if (value := address.value_of(name)) is not None
        ]
        joint = "&" if "?" in place else "?"
        return f"https://{site}{place}{joint if kept else ''}{'&'.join(kept)}"


def _parameters(form: Form) -> list[tuple[str, str, str]]:
    return [name.partition(":") for name in form.query]


def _quoted(value: str) -> str:
    return quote(value, safe="", errors="surrogateescape")


def _pattern(form: Form, words: Mapping[str, Word]) -> re.Pattern[str]:
    host, *segments = form.path.split("/")
    tail = segments[-1:] == ["*"]
    read = [
        _segment(part, words) for part in ([host, *segments[:-1]] if tail else [host, *segments])
    ]
    return re.compile("/".join(read) + ("(?:/.*)?" if tail else ""), re.ASCII | re.DOTALL)


def _segment(text: str, words: Mapping[str, Word]) -> str:
    return "(?:" + "|".join(_piece(part, words) for part in text.split("|")) + ")"


def _piece(text: str, words: Mapping[str, Word]) -> str:
    literals_and_words = re.split(r"\{(\w+)\}", text)
    return "".join(
        f"(?P<{part}>{words[part].pattern})" if index % 2 else re.escape(part)
        for index, part in enumerate(literals_and_words)
    )
