"""The bodies that place an order: one for each service type, told apart by `type`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    RootModel,
    StrictInt,
    StrictStr,
    Tag,
    model_validator,
)

from app.core.money import ZERO, Money
from app.orders.links import LINK_LENGTH_MAX, check_link
from app.orders.pricing import RUNS_MAX, NewOrder, Repeat
from app.providers.forms import FIELDS, OrderForm, ServiceType
from app.web.fields import (
    SAFE_INTEGER_MAX,
    Line,
    Moment,
    MoneyText,
    PublicNumber,
    Reference,
    check_text,
)
from app.web.schemas import InputModel

COMMENTS_MAX: Final = 1000
COMMENT_LENGTH_MAX: Final = 500
NAMES_MAX: Final = 1000
WORDS_MAX: Final = 100
INTERVAL_MINUTES_MAX: Final = 43_200
SPEND_CAP_MAX: Final = Money.parse("1000000000")

_FORM_FIELDS: Final[frozenset[str]] = frozenset(FIELDS)

Url = Annotated[StrictStr, AfterValidator(check_text), AfterValidator(check_link)]
_URL_SCHEMA: Final = {"maxLength": LINK_LENGTH_MAX, "format": "uri"}
Link = Annotated[
    Url,
    Field(
        description="Where the service is delivered, on its platform; it is stored encrypted and"
        " never fetched.",
        examples=["https://www.instagram.com/my.profile"],
        json_schema_extra=_URL_SCHEMA,
    ),
]
OtherUrl = Annotated[Url, Field(json_schema_extra=_URL_SCHEMA)]
Quantity = Annotated[
    StrictInt,
    Field(ge=1, le=SAFE_INTEGER_MAX, description="How much to deliver.", examples=[1000]),
]
SelfCounted = Annotated[
    StrictInt | None,
    Field(ge=1, le=SAFE_INTEGER_MAX, description="Counted by itself; if given, it must agree."),
]
Comments = Annotated[
    list[Annotated[Line, Field(max_length=COMMENT_LENGTH_MAX)]],
    Field(min_length=1, max_length=COMMENTS_MAX, description="The texts to post."),
]
Name = Annotated[Line, Field(max_length=200)]
Names = Annotated[list[Name], Field(min_length=1, max_length=NAMES_MAX)]
Words = Annotated[
    list[Annotated[Line, Field(max_length=100)]], Field(min_length=1, max_length=WORDS_MAX)
]
Groups = Annotated[
    list[Annotated[Line, Field(max_length=500)]], Field(min_length=1, max_length=NAMES_MAX)
]


def _check_cap(cap: Money) -> Money:
    if not ZERO < cap <= SPEND_CAP_MAX:
        raise ValueError("must be above 0 and at most 1000000000")
    return cap


class _OrderBody(InputModel):
    """What every order says."""

    service_id: PublicNumber = Field(description="Of a service on sale.", examples=[1])
    reference: Reference | None = Field(
        None,
        description="Your own name for this order; not an e-mail address.",
        examples=["shop-1042"],
    )
    deliver_by: Moment | None = Field(
        None, description="The date agreed on, for a service of the tier `custom`."
    )

    def asked(self) -> NewOrder:
        """The order as the rules know it; a `type` that was not stated is the service's own."""
        said = {
            name: value
            for name, value in vars(self).items()
            if name in _FORM_FIELDS and value is not None
        }
        stated = vars(self)["type"] if "type" in self.model_fields_set else None
        return NewOrder(
            service_id=self.service_id,
            form=OrderForm.of(said),
            type=None if stated is None else ServiceType(stated),
            reference=self.reference,
            repeat=self.repeat(),
            spend_cap=vars(self).get("spend_cap"),
            deliver_by=self.deliver_by,
        )

    def repeat(self) -> Repeat | None:
        """The runs of an order of a type that may be repeated."""
        return None


class _RepeatableBody(_OrderBody):
    """What an order says that may be delivered in runs: a drip-feed."""

    runs: StrictInt | None = Field(
        None,
        ge=1,
        le=RUNS_MAX,
        description="Deliver `quantity` so many times; all are charged now.",
    )
    interval_minutes: StrictInt | None = Field(
        None,
        ge=1,
        le=INTERVAL_MINUTES_MAX,
        description="How long after a run has started the next one does; taken with `runs`.",
    )

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.runs is None) != (self.interval_minutes is None):
            raise ValueError("runs and interval_minutes are given together")
        return self

    def repeat(self) -> Repeat | None:
        if self.runs is None or self.interval_minutes is None or self.runs == 1:
            return None
        return Repeat(self.runs, self.interval_minutes)


