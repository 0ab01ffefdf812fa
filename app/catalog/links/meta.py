"""Links of Instagram, Threads and Facebook."""

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

INSTAGRAM: Final = Platform(
    name="instagram",
    title="Instagram",
    hosts=("instagram.com", "instagr.am"),
    others=("ig.me",),
    kept=("story_media_id",),
    tracking=frozenset({"hl", "img_index"}),
    words={
        "name": Word(
            r"[A-Za-z0-9._]{1,30}",
            any_case,
            each_of(
                "about accounts ads api ar archive challenge developer direct directory emails"
                " explore graphql legal lite nametag p press privacy qr reel reels s session share"
                " static stories tv web"
            ),
        ),
        "code": CODE,
        "section": Word("p|reel|reels|tv"),
        "number": NUMBER,
        "reply": NUMBER,
    },
    forms=(
        Form("/reels/audio/{number}", None, "/reels/audio/{number}"),
        Form(
            "/p|reel|reels|tv/{code}/c/{number}/r/{reply}/*",
            Target.POST,
            "/p/{code}/c/{number}/r/{reply}",
        ),
        Form("/p|reel|reels|tv/{code}/c/{number}/*", Target.POST, "/p/{code}/c/{number}"),
        Form("/p|reel|reels|tv/{code}/*", Target.POST, "/p/{code}"),
        Form("/share/{section}/{code}", Target.POST, "/share/{section}/{code}"),
        Form("/stories/highlights/{number}", Target.STORY, "/stories/highlights/{number}"),
        Form("/stories/{name}/{number}", Target.STORY, "/stories/{name}/{number}"),
        Form("/stories/{name}", Target.STORY, "/stories/{name}"),
        Form("/s/{code}", Target.STORY, "/s/{code}"),
        Form(
            "/{name}/p|reel|reels|tv/{code}/c/{number}/r/{reply}/*",
            Target.POST,
            "/p/{code}/c/{number}/r/{reply}",
        ),
        Form("/{name}/p|reel|reels|tv/{code}/c/{number}/*", Target.POST, "/p/{code}/c/{number}"),
        Form("/{name}/p|reel|reels|tv/{code}/*", Target.POST, "/p/{code}"),
        Form("/{name}/live", Target.LIVE, "/{name}/live"),
        Form("/{name}/feed|reels|tagged|channel|followers|following", Target.PROFILE, "/{name}"),
        Form("/_u/{name}", Target.PROFILE, "/{name}"),
        Form("/{name}", Target.PROFILE, "/{name}"),
    ),
)

THREADS: Final = Platform(
    name="threads",
    title="Threads",
    hosts=("threads.com", "threads.net"),
    tracking=frozenset({"hl", "xmt", "slof"}),
    words={"name": Word(r"[A-Za-z0-9._]{1,30}", any_case), "code": CODE},
    forms=(
        Form("/@{name}/post/{code}/*", Target.POST, "/t/{code}"),
        Form("/t/{code}/*", Target.POST, "/t/{code}"),
        Form("/@{name}/replies|media|reposts", Target.PROFILE, "/@{name}"),
        Form("/@{name}", Target.PROFILE, "/@{name}"),
    ),
)


def _without_dots(text: str) -> str:
    """Facebook ignores case and full stops in names."""
    return text.lower().replace(".", "")


_FACEBOOK_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9.]{0,99}"
_FACEBOOK_PAGES: Final = each_of(
    "about ads bookmarks business campaign careers composer dialog donate events friends"
    " fundraisers gaming groups hashtag help home homephp legal live login loginphp lphp"
    " marketplace me media memories messages notifications p pages people permalinkphp pg photo"
    " photophp photos plugins policies privacy profilephp public recover reel reels reg rphp"
    " saved search settings share sharer sharerphp stories storyphp terms tr videophp videos"
    " watch"
)

