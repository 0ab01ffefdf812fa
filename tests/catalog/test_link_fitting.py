"""Whether a link fits a service: what is certainly wrong is refused, everything else is taken."""

import pytest

from app.catalog.links.fitting import (
    KNOWN_KINDS,
    KNOWN_PLATFORMS,
    broken_rule,
    kind_word,
    platform_word,
)
from tests.catalog.link_examples import EXAMPLES

PROFILE = "https://www.instagram.com/nat.geo/"
POST = "https://www.instagram.com/p/CxYz_12-aB/"
VIDEO = "https://youtu.be/dQw4w9WgXcQ"

REFUSED = [
    ("instagram", "followers", POST, "must point at an Instagram profile"),
    ("instagram", "likes", PROFILE, "must point at an Instagram post, story or live stream"),
    ("instagram", "story views", POST, "must point at an Instagram profile or story"),
    ("instagram", "followers", VIDEO, "must be an Instagram link"),
    ("instagram", "anything", "https://x.com/jack", "must be an Instagram link"),
    ("youtube", "subscribers", VIDEO, "must point at a YouTube channel"),
    (
        "youtube",
        "views",
        "https://youtube.com/@ann",
        "must point at a YouTube post, video, live stream or playlist",
    ),
    (
        "tiktok",
        "views",
        "https://tiktok.com/@ann",
        "must point at a TikTok video, live stream or playlist",
    ),
    ("twitter", "followers", "https://x.com/a/status/1", "must point at an X profile or group"),
    ("x", "followers", "https://t.me/durov", "must be an X link"),
    (
        "telegram",
        "members",
        "https://t.me/durov/1",
        "must point at a Telegram profile, channel or invite",
    ),
    ("telegram", "views", "https://t.me/durov", "must point at a Telegram post or story"),
    ("facebook", "members", "https://fb.watch/a1b2", "must point at a Facebook profile or group"),
    (
        "discord",
        "members",
        "https://discord.com/channels/1/2/3",
        "must point at a Discord profile,",
    ),
    (
        "spotify",
        "followers",
        "https://open.spotify.com/track/4uLU6hMCjMI75M1A2tKUQC",
        "must point at a Spotify profile, artist, show or playlist",
    ),
    ("soundcloud", "plays", "https://soundcloud.com/ann", "must point at a SoundCloud track or"),
    ("pinterest", "saves", "https://pinterest.com/ann", "must point at a Pinterest board or post"),
    ("reddit", "upvotes", "https://reddit.com/r/cats", "must point at a Reddit post"),
    ("linkedin", "likes", "https://linkedin.com/in/ann", "must point at a LinkedIn post"),
    ("twitch", "followers", "https://twitch.tv/videos/1", "must point at a Twitch channel"),
]
TAKEN = [
    ("instagram", "followers", PROFILE),
    ("Instagram", "Followers", PROFILE),
    ("instagram", "likes", POST),
    ("instagram", "story_views", "https://instagram.com/stories/ann/1"),
    ("instagram", "story views", PROFILE),
    ("instagram", "live views", PROFILE),
    ("twitter", "followers", "https://twitter.com/jack"),
    ("X", "retweets", "https://twitter.com/jack/status/20"),
    ("facebook", "likes", "https://facebook.com/shop"),
    ("facebook", "likes", "https://facebook.com/shop/posts/12345"),
    ("telegram", "members", "https://t.me/+AAAAAEkk2Wdo"),
    ("twitch", "views", "https://twitch.tv/ninja"),
    ("spotify", "followers", "https://open.spotify.com/playlist/4uLU6hMCjMI75M1A2tKUQC"),
    ("spotify", "plays", "https://open.spotify.com/artist/4uLU6hMCjMI75M1A2tKUQC"),
    # What the link alone does not tell is left to the provider.
    ("tiktok", "views", "https://vm.tiktok.com/ZMabC/"),
    ("tiktok", "followers", "https://vm.tiktok.com/ZMabC/"),
    ("instagram", "followers", "https://short.example/a"),
    ("instagram", "followers", "https://www.instagram.com/explore/tags/cats/"),
    ("youtube", "subscribers", "https://youtube.com/SomeLegacyName"),
    # A word that we do not know says nothing about the link.
    ("instagram", "package", POST),
    ("instagram", "package", PROFILE),
    ("kwai", "followers", PROFILE),
    ("website", "traffic", POST),
]


@pytest.mark.parametrize(("platform", "kind", "link", "rule"), REFUSED)
def test_a_link_that_is_certainly_wrong_is_refused_with_the_rule(
    platform: str, kind: str, link: str, rule: str
) -> None:
    told = broken_rule(link, platform=platform, kind=kind)

    assert told is not None
    assert told.startswith(rule)


@pytest.mark.parametrize(("platform", "kind", "link"), TAKEN)
def test_a_link_that_may_be_right_is_taken(platform: str, kind: str, link: str) -> None:
    assert broken_rule(link, platform=platform, kind=kind) is None


@pytest.mark.parametrize("kind", KNOWN_KINDS)
@pytest.mark.parametrize("platform", KNOWN_PLATFORMS)
def test_a_rule_never_repeats_the_link(platform: str, kind: str) -> None:
    rules = {broken_rule(link, platform=platform, kind=kind) or "" for link, _, _ in EXAMPLES}

    assert not any("/" in rule or ":" in rule for rule in rules)


@pytest.mark.parametrize("word", [*KNOWN_PLATFORMS, "kwai"])
def test_a_platform_that_is_known_is_kept_under_its_one_name(word: str) -> None:
    assert platform_word(f" {word.upper()} ") == word


@pytest.mark.parametrize("word", ["x", "X", "X (Twitter)", "Twitter/X"])
def test_x_is_twitter(word: str) -> None:
    assert platform_word(word) == "twitter"


@pytest.mark.parametrize(
    ("told", "kept"), [("Story_Views", "story views"), (" Live  Views ", "live views"), ("A", "a")]
)
def test_a_kind_is_kept_in_lower_case_and_plain_spaces(told: str, kept: str) -> None:
    assert kind_word(told) == kept