class DefaultOrder(_RepeatableBody):
    """So much of something at a link."""

    type: Literal["default"] = "default"
    link: Link
    quantity: Quantity


class PackageOrder(_OrderBody):
    """One package at a link."""

    type: Literal["package"] = "package"
    link: Link
    quantity: SelfCounted = None


class SeoOrder(_OrderBody):
    """So much for these search words."""

    type: Literal["seo"] = "seo"
    link: Link
    quantity: Quantity
    keywords: Words


class CustomCommentsOrder(_OrderBody):
    """Comments of your own, charged by their number."""

    type: Literal["custom_comments"] = "custom_comments"
    link: Link
    comments: Comments
    quantity: SelfCounted = None


class CustomCommentsPackageOrder(_OrderBody):
    """A package of comments of your own."""

    type: Literal["custom_comments_package"]
    link: Link
    comments: Comments
    quantity: SelfCounted = None


class MentionsOrder(_OrderBody):
    """Mentions of these users."""

    type: Literal["mentions"] = "mentions"
    link: Link
    quantity: Quantity
    usernames: Names


class MentionsWithHashtagsOrder(_OrderBody):
    """Mentions of these users, with hashtags."""

    type: Literal["mentions_with_hashtags"] = "mentions_with_hashtags"
    link: Link
    quantity: Quantity
    usernames: Names
    hashtags: Words


class MentionsCustomListOrder(_OrderBody):
    """Mentions of these users, charged by their number."""

    type: Literal["mentions_custom_list"] = "mentions_custom_list"
    link: Link
    usernames: Names
    quantity: SelfCounted = None


class MentionsHashtagOrder(_OrderBody):
    """Mentions of users of a hashtag."""

    type: Literal["mentions_hashtag"] = "mentions_hashtag"
    link: Link
    quantity: Quantity
    hashtag: Name


class MentionsUserFollowersOrder(_OrderBody):
    """Mentions of the followers of a user, named by the address of the profile."""

    type: Literal["mentions_user_followers"]
    link: Link
    quantity: Quantity
    username: OtherUrl


class MentionsMediaLikersOrder(_OrderBody):
    """Mentions of those who liked a post."""

    type: Literal["mentions_media_likers"] = "mentions_media_likers"
    link: Link
    quantity: Quantity
    media: OtherUrl


class CommentLikesOrder(_OrderBody):
    """Likes on a user's comment at a link."""

    type: Literal["comment_likes"] = "comment_likes"
    link: Link
    quantity: Quantity
    username: Name


class CommentRepliesOrder(_OrderBody):
    """Replies to a user's comment at a link, charged by their number."""

    type: Literal["comment_replies"] = "comment_replies"
    link: Link
    username: Name
    comments: Comments
    quantity: SelfCounted = None


class PollOrder(_OrderBody):
    """Votes for one answer of a poll."""

    type: Literal["poll"] = "poll"
    link: Link
    quantity: Quantity
    answer_number: StrictInt = Field(ge=0, le=SAFE_INTEGER_MAX)


class InvitesFromGroupsOrder(_OrderBody):
    """Invitations to the members of groups."""

    type: Literal["invites_from_groups"] = "invites_from_groups"
    link: Link
    quantity: Quantity
    groups: Groups


class WebTrafficOrder(_RepeatableBody):
    """Visitors to a page."""

    type: Literal["web_traffic"] = "web_traffic"
    link: Link
    quantity: Quantity
    country: Annotated[Line, Field(max_length=60, examples=["US"])]
    device: StrictInt = Field(ge=1, le=5)
    type_of_traffic: StrictInt = Field(
        ge=1, le=3, description="1 by a search word, 2 by a referring page, 3 with neither."
    )
    google_keyword: Name | None = None
    referring_url: OtherUrl | None = None


