"""Links of Spotify and SoundCloud."""

from __future__ import annotations

from typing import Final

from app.catalog.links.forms import CODE, NUMBER, Form, Platform, Target, Word, any_case, each_of

_SPOTIFY_SECTIONS: Final = (
    ("track", Target.TRACK),
    ("album", Target.ALBUM),
    ("artist", Target.ARTIST),
    ("playlist", Target.PLAYLIST),
    ("episode", Target.EPISODE),
    ("show", Target.SHOW),
)
_SPOTIFY_PREFIXES: Final = ("", "/embed", "/intl-{language}")

SPOTIFY: Final = Platform(
    name="spotify",
    title="Spotify",
    hosts=("open.spotify.com", "play.spotify.com", "spotify.com"),
    same="www",
    others=("spotify.link", "spoti.fi"),
    tracking=frozenset({"si", "context", "dlsi", "nd", "pt", "go"}),
    words={
        "id": Word(r"[A-Za-z0-9]{22}"),
        "user": Word(r"[^/]{1,100}"),
        "language": Word(r"[A-Za-z]{2}(?:-[A-Za-z]{2})?"),
        "code": CODE,
    },
    forms=(
        *(
            Form(f"{prefix}/{section}/{{id}}/*", target, f"/{section}/{{id}}")
            for prefix in _SPOTIFY_PREFIXES
            for section, target in _SPOTIFY_SECTIONS
        ),
        Form("/user/{user}/playlist/{id}", Target.PLAYLIST, "/playlist/{id}"),
        Form("/user/{user}", Target.PROFILE, "/user/{user}"),
        Form("/intl-{language}/user/{user}", Target.PROFILE, "/user/{user}"),
        Form("spotify.link/{code}", None, "spotify.link/{code}"),
        Form("spoti.fi/{code}", None, "spoti.fi/{code}"),
    ),
    also={
        "followers": frozenset({Target.PLAYLIST}),
        "plays": frozenset({Target.ARTIST, Target.SHOW}),
    },
)

_PERMALINK: Final = r"[A-Za-z0-9_-]{1,255}"

SOUNDCLOUD: Final = Platform(
    name="soundcloud",
    title="SoundCloud",
    hosts=("soundcloud.com",),
    others=("snd.sc",),
    tracking=frozenset({"si", "ref", "p", "c", "in", "in_system_playlist"}),
    words={
        "name": Word(
            _PERMALINK,
            any_case,
            each_of(
                "charts discover feed getstarted go imprint jobs login logout messages mobile"
                " notifications pages people player popular premium pro search settings signin"
                " stations stream tags tracks upload you"
            ),
        ),
        "track": Word(_PERMALINK, any_case),
        "secret": Word(r"s-[A-Za-z0-9]{1,64}"),
        "secret_token": Word(r"s-[A-Za-z0-9]{1,64}"),
        "number": NUMBER,
        "code": CODE,
    },
    forms=(
        Form("/{name}/sets/{track}/{secret}", Target.PLAYLIST, "/{name}/sets/{track}/{secret}"),
        Form(
            "/{name}/sets/{track}",
            Target.PLAYLIST,
            "/{name}/sets/{track}/{secret_token}",
            query=("secret_token",),
        ),
        Form("/{name}/sets/{track}", Target.PLAYLIST, "/{name}/sets/{track}"),
        Form(
            "/{name}/albums|comments|followers|following|likes|popular-tracks|reposts|sets|tracks",
            Target.PROFILE,
            "/{name}",
        ),
        Form("/{name}/{track}/{secret}", Target.TRACK, "/{name}/{track}/{secret}"),
        Form(
            "/{name}/{track}",
            Target.TRACK,
            "/{name}/{track}/{secret_token}",
            query=("secret_token",),
        ),
        Form("/{name}/{track}", Target.TRACK, "/{name}/{track}"),
        Form("/{name}", Target.PROFILE, "/{name}"),
        Form(
            "api.soundcloud.com/tracks/{number}", Target.TRACK, "api.soundcloud.com/tracks/{number}"
        ),
        Form("on.soundcloud.com/{code}", None, "on.soundcloud.com/{code}"),
    ),
)