FACEBOOK: Final = Platform(
    name="facebook",
    title="Facebook",
    hosts=("facebook.com", "fb.com"),
    same=r"www|m|mbasic|mobile|web|touch|free|business|z-m|[a-z]{2}-[a-z]{2}",
    others=("fb.watch", "fb.me", "fb.gg", "messenger.com", "m.me"),
    kept=("comment_id", "reply_comment_id", "story_fbid", "multi_permalinks", "album_id"),
    tracking=frozenset({"__cft__[0]", "__tn__", "__xts__[0]", "_rdr", "ref", "refid", "locale"}),
    words={
        "name": Word(_FACEBOOK_NAME, _without_dots, _FACEBOOK_PAGES),
        "group": Word(_FACEBOOK_NAME, _without_dots, frozenset({"discover", "feed", "joins"})),
        "id": NUMBER,
        "story_fbid": Word(r"[A-Za-z0-9]{1,128}"),
        "fbid": NUMBER,
        "v": NUMBER,
        "multi_permalinks": NUMBER,
        "view": Word("permalink"),
        "code": CODE,
        "slug": SLUG,
        "page": Word(r"[0-9]{6,20}"),
    },
    forms=(
        Form(
            "/story.php|permalink.php",
            Target.POST,
            "/{id}/posts/{story_fbid}",
            query=("story_fbid", "id"),
        ),
        Form("/profile.php", Target.PROFILE, "/{id}", query=("id",)),
        Form("/photo|photo.php", Target.POST, "/photo?fbid={fbid}", query=("fbid",)),
        Form("/watch|video.php", Target.VIDEO, "/watch?v={v}", query=("v",)),
        Form("/watch/live", Target.VIDEO, "/watch?v={v}", query=("v",)),
        Form("/reel/{v}", Target.VIDEO, "/watch?v={v}"),
        Form("fb.watch/{code}", Target.VIDEO, "fb.watch/{code}"),
        Form("/share/p/{code}", Target.POST, "/share/p/{code}"),
        Form("/share/r|v/{code}", Target.VIDEO, "/share/v/{code}"),
        Form("/share/g/{code}", Target.GROUP, "/share/g/{code}"),
        Form("/stories/{id}", Target.STORY, "/stories/{id}"),
        Form("/stories/{id}/{slug}", Target.STORY, "/stories/{id}/{slug}"),
        Form("/groups/{group}", Target.POST, "/groups/{group}/posts/{id}", query=("view", "id")),
        Form(
            "/groups/{group}",
            Target.POST,
            "/groups/{group}/posts/{multi_permalinks}",
            query=("multi_permalinks",),
        ),
        Form(
            "/groups/{group}/posts|permalink/{story_fbid}",
            Target.POST,
            "/groups/{group}/posts/{story_fbid}",
        ),
        Form("/groups/{group}/user/{id}", Target.PROFILE, "/{id}"),
        Form(
            "/groups/{group}/about|announcements|discussion|events|featured|media|members",
            Target.GROUP,
            "/groups/{group}",
        ),
        Form("/groups/{group}", Target.GROUP, "/groups/{group}"),
        Form("/{name}/posts/{story_fbid}", Target.POST, "/{name}/posts/{story_fbid}"),
        Form("/{name}/posts/{slug}/{story_fbid}", Target.POST, "/{name}/posts/{story_fbid}"),
        Form("/{name}/photos/{fbid}", Target.POST, "/photo?fbid={fbid}"),
        Form("/{name}/photos/{slug}/{fbid}", Target.POST, "/photo?fbid={fbid}"),
        Form("/{name}/videos/{v}", Target.VIDEO, "/watch?v={v}"),
        Form("/{name}/videos/{slug}/{v}", Target.VIDEO, "/watch?v={v}"),
        Form("/people/{slug}/{page}/*", Target.PROFILE, "/{page}"),
        Form("/pages/{slug}/{page}", Target.PROFILE, "/{page}"),
        Form("/p|pg/{slug}-{page}/*", Target.PROFILE, "/{page}"),
        Form("/pg/{name}/*", Target.PROFILE, "/{name}"),
        Form("/{slug}-{page}", Target.PROFILE, "/{page}"),
        Form(
            "/{name}/about|followers|friends|mentions|photos|posts|reels|reviews|videos",
            Target.PROFILE,
            "/{name}",
        ),
        Form("/{name}", Target.PROFILE, "/{name}"),
    ),
    # A page is liked as a post is.
    also={"likes": frozenset({Target.PROFILE})},
)
