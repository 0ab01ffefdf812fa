"""What an order of each type says in API v2: the fields of its type, and nothing else."""

from datetime import date
from typing import Final

import pytest

from app.providers.adapters.panel_v2.questions import order_fields
from app.providers.forms import OrderForm, ServiceType
from app.providers.protocol import Submission

LINK = "https://example.com/p/1"

# Each type's form, and the fields that it is on the wire beside `service`.
ADDS: Final[dict[ServiceType, tuple[OrderForm, dict[str, str]]]] = {
    ServiceType.DEFAULT: (
        OrderForm("https://x.test/ä?a=1&b", 100),
        {"link": "https://x.test/ä?a=1&b", "quantity": "100"},
    ),
    ServiceType.PACKAGE: (OrderForm(LINK, 1), {"link": LINK}),
    ServiceType.SEO: (
        OrderForm(LINK, 5, keywords=("a b", "ä")),
        {"link": LINK, "quantity": "5", "keywords": "a b\nä"},
    ),
    ServiceType.CUSTOM_COMMENTS: (
        OrderForm(LINK, 2, ("a", " ", "b", "")),
        {"link": LINK, "comments": "a\nb"},
    ),
    ServiceType.CUSTOM_COMMENTS_PACKAGE: (
        OrderForm(LINK, 1, ("a", "b")),
        {"link": LINK, "comments": "a\nb"},
    ),
    ServiceType.MENTIONS: (
        OrderForm(LINK, 5, usernames=("a", "b")),
        {"link": LINK, "quantity": "5", "usernames": "a\nb"},
    ),
    ServiceType.MENTIONS_WITH_HASHTAGS: (
        OrderForm(LINK, 5, usernames=("a", "b"), hashtags=("#c", "#d")),
        {"link": LINK, "quantity": "5", "usernames": "a\nb", "hashtags": "#c\n#d"},
    ),
    ServiceType.MENTIONS_CUSTOM_LIST: (
        OrderForm(LINK, usernames=("a", "b")),
        {"link": LINK, "usernames": "a\nb"},
    ),
    ServiceType.MENTIONS_HASHTAG: (
        OrderForm(LINK, 5, hashtag="#c"),
        {"link": LINK, "quantity": "5", "hashtag": "#c"},
    ),
    ServiceType.MENTIONS_USER_FOLLOWERS: (
        OrderForm(LINK, 5, username=LINK),
        {"link": LINK, "quantity": "5", "username": LINK},
    ),
    ServiceType.MENTIONS_MEDIA_LIKERS: (
        OrderForm(LINK, 5, media=LINK),
        {"link": LINK, "quantity": "5", "media": LINK},
    ),
    ServiceType.COMMENT_LIKES: (
        OrderForm(LINK, 5, username="u"),
        {"link": LINK, "quantity": "5", "username": "u"},
    ),
    ServiceType.COMMENT_REPLIES: (
        OrderForm(LINK, username="u", comments=("a", "b")),
        {"link": LINK, "username": "u", "comments": "a\nb"},
    ),
    ServiceType.POLL: (
        OrderForm(LINK, 5, answer_number=0),
        {"link": LINK, "quantity": "5", "answer_number": "0"},
    ),
    ServiceType.INVITES_FROM_GROUPS: (
        OrderForm(LINK, 5, groups=("a", "b")),
        {"link": LINK, "quantity": "5", "groups": "a\nb"},
    ),
    ServiceType.SUBSCRIPTIONS: (
        OrderForm(username="u", min=10, max=20, delay=0, old_posts=0, expiry=date(2026, 2, 3)),
        {
            "username": "u",
            "min": "10",
            "max": "20",
            "delay": "0",
            "old_posts": "0",
            "expiry": "03/02/2026",
        },
    ),
    ServiceType.WEB_TRAFFIC: (
        OrderForm(LINK, 5, country="US", device=1, type_of_traffic=1, google_keyword="k"),
        {
            "link": LINK,
            "quantity": "5",
            "country": "US",
            "device": "1",
            "type_of_traffic": "1",
            "google_keyword": "k",
        },
    ),
}


@pytest.mark.parametrize("service_type", ServiceType)
def test_an_order_says_the_fields_of_its_type_and_nothing_else(service_type: ServiceType) -> None:
    form, fields = ADDS[service_type]
    assert (
        order_fields(Submission("301", service_type, form, "ref-1")) == {"service": "301"} | fields
    )
