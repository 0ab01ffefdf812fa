"""What an order of each service type says: its fields, its billable quantity and its rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias, get_args


class ServiceType(StrEnum):
    """What an order of a service must say; adapters map it to their wire's own name."""

    DEFAULT = "default"
    PACKAGE = "package"
    SEO = "seo"
    CUSTOM_COMMENTS = "custom_comments"
    CUSTOM_COMMENTS_PACKAGE = "custom_comments_package"
    MENTIONS = "mentions"
    MENTIONS_WITH_HASHTAGS = "mentions_with_hashtags"
    MENTIONS_CUSTOM_LIST = "mentions_custom_list"
    MENTIONS_HASHTAG = "mentions_hashtag"
    MENTIONS_USER_FOLLOWERS = "mentions_user_followers"
    MENTIONS_MEDIA_LIKERS = "mentions_media_likers"
    COMMENT_LIKES = "comment_likes"
    COMMENT_REPLIES = "comment_replies"
    POLL = "poll"
    INVITES_FROM_GROUPS = "invites_from_groups"
    SUBSCRIPTIONS = "subscriptions"
    WEB_TRAFFIC = "web_traffic"


_TEXTS = Literal[
    "link", "hashtag", "username", "media", "country", "google_keyword", "referring_url"
]
_LINES = Literal["comments", "usernames", "hashtags", "groups", "keywords"]
_NUMBERS = Literal[
    "quantity",
    "answer_number",
    "device",
    "type_of_traffic",
    "min",
    "max",
    "posts",
    "old_posts",
    "delay",
]
FieldName: TypeAlias = _TEXTS | _LINES | _NUMBERS | Literal["expiry"]

LINES_FIELDS: Final[tuple[_LINES, ...]] = get_args(_LINES)
"""The fields that hold several lines; on the wire they are one text."""

NUMBER_FIELDS: Final[tuple[_NUMBERS, ...]] = get_args(_NUMBERS)
"""The fields that hold a whole number."""


@dataclass(frozen=True, slots=True)
class OrderForm:
    """All that an order may say of itself, in the names of API v2; what it leaves out is empty."""

    link: str | None = None
    quantity: int | None = None
    comments: tuple[str, ...] = ()
    usernames: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    hashtag: str | None = None
    username: str | None = None
    media: str | None = None
    answer_number: int | None = None
    country: str | None = None
    device: int | None = None
    type_of_traffic: int | None = None
    google_keyword: str | None = None
    referring_url: str | None = None
    min: int | None = None
    max: int | None = None
    posts: int | None = None
    old_posts: int | None = None
    delay: int | None = None
    expiry: date | None = None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """The form that says these fields and no other; lists of lines may come as any sequence."""
        lines = {str(name): tuple(said[name]) for name in LINES_FIELDS if name in said}
        fields: dict[str, Any] = {**said, **lines}
        return cls(**fields)

    def said(self) -> frozenset[FieldName]:
        """The fields that have content; a text of spaces and blank lines have none."""
        return frozenset(field for field in FIELDS if _has_content(getattr(self, field)))

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses in it. They identify people, and are cut out of what providers answer."""
        return tuple(filter(None, (self.link, self.media, self.referring_url)))


def _has_content(value: object) -> bool:
    if value is None or value == ():
        return False
    if isinstance(value, tuple):
        return any(line.strip() for line in value)
    return bool(value.strip()) if isinstance(value, str) else True


FIELDS: Final[tuple[FieldName, ...]] = tuple(OrderForm.__dataclass_fields__)  # type: ignore[arg-type]  # plain str to mypy


class Unit(Enum):
    """What is counted where the order itself does not hold the things to count."""

    QUANTITY = "quantity"
    """The number that the order names."""

    ONE = "one"
    """A package: one, at the price of one."""

    POST = "post"
    """Each post as it is delivered: only what was delivered can say how much that is."""


@dataclass(frozen=True, slots=True)
class LinesOf:
    """The lines of one field are counted, blank ones left out."""

    field: _LINES


Billable: TypeAlias = Unit | LinesOf


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one service type."""

    required: tuple[FieldName, ...]
    optional: tuple[FieldName, ...] = ()
    billable: Billable = Unit.QUANTITY

    repeats: bool = False
    """It may be bought with runs and an interval; `quantity` is then that of each run."""

    reaches_others: bool = False
    """It reaches people who did not ask, and is off until an operator turns it on."""

    @property
    def fields(self) -> tuple[FieldName, ...]:
        """What goes to a provider, where it is said."""
        return self.required + self.optional

    @property
    def counts_itself(self) -> bool:
        """No `quantity` is asked for; one that is given all the same must agree with the count."""
        return self.billable is Unit.ONE or isinstance(self.billable, LinesOf)

    def takes(self, field: FieldName) -> bool:
        return field in self.fields or (field == "quantity" and self.counts_itself)


