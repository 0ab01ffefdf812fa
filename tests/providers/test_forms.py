"""The form of every service type: what it must say, what it may, and what it is charged for."""

from dataclasses import fields, replace
from datetime import date
from typing import Any, Final, get_args

import pytest

from app.providers.forms import (
    DELAYS,
    FIELDS,
    FORMS,
    LINES_FIELDS,
    FieldName,
    OrderForm,
    ServiceType,
    Unit,
    billable_quantity,
    problems,
    type_of_wire,
)

LINK = "https://example.com/p/1"
LINES = ("one", " ", "two", "three", "")

# A good form of each type, in all its fields, and what it is charged for.
GOOD: Final[dict[ServiceType, tuple[OrderForm, int]]] = {
    ServiceType.DEFAULT: (OrderForm(LINK, 100), 100),
    ServiceType.PACKAGE: (OrderForm(LINK), 1),
    ServiceType.SEO: (OrderForm(LINK, 100, keywords=LINES), 100),
    ServiceType.CUSTOM_COMMENTS: (OrderForm(LINK, comments=LINES), 3),
    ServiceType.CUSTOM_COMMENTS_PACKAGE: (OrderForm(LINK, comments=LINES), 1),
    ServiceType.MENTIONS: (OrderForm(LINK, 100, usernames=LINES), 100),
    ServiceType.MENTIONS_WITH_HASHTAGS: (
        OrderForm(LINK, 100, usernames=LINES, hashtags=("#a",)),
        100,
    ),
    ServiceType.MENTIONS_CUSTOM_LIST: (OrderForm(LINK, usernames=LINES), 3),
    ServiceType.MENTIONS_HASHTAG: (OrderForm(LINK, 100, hashtag="#a"), 100),
    ServiceType.MENTIONS_USER_FOLLOWERS: (OrderForm(LINK, 100, username=f"{LINK}/u"), 100),
    ServiceType.MENTIONS_MEDIA_LIKERS: (OrderForm(LINK, 100, media=f"{LINK}/m"), 100),
    ServiceType.COMMENT_LIKES: (OrderForm(LINK, 100, username="someone"), 100),
    ServiceType.COMMENT_REPLIES: (OrderForm(LINK, username="someone", comments=LINES), 3),
    ServiceType.POLL: (OrderForm(LINK, 100, answer_number=2), 100),
    ServiceType.INVITES_FROM_GROUPS: (OrderForm(LINK, 100, groups=LINES), 100),
    ServiceType.SUBSCRIPTIONS: (
        OrderForm(
            username="someone",
            min=10,
            max=20,
            delay=5,
            posts=3,
            old_posts=0,
            expiry=date(2026, 12, 31),
        ),
        20,
    ),
    ServiceType.WEB_TRAFFIC: (
        OrderForm(LINK, 100, country="WW", device=5, type_of_traffic=3),
        100,
    ),
}
OF_EVERY_TYPE = pytest.mark.parametrize("service_type", ServiceType)

# A value for each field that any type would take for good.
SAMPLES: Final[dict[FieldName, Any]] = {
    "link": LINK,
    "quantity": 1,
    **dict.fromkeys(LINES_FIELDS, ("one",)),
    "hashtag": "#a",
    "username": "someone",
    "media": LINK,
    "answer_number": 1,
    "country": "WW",
    "device": 1,
    "type_of_traffic": 1,
    "google_keyword": "shoes",
    "referring_url": LINK,
    "min": 1,
    "max": 1,
    "posts": 1,
    "old_posts": 1,
    "delay": 0,
    "expiry": date(2026, 12, 31),
}


def changed(service_type: ServiceType, **changes: Any) -> OrderForm:
    return replace(GOOD[service_type][0], **changes)


def blamed(service_type: ServiceType, form: OrderForm) -> list[str]:
    return [field for field, _ in problems(service_type, form)]


def test_every_type_has_a_form_and_every_field_a_name() -> None:
    assert set(FORMS) == set(GOOD) == set(ServiceType)
    named = {name for group in get_args(FieldName) for name in get_args(group) or (group,)}
    assert named == {field.name for field in fields(OrderForm)} == set(FIELDS) == set(SAMPLES)


