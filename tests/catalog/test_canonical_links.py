"""Canonical links: spellings of one place become one, and different places never do."""

from urllib.parse import urlsplit, urlunsplit

import pytest
from hypothesis import assume, given, reject
from hypothesis import strategies as st

from app.catalog.links.canonical import PLATFORMS, canonical_link, place_of
from app.catalog.links.forms import Target
from app.orders.links import check_link
from tests.catalog.link_examples import EXAMPLES

TRACKED = ["utm_source=x", "UTM_Campaign=y", "fbclid=IwAR0", "igsh=MTc", "gclid=1", "mibextid=2"]

links = st.sampled_from([link for link, _, _ in EXAMPLES])
anything = st.builds(
    lambda host, rest: f"https://{host}/{rest}",
    st.sampled_from(sorted({host for one in PLATFORMS for host in (*one.hosts, *one.others)})),
    st.text("aZ09._-@+/?=&%:~é例", max_size=40),
)
foreign = st.builds("https://{}{}".format, st.text(max_size=20), st.text(max_size=40))


@pytest.mark.parametrize(("link", "canonical", "target"), EXAMPLES)
def test_a_link_has_one_form_and_points_at_one_thing(
    link: str, canonical: str, target: Target | None
) -> None:
    place = place_of(check_link(link))

    assert (place.canonical, place.target) == (f"https://{canonical}", target)


@pytest.mark.parametrize(("link", "canonical", "target"), EXAMPLES)
def test_a_canonical_link_is_read_as_what_it_was_made_of(
    link: str, canonical: str, target: Target | None
) -> None:
    assert place_of(f"https://{canonical}") == place_of(link)


def test_every_platform_has_examples() -> None:
    assert {place_of(link).platform for link, _, _ in EXAMPLES} == {None, *PLATFORMS}


@given(st.one_of(anything, foreign))
def test_the_canonical_form_of_any_accepted_link_stays_as_it_is(link: str) -> None:
    try:
        canonical = canonical_link(check_link(link))
    except ValueError:
        reject()

    assert canonical_link(canonical) == canonical


@given(links, st.sampled_from(TRACKED))
def test_tracking_changes_nothing(link: str, tracking: str) -> None:
    parts = urlsplit(link)
    query = f"{parts.query}&{tracking}" if parts.query else tracking

    assert canonical_link(urlunsplit(parts._replace(query=query))) == canonical_link(link)


@given(links, st.booleans())
def test_scheme_and_host_may_be_of_any_case(link: str, upper: bool) -> None:
    scheme, rest = link.split("://")
    host, slash, path = rest.partition("/")
    spelled = host.upper() if upper and host.isascii() else host

    assert canonical_link(f"{scheme.upper()}://{spelled}{slash}{path}") == canonical_link(link)


@given(links)
def test_a_slash_at_the_end_changes_nothing(link: str) -> None:
    parts = urlsplit(link)

    assert canonical_link(urlunsplit(parts._replace(path=parts.path + "/"))) == canonical_link(link)


@pytest.mark.parametrize("subdomain", ["www", "m", "mobile"])
@given(links)
def test_the_site_for_telephones_shows_the_same(subdomain: str, link: str) -> None:
    canonical, platform = place_of(link).canonical, place_of(link).platform
    assume(platform and subdomain in platform.same.split("|"))
    host = platform.hosts[0] if platform else ""
    assume(canonical.startswith(f"https://{host}/"))

    assert canonical_link(canonical.replace(host, f"{subdomain}.{host}", 1)) == canonical


POSTS = {
    "https://instagram.com/p/{}/": "[A-Za-z0-9_-]{5,20}",
    "https://instagram.com/stories/ann/{}": "[1-9][0-9]{0,18}",
    "https://facebook.com/shop/posts/{}": "(pfbid[A-Za-z0-9]{10,20}|[1-9][0-9]{5,18})",
    "https://facebook.com/watch?v={}": "[1-9][0-9]{5,18}",
    "https://youtu.be/{}": "[A-Za-z0-9_-]{11}",
    "https://youtube.com/playlist?list={}": "PL[A-Za-z0-9_-]{16,32}",
    "https://tiktok.com/@ann/video/{}": "[1-9][0-9]{5,18}",
    "https://vm.tiktok.com/{}": "[A-Za-z0-9]{5,10}",
    "https://x.com/ann/status/{}": "[1-9][0-9]{5,18}",
    "https://t.me/ann_channel/{}": "[1-9][0-9]{0,8}",
    "https://t.me/+{}": "[A-Za-z_-][A-Za-z0-9_-]{10,20}",
    "https://linkedin.com/feed/update/urn:li:activity:{}": "[1-9][0-9]{5,18}",
    "https://open.spotify.com/track/{}": "[A-Za-z0-9]{22}",
    "https://clips.twitch.tv/{}": "[A-Za-z0-9_-]{5,30}",
    "https://redd.it/{}": "[a-z0-9]{5,8}",
    "https://pinterest.com/pin/{}": "[1-9][0-9]{5,18}",
    "https://threads.net/t/{}": "[A-Za-z0-9_-]{5,20}",
    "https://snapchat.com/spotlight/{}": "[A-Za-z0-9_-]{5,40}",
    "https://discord.gg/{}": "[A-Za-z0-9]{2,20}",
    "https://vk.com/wall-1_{}": "[1-9][0-9]{0,8}",
    "https://example.com/{}": "[A-Za-z0-9_~-]{1,20}",
}


@pytest.mark.parametrize("form", POSTS)
@given(data=st.data())
def test_two_different_posts_are_never_taken_for_one(form: str, data: st.DataObject) -> None:
    ids = st.from_regex(POSTS[form], fullmatch=True)
    one, other = data.draw(st.lists(ids, min_size=2, max_size=2, unique=True))

    assert canonical_link(form.format(one)) != canonical_link(form.format(other))