class Problem(NamedTuple):
    """One field of an order that breaks a rule of its type, and the rule."""

    field: FieldName
    rule: str


DELAYS: Final = (
    0, 5, 10, 15, 20, 30, 40, 50, 60, 90, 120, 150, 180, 210, 240, 270, 300, 360, 420, 480, 540,
    600,
)  # fmt: skip
"""Minutes that a subscription may wait after a post; the field knows no others."""

_BOUNDS: Final[Mapping[FieldName, tuple[int, int | None]]] = {
    "quantity": (1, None),
    "answer_number": (0, None),
    "device": (1, 5),
    "type_of_traffic": (1, 3),
    "min": (1, None),
    "max": (1, None),
    "posts": (1, None),
    "old_posts": (0, None),
}
# Where visitors come from decides which of these must be told.
_TRAFFIC: Final[Mapping[FieldName, int]] = {"google_keyword": 1, "referring_url": 2}

FORMS: Final[Mapping[ServiceType, Form]] = MappingProxyType(
    {
        ServiceType.DEFAULT: Form(("link", "quantity"), repeats=True),
        ServiceType.PACKAGE: Form(("link",), billable=Unit.ONE),
        ServiceType.SEO: Form(("link", "quantity", "keywords")),
        ServiceType.CUSTOM_COMMENTS: Form(
            ("link", "comments"), billable=LinesOf("comments"), reaches_others=True
        ),
        ServiceType.CUSTOM_COMMENTS_PACKAGE: Form(
            ("link", "comments"), billable=Unit.ONE, reaches_others=True
        ),
        ServiceType.MENTIONS: Form(("link", "quantity", "usernames"), reaches_others=True),
        ServiceType.MENTIONS_WITH_HASHTAGS: Form(
            ("link", "quantity", "usernames", "hashtags"), reaches_others=True
        ),
        ServiceType.MENTIONS_CUSTOM_LIST: Form(
            ("link", "usernames"), billable=LinesOf("usernames"), reaches_others=True
        ),
        ServiceType.MENTIONS_HASHTAG: Form(("link", "quantity", "hashtag"), reaches_others=True),
        ServiceType.MENTIONS_USER_FOLLOWERS: Form(
            ("link", "quantity", "username"), reaches_others=True
        ),
        ServiceType.MENTIONS_MEDIA_LIKERS: Form(("link", "quantity", "media"), reaches_others=True),
        ServiceType.COMMENT_LIKES: Form(("link", "quantity", "username"), reaches_others=True),
        ServiceType.COMMENT_REPLIES: Form(
            ("link", "username", "comments"), billable=LinesOf("comments"), reaches_others=True
        ),
        ServiceType.POLL: Form(("link", "quantity", "answer_number")),
        ServiceType.INVITES_FROM_GROUPS: Form(("link", "quantity", "groups"), reaches_others=True),
        ServiceType.SUBSCRIPTIONS: Form(
            ("username", "min", "max", "delay"),
            ("posts", "old_posts", "expiry"),
            billable=Unit.POST,
        ),
        ServiceType.WEB_TRAFFIC: Form(
            ("link", "quantity", "country", "device", "type_of_traffic"),
            ("google_keyword", "referring_url"),
            repeats=True,
        ),
    }
)

