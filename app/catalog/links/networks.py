"""Links of X, LinkedIn, Reddit, Pinterest and VK."""

from __future__ import annotations

from typing import Final

from app.catalog.links.forms import (
    CODE,
    NUMBER,
    SLUG,
    Form,
    Platform,
    Target,
    Word,
    any_case,
    each_of,
)

_TWITTER_NAME: Final = Word(
    r"[A-Za-z0-9_]{1,20}",
    any_case,
    each_of(
        "about compose download explore hashtag home i intent jobs login logout messages"
        " notifications privacy search settings share signup tos who_to_follow"
    ),
)

TWITTER: Final = Platform(
    name="twitter",
    title="X",
    hosts=("x.com", "twitter.com"),
    others=("t.co",),
    tracking=frozenset({"s", "t", "cxt", "lang", "mx", "ref_src", "ref_url", "src"}),
    words={
        "name": _TWITTER_NAME,
        "screen_name": _TWITTER_NAME,
        "id": NUMBER,
        "tweet_id": NUMBER,
        "user_id": NUMBER,
        "code": CODE,
    },
    forms=(
        Form("/i/status/{id}/*", Target.POST, "/i/status/{id}"),
        Form("/i/web/status/{id}/*", Target.POST, "/i/status/{id}"),
        Form("/{name}/status|statuses/{id}/*", Target.POST, "/i/status/{id}"),
        Form("/intent/like|retweet|favorite", Target.POST, "/i/status/{tweet_id}", ("tweet_id",)),
        Form("/intent/follow|user", Target.PROFILE, "/{screen_name}", ("screen_name",)),
        Form("/intent/follow|user", Target.PROFILE, "/i/user/{user_id}", ("user_id",)),
        Form("/i/user/{user_id}", Target.PROFILE, "/i/user/{user_id}"),
        Form("/i/spaces/{code}/*", Target.LIVE, "/i/spaces/{code}"),
        Form("/i/broadcasts/{code}", Target.LIVE, "/i/broadcasts/{code}"),
        Form("/i/communities/{id}/*", Target.GROUP, "/i/communities/{id}"),
        Form(
            "/{name}/articles|followers|following|highlights|likes|media|with_replies",
            Target.PROFILE,
            "/{name}",
        ),
        Form("/{name}", Target.PROFILE, "/{name}"),
        Form("t.co/{code}", None, "t.co/{code}"),
    ),
)

LINKEDIN: Final = Platform(
    name="linkedin",
    title="LinkedIn",
    hosts=("linkedin.com",),
    same="www|m|mobile|[a-z]{2}",
    others=("lnkd.in",),
    kept=("commentUrn", "replyUrn", "highlightedUpdateUrn"),
    tracking=each_of("lipi midSig midToken originalSubdomain rcm trackingId trk"),
    words={
        "name": Word(r"[^/]{1,200}", any_case),
        "section": Word("company|school|showcase"),
        "group": NUMBER,
        "slug": Word(r"(?:[^/]*[_-])?"),
        "urn": Word("activity|ugcPost|share"),
        "id": NUMBER,
        "check": Word(r"(?:-[A-Za-z0-9_-]{1,8})?"),
        "article": Word(r"[^/]{1,300}"),
        "code": CODE,
    },
    forms=(
        Form(
            "/posts/{slug}{urn}-{id}{check}/*",
            Target.POST,
            "/feed/update/urn:li:{urn}:{id}",
        ),
        Form("/feed/update/urn:li:{urn}:{id}/*", Target.POST, "/feed/update/urn:li:{urn}:{id}"),
        Form("/embed/feed/update/urn:li:{urn}:{id}", Target.POST, "/feed/update/urn:li:{urn}:{id}"),
        Form("/pulse/{article}", Target.POST, "/pulse/{article}"),
        Form("/in/{name}/*", Target.PROFILE, "/in/{name}"),
        Form("/{section}/{name}/*", Target.PROFILE, "/{section}/{name}"),
        Form("/groups/{group}/*", Target.GROUP, "/groups/{group}"),
        Form("lnkd.in/{code}", None, "lnkd.in/{code}"),
    ),
)

_REDDIT_POST: Final = Word(r"[A-Za-z0-9]{1,13}", any_case)