class SubscriptionsOrder(_OrderBody):
    """So much on each new post of a user, delivered by a provider that looks for posts itself.

    The spend cap is held; at the end what was not spent of it goes back.
    """

    type: Literal["subscriptions"] = "subscriptions"
    username: Name
    min: Quantity
    max: Quantity
    delay: StrictInt = Field(description="Minutes after a post.", examples=[0])
    posts: StrictInt | None = Field(None, ge=1, le=SAFE_INTEGER_MAX, description="New posts.")
    old_posts: StrictInt | None = Field(None, ge=0, le=SAFE_INTEGER_MAX)
    expiry: date | None = None
    spend_cap: Annotated[MoneyText, AfterValidator(_check_cap)] = Field(
        description="The most that all posts together may cost.", examples=["5.00"]
    )


_TELLING: Final = (
    ({"min"}, ServiceType.SUBSCRIPTIONS),
    ({"max"}, ServiceType.SUBSCRIPTIONS),
    ({"delay"}, ServiceType.SUBSCRIPTIONS),
    ({"hashtags"}, ServiceType.MENTIONS_WITH_HASHTAGS),
    ({"hashtag"}, ServiceType.MENTIONS_HASHTAG),
    ({"media"}, ServiceType.MENTIONS_MEDIA_LIKERS),
    ({"answer_number"}, ServiceType.POLL),
    ({"groups"}, ServiceType.INVITES_FROM_GROUPS),
    ({"keywords"}, ServiceType.SEO),
    ({"country"}, ServiceType.WEB_TRAFFIC),
    ({"device"}, ServiceType.WEB_TRAFFIC),
    ({"type_of_traffic"}, ServiceType.WEB_TRAFFIC),
    ({"usernames", "quantity"}, ServiceType.MENTIONS),
    ({"usernames"}, ServiceType.MENTIONS_CUSTOM_LIST),
    ({"comments", "username"}, ServiceType.COMMENT_REPLIES),
    ({"comments"}, ServiceType.CUSTOM_COMMENTS),
    ({"username"}, ServiceType.COMMENT_LIKES),
    ({"quantity"}, ServiceType.DEFAULT),
)
"""Fields that tell the type of an order that does not state it; the first that are there count."""


def _type_of(body: Any) -> str:
    """The type that a body states, else the one that its fields tell."""
    said = body if isinstance(body, Mapping) else vars(body) if isinstance(body, InputModel) else {}
    stated = said.get("type")
    if stated is not None:
        return stated if isinstance(stated, str) else ""
    return next((type_ for fields, type_ in _TELLING if fields <= said.keys()), ServiceType.PACKAGE)


_TYPES: Final = tuple(ServiceType)
_DISCRIMINATOR: Final = Discriminator(
    _type_of,
    custom_error_type="type_unknown",
    custom_error_message=f"must be one of {', '.join(_TYPES)}",
    custom_error_context={"discriminator": "type"},
)


def _body_of(type_: str) -> str:
    return "".join(word.capitalize() for word in type_.split("_")) + "Order"


AnyOrder: TypeAlias = (
    Annotated[DefaultOrder, Tag("default")]
    | Annotated[PackageOrder, Tag("package")]
    | Annotated[SeoOrder, Tag("seo")]
    | Annotated[CustomCommentsOrder, Tag("custom_comments")]
    | Annotated[CustomCommentsPackageOrder, Tag("custom_comments_package")]
    | Annotated[MentionsOrder, Tag("mentions")]
    | Annotated[MentionsWithHashtagsOrder, Tag("mentions_with_hashtags")]
    | Annotated[MentionsCustomListOrder, Tag("mentions_custom_list")]
    | Annotated[MentionsHashtagOrder, Tag("mentions_hashtag")]
    | Annotated[MentionsUserFollowersOrder, Tag("mentions_user_followers")]
    | Annotated[MentionsMediaLikersOrder, Tag("mentions_media_likers")]
    | Annotated[CommentLikesOrder, Tag("comment_likes")]
    | Annotated[CommentRepliesOrder, Tag("comment_replies")]
    | Annotated[PollOrder, Tag("poll")]
    | Annotated[InvitesFromGroupsOrder, Tag("invites_from_groups")]
    | Annotated[WebTrafficOrder, Tag("web_traffic")]
    | Annotated[SubscriptionsOrder, Tag("subscriptions")]
)


class OrderCreate(RootModel[Annotated[AnyOrder, _DISCRIMINATOR]]):
    """One order. `type` is that of its service; it may be left out where the fields tell it."""

    model_config = ConfigDict(
        json_schema_extra={
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_: f"#/components/schemas/{_body_of(type_)}" for type_ in _TYPES},
            }
        }
    )

    def asked(self) -> NewOrder:
        return self.root.asked()