_BY_WIRE_NAME: Final = {type_.value.replace("_", " "): type_ for type_ in ServiceType}


def type_of_wire(text: str) -> ServiceType | None:
    """The type that a provider's word names, in any case and spacing; None for a word unknown."""
    return _BY_WIRE_NAME.get(" ".join(text.lower().replace("_", " ").replace("-", " ").split()))


def filled(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines that say something: what a provider counts of a text."""
    return tuple(line for line in lines if line.strip())


def billable_quantity(service_type: ServiceType, form: OrderForm) -> int:
    """How many units one order, or one run of it, is charged for.

    Of a subscription: the most that one post may be charged, for how many posts will come nobody
    knows. Raises ValueError where the form leaves out what is counted; see `problems`.
    """
    billable = FORMS[service_type].billable
    if billable is Unit.ONE:
        return 1
    counted: int | None
    if isinstance(billable, LinesOf):
        counted = len(filled(getattr(form, billable.field)))
    else:
        counted = form.quantity if billable is Unit.QUANTITY else form.max
    if not counted:
        raise ValueError(f"An order of {service_type} does not say how much it is for.")
    return counted


def problems(service_type: ServiceType, form: OrderForm) -> tuple[Problem, ...]:
    """What is missing, not taken or out of range, field by field; none means a good form.

    Judged by the type alone: the bounds of the service, the link and today's date are not known.
    """
    return (
        *_missing_or_not_taken(service_type, form),
        *_not_single_lines(form),
        *_out_of_range(form),
        *_contradictions(service_type, form),
    )


def _missing_or_not_taken(service_type: ServiceType, form: OrderForm) -> Iterator[Problem]:
    rules, said = FORMS[service_type], form.said()
    for field in FIELDS:
        if field in said and not rules.takes(field):
            yield Problem(field, f"is not taken by a {service_type} service")
    for field in rules.required:
        if field not in said:
            yield Problem(field, "is required for this service")
    if service_type is not ServiceType.WEB_TRAFFIC or form.type_of_traffic is None:
        return
    for field, kind in _TRAFFIC.items():
        if form.type_of_traffic == kind and field not in said:
            yield Problem(field, f"is required when type_of_traffic is {kind}")
        elif form.type_of_traffic != kind and field in said:
            yield Problem(field, f"is taken only when type_of_traffic is {kind}")


def _not_single_lines(form: OrderForm) -> Iterator[Problem]:
    """A line that holds a line break would be two to the provider, and counted as two."""
    for field in LINES_FIELDS:
        if any(len(line.splitlines()) > 1 for line in getattr(form, field)):
            yield Problem(field, "must be single lines, without line breaks in them")


def _out_of_range(form: OrderForm) -> Iterator[Problem]:
    for field, (least, most) in _BOUNDS.items():
        value = getattr(form, field)
        if value is None or least <= value <= (value if most is None else most):
            continue
        bounds = f"must be {least} or more" if most is None else f"must be {least} to {most}"
        yield Problem(field, bounds)
    if form.delay is not None and form.delay not in DELAYS:
        yield Problem("delay", f"must be one of {', '.join(map(str, DELAYS))}")


def _contradictions(service_type: ServiceType, form: OrderForm) -> Iterator[Problem]:
    if form.min is not None and form.max is not None and form.min > form.max:
        yield Problem("max", "must not be below min")
    if form.quantity is None:
        return
    match FORMS[service_type].billable:
        case Unit.ONE if form.quantity != 1:
            yield Problem("quantity", "is always 1 for a package")
        case LinesOf(field=field) if form.quantity != len(filled(getattr(form, field))):
            yield Problem("quantity", f"must be the number of {field}")
