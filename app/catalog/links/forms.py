"""The language in which a platform's links are described: words, forms, and the platform itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Target(StrEnum):
    """What a link points at; a refusal names it by its value."""

    PROFILE = "profile"
    CHANNEL = "channel"
    GROUP = "group"
    INVITE = "invite"
    ARTIST = "artist"
    SHOW = "show"
    BOARD = "board"
    POST = "post"
    VIDEO = "video"
    STORY = "story"
    LIVE = "live stream"
    TRACK = "track"
    ALBUM = "album"
    PLAYLIST = "playlist"
    EPISODE = "episode"


def as_written(text: str) -> str:
    return text


def any_case(text: str) -> str:
    """For names that a platform compares without case; other scripts keep theirs, to be sure."""
    return text.lower() if text.isascii() else text


def each_of(words: str) -> frozenset[str]:
    """A set of words, written as one line is: long lists of them are read, not scanned."""
    return frozenset(words.split())


@dataclass(frozen=True, slots=True)
class Word:
    """What may stand in one place of a link, and how its spellings become one.

    `reserved` words, in their one spelling, are pages of the platform's own and never a name.
    """

    pattern: str
    fold: Callable[[str], str] = as_written
    reserved: frozenset[str] = frozenset()


NUMBER: Final = Word(r"[0-9]{1,20}")
CODE: Final = Word(r"[A-Za-z0-9_-]{1,128}")
SLUG: Final = Word(r"[^/]{1,512}")


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which a platform writes links.

    `path` has segments of literals, `{word}`s and alternatives with `|`; a last `*` stands for any
    further segments. It begins with a host where that is not the platform's usual one. `query`
    names the parameters that must be there, each of them a word too, or with the word that it is
    behind a colon. `canonical` is filled with the words, and must itself be of a form that reads it
    back as it is.
    """

    path: str
    target: Target | None
    canonical: str
    query: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """One platform's links.

    `hosts` show the same pages, also under the subdomains that `same` matches; the first stands in
    canonical links. `others` are its too, with paths of their own. Of a query, a form keeps what
    it names and `kept`; where no form fits, all stays but `tracking`. `also` adds targets that a
    kind of service may have on this platform.
    """

    name: str
    title: str
    hosts: tuple[str, ...]
    words: Mapping[str, Word]
    forms: tuple[Form, ...]
    same: str = "www|m|mobile"
    others: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    tracking: frozenset[str] = frozenset()
    also: Mapping[str, frozenset[Target]] = field(default_factory=dict)

    def targets(self) -> list[Target]:
        """All that its links are known to point at, in the order of `Target`."""
        known = {form.target for form in self.forms}
        return [target for target in Target if target in known]
