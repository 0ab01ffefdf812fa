"""The body that places an order: that of its type, told apart by `type` or by what it says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeAlias

from pydantic import ConfigDict, Discriminator, RootModel, Tag

from app.orders.form_bodies import (
    CommentLikesOrder,
    CommentRepliesOrder,
    CustomCommentsOrder,
    CustomCommentsPackageOrder,
    DefaultOrder,
    InvitesFromGroupsOrder,
    MentionsCustomListOrder,
    MentionsHashtagOrder,
    MentionsMediaLikersOrder,
    MentionsOrder,
    MentionsUserFollowersOrder,
    MentionsWithHashtagsOrder,
    PackageOrder,
    PollOrder,
    SeoOrder,
    SubscriptionsOrder,
    WebTrafficOrder,
)
from app.orders.pricing import NewOrder
from app.providers.forms import ServiceType
from app.web.schemas import InputModel

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