@OF_EVERY_TYPE
def test_a_good_form_has_no_problem_and_is_charged_for_what_it_counts(
    service_type: ServiceType,
) -> None:
    form, quantity = GOOD[service_type]
    assert problems(service_type, form) == ()
    assert billable_quantity(service_type, form) == quantity


@OF_EVERY_TYPE
def test_each_required_field_is_missed_by_its_name(service_type: ServiceType) -> None:
    for field in FORMS[service_type].required:
        empties: list[Any] = [(), (" ",)] if field in LINES_FIELDS else [None]
        for empty in empties:
            form = changed(service_type, **{field: empty})
            assert (field, "is required for this service") in problems(service_type, form)


@OF_EVERY_TYPE
def test_each_optional_field_may_be_left_out(service_type: ServiceType) -> None:
    empty = dict.fromkeys(FORMS[service_type].optional)
    assert problems(service_type, changed(service_type, **empty)) == ()


@OF_EVERY_TYPE
def test_each_field_that_is_not_of_the_type_is_refused_by_its_name(
    service_type: ServiceType,
) -> None:
    for field in FIELDS:
        if not FORMS[service_type].takes(field):
            form = changed(service_type, **{field: SAMPLES[field]})
            rule = f"is not taken by a {service_type} service"
            assert problems(service_type, form)[0] == (field, rule)


@pytest.mark.parametrize(
    ("service_type", "quantity", "rule"),
    [
        (ServiceType.PACKAGE, 1, None),
        (ServiceType.PACKAGE, 2, "is always 1 for a package"),
        (ServiceType.CUSTOM_COMMENTS_PACKAGE, 1, None),
        (ServiceType.CUSTOM_COMMENTS_PACKAGE, 3, "is always 1 for a package"),
        (ServiceType.CUSTOM_COMMENTS, 3, None),
        (ServiceType.CUSTOM_COMMENTS, 5, "must be the number of comments"),
        (ServiceType.COMMENT_REPLIES, 3, None),
        (ServiceType.COMMENT_REPLIES, 4, "must be the number of comments"),
        (ServiceType.MENTIONS_CUSTOM_LIST, 3, None),
        (ServiceType.MENTIONS_CUSTOM_LIST, 4, "must be the number of usernames"),
    ],
)
def test_a_quantity_beside_what_counts_itself_must_agree(
    service_type: ServiceType, quantity: int, rule: str | None
) -> None:
    expected = () if rule is None else (("quantity", rule),)
    assert problems(service_type, changed(service_type, quantity=quantity)) == expected
    assert FORMS[service_type].counts_itself
    assert "quantity" not in FORMS[service_type].fields


@pytest.mark.parametrize(
    ("service_type", "changes", "field"),
    [
        (ServiceType.DEFAULT, {"quantity": 0}, "quantity"),
        (ServiceType.DEFAULT, {"quantity": -1}, "quantity"),
        (ServiceType.DEFAULT, {"link": "  "}, "link"),
        (ServiceType.POLL, {"answer_number": -1}, "answer_number"),
        (ServiceType.CUSTOM_COMMENTS, {"comments": ("one\ntwo",)}, "comments"),
        (ServiceType.CUSTOM_COMMENTS, {"comments": ("one\u2028two",)}, "comments"),
        (ServiceType.MENTIONS, {"usernames": ("a\r\nb",)}, "usernames"),
        (ServiceType.WEB_TRAFFIC, {"device": 0}, "device"),
        (ServiceType.WEB_TRAFFIC, {"device": 6}, "device"),
        (ServiceType.WEB_TRAFFIC, {"type_of_traffic": 0}, "type_of_traffic"),
        (ServiceType.WEB_TRAFFIC, {"type_of_traffic": 4}, "type_of_traffic"),
        (ServiceType.WEB_TRAFFIC, {"type_of_traffic": 1}, "google_keyword"),
        (ServiceType.WEB_TRAFFIC, {"type_of_traffic": 2}, "referring_url"),
        (ServiceType.WEB_TRAFFIC, {"google_keyword": "shoes"}, "google_keyword"),
        (
            ServiceType.WEB_TRAFFIC,
            {"type_of_traffic": 1, "google_keyword": "shoes", "referring_url": LINK},
            "referring_url",
        ),
        (ServiceType.SUBSCRIPTIONS, {"delay": 1}, "delay"),
        (ServiceType.SUBSCRIPTIONS, {"delay": 601}, "delay"),
        (ServiceType.SUBSCRIPTIONS, {"min": 21}, "max"),
        (ServiceType.SUBSCRIPTIONS, {"min": 0}, "min"),
        (ServiceType.SUBSCRIPTIONS, {"posts": 0}, "posts"),
        (ServiceType.SUBSCRIPTIONS, {"old_posts": -1}, "old_posts"),
    ],
)
def test_what_is_out_of_range_is_told_by_its_name(
    service_type: ServiceType, changes: dict[str, Any], field: str
) -> None:
    assert blamed(service_type, changed(service_type, **changes)) == [field]


