"""Links of Telegram and Discord."""

from __future__ import annotations

from typing import Final

from app.catalog.links.forms import CODE, NUMBER, Form, Platform, Target, Word, any_case, each_of

TELEGRAM: Final = Platform(
    name="telegram",
    title="Telegram",
    hosts=("t.me", "telegram.me", "telegram.dog"),
    same="www",
    others=("telegram.org",),
    kept=(
        *("boost", "comment", "game", "start", "startapp", "startattach", "startgroup"),
        *("livestream", "videochat"),
    ),
    tracking=frozenset({"single", "t", "thread", "embed", "mode"}),
    words={
        # A name does not say whether it is a channel's, a group's, a person's or a bot's.
        "name": Word(
            r"[A-Za-z][A-Za-z0-9_]{3,31}",
            any_case,
            each_of(
                "addemoji addlist addstickers addtheme boost confirmphone contact giftcode invoice"
                " joinchat login proxy setlanguage share socks"
            ),
        ),
        "message": NUMBER,
        "topic": NUMBER,
        "chat": NUMBER,
        "phone": Word(r"[0-9]{7,15}"),
        "hash": Word(r"[A-Za-z0-9_-]{8,64}"),
    },
    forms=(
        Form("/+{phone}", Target.PROFILE, "/+{phone}"),
        Form("/+{hash}", Target.INVITE, "/+{hash}"),
        Form("/joinchat/{hash}", Target.INVITE, "/+{hash}"),
        Form("/c/{chat}/{message}", Target.POST, "/c/{chat}/{message}"),
        Form("/c/{chat}/{topic}/{message}", Target.POST, "/c/{chat}/{message}"),
        Form("/boost/{name}", Target.CHANNEL, "/{name}?boost="),
        Form("/{name}/s/{message}", Target.STORY, "/{name}/s/{message}"),
        Form("/s/{name}/{message}", Target.POST, "/{name}/{message}"),
        Form("/s/{name}", Target.CHANNEL, "/{name}"),
        Form("/{name}/{message}", Target.POST, "/{name}/{message}"),
        Form("/{name}/{topic}/{message}", Target.POST, "/{name}/{message}"),
        Form("/{name}", Target.CHANNEL, "/{name}"),
        Form("{name}.t.me", Target.CHANNEL, "/{name}"),
        Form("{name}.t.me/{message}", Target.POST, "/{name}/{message}"),
    ),
)

DISCORD: Final = Platform(
    name="discord",
    title="Discord",
    hosts=("discord.com", "discordapp.com"),
    same="www|m|ptb|canary",
    others=("discord.gg",),
    words={"code": CODE, "guild": NUMBER, "channel": NUMBER, "message": NUMBER, "id": NUMBER},
    forms=(
        Form("/invite/{code}", Target.INVITE, "/invite/{code}"),
        Form("discord.gg/{code}", Target.INVITE, "/invite/{code}"),
        Form("discord.gg/invite/{code}", Target.INVITE, "/invite/{code}"),
        Form(
            "/channels/{guild}/{channel}/{message}",
            Target.POST,
            "/channels/{guild}/{channel}/{message}",
        ),
        Form("/channels/{guild}/{channel}", Target.CHANNEL, "/channels/{guild}/{channel}"),
        Form("/users/{id}", Target.PROFILE, "/users/{id}"),
    ),
)
