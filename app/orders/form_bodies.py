"""The bodies that place an order: one for each service type."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, StrictInt, ValidationInfo, field_validator

from app.orders.form_fields import (
    INTERVAL_MINUTES_MAX,
    Comments,
    Groups,
    Link,
    Name,
    Names,
    OtherUrl,
    Quantity,
    SelfCounted,
    SpendCap,
    Words,
)
from app.orders.pricing import RUNS_MAX, NewOrder, Repeat
from app.providers.forms import FIELDS, OrderForm, ServiceType
from app.web.fields import SAFE_INTEGER_MAX, Day, Line, Moment, PublicNumber, Reference
from app.web.schemas import InputModel

_FORM_FIELDS: Final[frozenset[str]] = frozenset(FIELDS)


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
        validate_default=True,
        description="How long after a run has started the next one does; taken with `runs`.",
    )

    @field_validator("interval_minutes")
    @classmethod
    def _with_runs(cls, minutes: int | None, said: ValidationInfo) -> int | None:
        if minutes is None and said.data.get("runs") is not None:
            raise ValueError("is required with runs")
        if minutes is not None and "runs" in said.data and said.data["runs"] is None:
            raise ValueError("is taken only with runs")
        return minutes

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
    expiry: Day | None = None
    spend_cap: SpendCap = Field(
        description="The most that all posts together may cost.", examples=["5.00"]
    )