REDDIT: Final = Platform(
    name="reddit",
    title="Reddit",
    hosts=("reddit.com",),
    same="www|m|old|new|np|i|amp|sh|[a-z]{2}",
    others=("redd.it",),
    tracking=each_of("$3p $deep_link context rdt ref ref_source share_id sort"),
    words={
        "name": Word(r"[A-Za-z0-9_-]{2,30}", any_case),
        "post": _REDDIT_POST,
        "comment": _REDDIT_POST,
        "slug": SLUG,
        "code": CODE,
    },
    forms=(
        Form(
            "/r|u|user/{name}/comments/{post}/{slug}/{comment}",
            Target.POST,
            "/comments/{post}/comment/{comment}",
        ),
        Form(
            "/comments/{post}/{slug}/{comment}", Target.POST, "/comments/{post}/comment/{comment}"
        ),
        Form("/r|u|user/{name}/comments/{post}/*", Target.POST, "/comments/{post}"),
        Form("/comments|gallery|tb/{post}/*", Target.POST, "/comments/{post}"),
        Form("redd.it/{post}", Target.POST, "/comments/{post}"),
        Form("/r/{name}/s/{code}", Target.POST, "/r/{name}/s/{code}"),
        Form("/u|user/{name}/s/{code}", Target.POST, "/user/{name}/s/{code}"),
        Form("/r/{name}", Target.GROUP, "/r/{name}"),
        Form("/r/{name}/about|best|controversial|hot|new|rising|top", Target.GROUP, "/r/{name}"),
        Form("/u|user/{name}", Target.PROFILE, "/user/{name}"),
        Form(
            "/u|user/{name}/about|comments|overview|posts|submitted", Target.PROFILE, "/user/{name}"
        ),
    ),
)

PINTEREST: Final = Platform(
    name="pinterest",
    title="Pinterest",
    hosts=(
        "pinterest.com",
        *(
            f"pinterest.{ending}"
            for ending in each_of(
                "at be ca ch cl co co.at co.id co.in co.kr co.nz co.uk com.au com.bo com.ec com.mx"
                " com.pe com.py com.uy com.vn de dk ec es fr hu id ie in info it jp kr mx nl nz pe"
                " ph pt ru se th tw uk vn"
            )
        ),
    ),
    same="www|m|[a-z]{2}",
    others=("pin.it",),
    tracking=frozenset({"invite_code", "mt", "nic_v2", "nic_v3", "sender", "sfo"}),
    words={
        "name": Word(
            r"[A-Za-z0-9_]{3,30}",
            any_case,
            each_of(
                "about business categories discover explore ideas login news_hub password pin"
                " resource search settings shopping source today topics videos"
            ),
        ),
        "slug": SLUG,
        "id": NUMBER,
        "board": Word(r"[^/]{1,150}", any_case, frozenset({"_saved", "_created", "_pins"})),
        "section": Word(r"[^/]{1,150}", any_case),
        "code": CODE,
    },
    forms=(
        Form("/pin/{id}/*", Target.POST, "/pin/{id}"),
        Form("/pin/{slug}--{id}/*", Target.POST, "/pin/{id}"),
        Form("/{name}/_created|_pins|_saved|boards|followers|pins", Target.PROFILE, "/{name}"),
        Form("/{name}/{board}/{section}", Target.BOARD, "/{name}/{board}/{section}"),
        Form("/{name}/{board}", Target.BOARD, "/{name}/{board}"),
        Form("/{name}", Target.PROFILE, "/{name}"),
        Form("pin.it/{code}", None, "pin.it/{code}"),
    ),
)

_VK_ITEM: Final = r"-?[0-9]{1,20}_[0-9]{1,20}"

VK: Final = Platform(
    name="vk",
    title="VK",
    hosts=("vk.com", "vk.ru", "vkontakte.ru"),
    same="www|m|new",
    others=("vkvideo.ru", "vk.me", "vk.cc"),
    kept=("reply", "w", "z"),
    tracking=frozenset({"from", "ref", "trackcode"}),
    words={
        # With what is written below it, a comment is named behind the post.
        "w": Word(rf"wall{_VK_ITEM}(?:_r[0-9]{{1,20}})?"),
        # What a viewer is opened over stands behind a slash.
        "z": Word(rf"(?:video|clip){_VK_ITEM}(?:/.*)?", lambda text: text.partition("/")[0]),
        "photo": Word(rf"photo{_VK_ITEM}(?:/.*)?", lambda text: text.partition("/")[0]),
        "item": Word(_VK_ITEM),
        "id": NUMBER,
        "community": Word("club|public|event"),
        "name": Word(
            r"[A-Za-z][A-Za-z0-9_.]{1,31}",
            any_case,
            each_of(
                "about ads al_profile.php apps audio away.php clips docs feed friends gifts groups"
                " im login mail market music search settings share.php support video videos wall"
            ),
        ),
    },
    forms=(
        Form("/*", Target.POST, "/{w}", query=("w",)),
        Form("/*", Target.VIDEO, "/{z}", query=("z",)),
        Form("/*", Target.POST, "/{photo}", query=("z:photo",)),
        Form("/{w}", Target.POST, "/{w}"),
        Form("/photo{item}", Target.POST, "/photo{item}"),
        Form("/video{item}", Target.VIDEO, "/video{item}"),
        Form("/clip{item}", Target.VIDEO, "/clip{item}"),
        Form("vkvideo.ru/video{item}", Target.VIDEO, "/video{item}"),
        Form("vkvideo.ru/clip{item}", Target.VIDEO, "/clip{item}"),
        Form("/story{item}", Target.STORY, "/story{item}"),
        Form("/id{id}", Target.PROFILE, "/id{id}"),
        Form("/{community}{id}", Target.GROUP, "/club{id}"),
        # A name does not say whether it is a person's or a community's.
        Form("/{name}", Target.PROFILE, "/{name}"),
    ),
)
