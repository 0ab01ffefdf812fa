"""The wire's words for ours: statuses of orders and refills, and the names of service types."""

from __future__ import annotations

from typing import Final

from app.orders.states import V1_STATUS, OrderState
from app.providers.forms import ServiceType

_O = OrderState

ORDER_STATUS: Final[dict[OrderState, str]] = {
    _O.QUEUED: "Pending",
    _O.ON_HOLD: "Pending",
    _O.SUBMITTING: "Processing",
    _O.UNKNOWN: "Processing",
    _O.NEEDS_REVIEW: "Processing",
    _O.IN_PROGRESS: "In progress",
    _O.COMPLETED: "Completed",
    _O.PARTIAL: "Partial",
    _O.CANCELED: "Canceled",
    _O.FAILED: "Canceled",
}

SCHEDULE_STATUS: Final = {V1_STATUS[state]: word for state, word in ORDER_STATUS.items()}
"""Of a drip-feed, by v1's status of it."""

TYPE_NAME: Final[dict[ServiceType, str]] = {
    ServiceType.DEFAULT: "Default",
    ServiceType.PACKAGE: "Package",
    ServiceType.SEO: "SEO",
    ServiceType.CUSTOM_COMMENTS: "Custom Comments",
    ServiceType.CUSTOM_COMMENTS_PACKAGE: "Custom Comments Package",
    ServiceType.MENTIONS: "Mentions",
    ServiceType.MENTIONS_WITH_HASHTAGS: "Mentions with Hashtags",
    ServiceType.MENTIONS_CUSTOM_LIST: "Mentions Custom List",
    ServiceType.MENTIONS_HASHTAG: "Mentions Hashtag",
    ServiceType.MENTIONS_USER_FOLLOWERS: "Mentions User Followers",
    ServiceType.MENTIONS_MEDIA_LIKERS: "Mentions Media Likers",
    ServiceType.COMMENT_LIKES: "Comment Likes",
    ServiceType.COMMENT_REPLIES: "Comment Replies",
    ServiceType.POLL: "Poll",
    ServiceType.INVITES_FROM_GROUPS: "Invites from Groups",
    ServiceType.SUBSCRIPTIONS: "Subscriptions",
    ServiceType.WEB_TRAFFIC: "Web Traffic",
}

REFILL_WORD: Final[dict[str, str]] = {
    "pending": "Pending",
    "in_progress": "In progress",
    "completed": "Completed",
    "rejected": "Rejected",
    "failed": "Error",
}
"""By v1's status of a refill."""
