"""Links of YouTube, TikTok, Twitch and Snapchat."""

from __future__ import annotations

from typing import Final

from app.catalog.links.forms import CODE, NUMBER, Form, Platform, Target, Word, any_case, each_of

YOUTUBE: Final = Platform(
    name="youtube",
    title="YouTube",
    hosts=("youtube.com", "youtube-nocookie.com"),
    same="www|m|music|gaming",
    others=("youtu.be",),
    kept=("lc",),
    tracking=frozenset({"si", "feature", "app", "pp", "ab_channel", "t", "start", "index"}),
    words={
        "v": Word(r"[A-Za-z0-9_-]{11}"),
        "list": CODE,
        "lb": CODE,
        # Names may be of any script, whose vowel signs are no letters to a regular expression.
        "handle": Word(r"[^/@]{1,100}", any_case),
        "name": Word(r"[^/@]{1,100}", any_case),
        "channel": Word(r"UC[A-Za-z0-9_-]{22}"),
        "code": CODE,
    },
    forms=(
        Form("/watch", Target.VIDEO, "/watch?v={v}", query=("v",)),
        Form("/embed/videoseries", Target.PLAYLIST, "/playlist?list={list}", query=("list",)),
        Form("/embed/live_stream", Target.LIVE, "/channel/{channel}/live", query=("channel",)),
        Form("/shorts|live|embed|v|e|vi|watch/{v}", Target.VIDEO, "/watch?v={v}"),
        Form("youtu.be/watch", Target.VIDEO, "/watch?v={v}", query=("v",)),
        Form("youtu.be/{v}", Target.VIDEO, "/watch?v={v}"),
        Form("/clip/{code}", Target.VIDEO, "/clip/{code}"),
        Form("/playlist", Target.PLAYLIST, "/playlist?list={list}", query=("list",)),
        Form("/channel/{channel}/community", Target.POST, "/post/{lb}", query=("lb",)),
        Form("/@{handle}/community", Target.POST, "/post/{lb}", query=("lb",)),
        Form("/c|user/{name}/community", Target.POST, "/post/{lb}", query=("lb",)),
        Form("/post/{code}", Target.POST, "/post/{code}"),
        Form("/@{handle}/live", Target.LIVE, "/@{handle}/live"),
        Form("/channel/{channel}/live", Target.LIVE, "/channel/{channel}/live"),
        Form("/@{handle}/*", Target.CHANNEL, "/@{handle}"),
        Form("/channel/{channel}/*", Target.CHANNEL, "/channel/{channel}"),
        Form("/c/{name}/*", Target.CHANNEL, "/c/{name}"),
        Form("/user/{name}/*", Target.CHANNEL, "/user/{name}"),
    ),
)

TIKTOK: Final = Platform(
    name="tiktok",
    title="TikTok",
    hosts=("tiktok.com", "tiktokv.com"),
    tracking=each_of(
        "_d _r _t checksum is_copy_url is_from_webapp lang refer sec_user_id sender_device"
        " sender_web_id share_app_id share_link_id source t timestamp tt_from u_code user_id"
        " web_id"
    ),
    words={
        "name": Word(r"[A-Za-z0-9._]{1,32}", any_case),
        "id": NUMBER,
        "code": CODE,
        "list": Word(r"(?:[^/]*-)?[0-9]{1,20}", lambda text: text.rpartition("-")[2]),
    },
    forms=(
        Form("/@{name}/video/{id}", Target.VIDEO, "/video/{id}"),
        Form("/@/video/{id}", Target.VIDEO, "/video/{id}"),
        Form("/v|embed|video/{id}", Target.VIDEO, "/video/{id}"),
        Form("/v/{id}.html", Target.VIDEO, "/video/{id}"),
        Form("/embed/v2|v3/{id}", Target.VIDEO, "/video/{id}"),
        Form("/player/v1/{id}", Target.VIDEO, "/video/{id}"),
        Form("/share/video/{id}", Target.VIDEO, "/video/{id}"),
        # A post of photos is numbered as videos are, and opens under either word.
        Form("/@{name}/photo/{id}", Target.VIDEO, "/video/{id}"),
        Form("/photo/{id}", Target.VIDEO, "/video/{id}"),
        Form("/@{name}/playlist/{list}", Target.PLAYLIST, "/@{name}/playlist/{list}"),
        Form("/@{name}/live", Target.LIVE, "/@{name}/live"),
        Form("/@{name}", Target.PROFILE, "/@{name}"),
        Form("/embed/@{name}", Target.PROFILE, "/@{name}"),
        # Short links stay what they are: what they stand for only a request would tell.
        Form("vm.tiktok.com/{code}", None, "vm.tiktok.com/{code}"),
        Form("vt.tiktok.com/{code}", None, "vt.tiktok.com/{code}"),
        Form("/t/{code}", None, "/t/{code}"),
    ),
)

_TWITCH_NAME: Final = Word(
    r"[A-Za-z0-9_]{3,25}",
    any_case,
    each_of(
        "clip collections directory downloads drops embed friends inventory jobs login moderator"
        " popout prime search settings signup store subscriptions team turbo videos wallet"
    ),
)

TWITCH: Final = Platform(
    name="twitch",
    title="Twitch",
    hosts=("twitch.tv",),
    same="www|m|go",
    tracking=frozenset({"featured", "filter", "range", "sort", "t", "tt_content", "tt_medium"}),
    words={"name": _TWITCH_NAME, "channel": _TWITCH_NAME, "id": NUMBER, "code": CODE},
    forms=(
        Form("/videos/{id}", Target.VIDEO, "/videos/{id}"),
        Form("/{name}/v|video/{id}", Target.VIDEO, "/videos/{id}"),
        Form("clips.twitch.tv/{code}", Target.VIDEO, "clips.twitch.tv/{code}"),
        Form("/clip/{code}", Target.VIDEO, "clips.twitch.tv/{code}"),
        Form("/{name}/clip/{code}", Target.VIDEO, "clips.twitch.tv/{code}"),
        Form("/collections/{code}", Target.PLAYLIST, "/collections/{code}"),
        Form("player.twitch.tv", Target.CHANNEL, "/{channel}", query=("channel",)),
        Form("/popout/{name}/*", Target.CHANNEL, "/{name}"),
        Form("/{name}/about|chat|clips|followers|home|schedule|videos", Target.CHANNEL, "/{name}"),
        Form("/{name}", Target.CHANNEL, "/{name}"),
    ),
    # A channel that is live is viewed as a video is.
    also={"views": frozenset({Target.CHANNEL})},
)

SNAPCHAT: Final = Platform(
    name="snapchat",
    title="Snapchat",
    hosts=("snapchat.com",),
    tracking=frozenset({"invite_id", "locale", "share_id", "sid"}),
    words={"name": Word(r"[A-Za-z][A-Za-z0-9._-]{2,29}", any_case), "code": CODE},
    forms=(
        Form("/@{name}/spotlight/{code}", Target.VIDEO, "/spotlight/{code}"),
        Form("/spotlight/{code}", Target.VIDEO, "/spotlight/{code}"),
        Form("/add|u/{name}", Target.PROFILE, "/@{name}"),
        Form("/@{name}", Target.PROFILE, "/@{name}"),
        Form("t.snapchat.com/{code}", None, "t.snapchat.com/{code}"),
    ),
)