@pytest.mark.parametrize(
    "changes",
    [
        {"type_of_traffic": 1, "google_keyword": "shoes"},
        {"type_of_traffic": 2, "referring_url": LINK},
        {"device": 1},
    ],
)
def test_where_visitors_come_from_is_told_with_its_own_field(changes: dict[str, Any]) -> None:
    form = changed(ServiceType.WEB_TRAFFIC, **changes)
    assert problems(ServiceType.WEB_TRAFFIC, form) == ()


def test_every_delay_of_the_field_is_taken_and_no_other() -> None:
    taken = [
        delay
        for delay in range(700)
        if not problems(ServiceType.SUBSCRIPTIONS, changed(ServiceType.SUBSCRIPTIONS, delay=delay))
    ]
    assert tuple(taken) == DELAYS


@pytest.mark.parametrize(
    "service_type",
    [ServiceType.DEFAULT, ServiceType.CUSTOM_COMMENTS, ServiceType.SUBSCRIPTIONS],
)
def test_a_form_that_leaves_out_what_is_counted_has_no_quantity(service_type: ServiceType) -> None:
    with pytest.raises(ValueError, match="how much"):
        billable_quantity(service_type, OrderForm())


def test_runs_are_for_the_types_whose_quantity_can_be_repeated() -> None:
    repeating = {kind for kind, form in FORMS.items() if form.repeats}
    assert repeating == {ServiceType.DEFAULT, ServiceType.WEB_TRAFFIC}
    assert all(FORMS[kind].billable is Unit.QUANTITY for kind in repeating)


def test_what_reaches_people_who_did_not_ask_is_marked() -> None:
    harmless = {kind for kind, form in FORMS.items() if not form.reaches_others}
    assert harmless == {
        ServiceType.DEFAULT,
        ServiceType.PACKAGE,
        ServiceType.SEO,
        ServiceType.POLL,
        ServiceType.SUBSCRIPTIONS,
        ServiceType.WEB_TRAFFIC,
    }


@pytest.mark.parametrize(
    ("word", "service_type"),
    [
        ("Default", ServiceType.DEFAULT),
        ("PACKAGE", ServiceType.PACKAGE),
        ("SEO", ServiceType.SEO),
        ("Custom Comments", ServiceType.CUSTOM_COMMENTS),
        ("custom comments", ServiceType.CUSTOM_COMMENTS),
        (" Custom  Comments Package ", ServiceType.CUSTOM_COMMENTS_PACKAGE),
        ("Mentions", ServiceType.MENTIONS),
        ("Mentions with Hashtags", ServiceType.MENTIONS_WITH_HASHTAGS),
        ("Mentions Custom List", ServiceType.MENTIONS_CUSTOM_LIST),
        ("Mentions Hashtag", ServiceType.MENTIONS_HASHTAG),
        ("Mentions User Followers", ServiceType.MENTIONS_USER_FOLLOWERS),
        ("Mentions Media Likers", ServiceType.MENTIONS_MEDIA_LIKERS),
        ("Comment Likes", ServiceType.COMMENT_LIKES),
        ("comment_replies", ServiceType.COMMENT_REPLIES),
        ("Poll", ServiceType.POLL),
        ("Invites from Groups", ServiceType.INVITES_FROM_GROUPS),
        ("Subscriptions", ServiceType.SUBSCRIPTIONS),
        ("Web traffic", ServiceType.WEB_TRAFFIC),
        ("Web-Traffic", ServiceType.WEB_TRAFFIC),
        ("Defaults", None),
        ("", None),
    ],
)
def test_a_providers_word_for_a_type_is_known_in_any_case(
    word: str, service_type: ServiceType | None
) -> None:
    assert type_of_wire(word) == service_type
