"""What the simulator sells: a service of each type or more, whose ids never change."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class WireType(StrEnum):
    """The types as API v2 spells them."""

    DEFAULT = "Default"
    PACKAGE = "Package"
    SEO = "SEO"
    CUSTOM_COMMENTS = "Custom Comments"
    CUSTOM_COMMENTS_PACKAGE = "Custom Comments Package"
    MENTIONS = "Mentions"
    MENTIONS_WITH_HASHTAGS = "Mentions with Hashtags"
    MENTIONS_CUSTOM_LIST = "Mentions Custom List"
    MENTIONS_HASHTAG = "Mentions Hashtag"
    MENTIONS_USER_FOLLOWERS = "Mentions User Followers"
    MENTIONS_MEDIA_LIKERS = "Mentions Media Likers"
    COMMENT_LIKES = "Comment Likes"
    COMMENT_REPLIES = "Comment Replies"
    POLL = "Poll"
    INVITES_FROM_GROUPS = "Invites from Groups"
    SUBSCRIPTIONS = "Subscriptions"
    WEB_TRAFFIC = "Web Traffic"


PACKAGES: Final = frozenset({WireType.PACKAGE, WireType.CUSTOM_COMMENTS_PACKAGE})


@dataclass(frozen=True, slots=True)
class SimulatedService:
    """One service; the rate is for 1000 units, of a package for one."""

    id: int
    name: str
    category: str
    rate_micros: int
    min: int
    max: int
    type: WireType = WireType.DEFAULT
    package_units: int = 0
    refill: bool = False
    cancel: bool = False
    dripfeed: bool = False

    def charge_micros(self, quantity: int) -> int:
        """What `quantity` units cost our customer, rounded up; a package has one price."""
        if self.type in PACKAGES:
            return self.rate_micros
        return -(-self.rate_micros * quantity // 1000)

    def listing(self) -> dict[str, Any]:
        """The service as `action=services` tells it: numbers as text, flags as booleans."""
        return {
            "service": self.id,
            "name": self.name,
            "type": self.type.value,
            "category": self.category,
            "rate": money_text(self.rate_micros),
            "min": str(self.min),
            "max": str(self.max),
            "refill": self.refill,
            "cancel": self.cancel,
            "dripfeed": self.dripfeed,
        }


def money_text(micros: int) -> str:
    """An amount as providers write it: at least two decimals, no trailing zeros beyond them."""
    whole, part = divmod(abs(micros), 1_000_000)
    decimals = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


_SERVICES: Final = (
    SimulatedService(
        101,
        "Instagram Followers",
        "Instagram",
        900_000,
        50,
        100_000,
        refill=True,
        cancel=True,
        dripfeed=True,
    ),
    SimulatedService(
        102, "Instagram Likes", "Instagram", 300_000, 10, 100_000, cancel=True, dripfeed=True
    ),
    SimulatedService(103, "TikTok Views", "TikTok", 20_000, 100, 1_000_000, dripfeed=True),
    SimulatedService(
        104, "YouTube Views", "YouTube", 1_800_000, 100, 500_000, refill=True, cancel=True
    ),
    SimulatedService(105, "Telegram Members", "Telegram", 1_250_000, 10, 50_000, refill=True),
    SimulatedService(106, "X Reposts", "X", 2_400_000, 10, 20_000, cancel=True),
    SimulatedService(
        201,
        "Instagram Starter Package",
        "Instagram",
        4_500_000,
        1,
        1,
        WireType.PACKAGE,
        package_units=1000,
    ),
    SimulatedService(
        202,
        "YouTube Launch Package",
        "YouTube",
        12_000_000,
        1,
        1,
        WireType.PACKAGE,
        package_units=5000,
        cancel=True,
    ),
    SimulatedService(
        301,
        "Instagram Custom Comments",
        "Instagram",
        8_000_000,
        5,
        1_000,
        WireType.CUSTOM_COMMENTS,
        cancel=True,
    ),
    SimulatedService(
        302, "YouTube Custom Comments", "YouTube", 15_000_000, 1, 500, WireType.CUSTOM_COMMENTS
    ),
    SimulatedService(
        303,
        "Instagram Comment Pack",
        "Instagram",
        3_000_000,
        1,
        1,
        WireType.CUSTOM_COMMENTS_PACKAGE,
        package_units=20,
    ),
    SimulatedService(
        304, "YouTube Comment Replies", "YouTube", 9_000_000, 1, 500, WireType.COMMENT_REPLIES
    ),
    SimulatedService(
        305, "YouTube Comment Likes", "YouTube", 700_000, 10, 50_000, WireType.COMMENT_LIKES
    ),
    SimulatedService(
        401, "Instagram Mentions", "Instagram", 2_000_000, 10, 20_000, WireType.MENTIONS
    ),
    SimulatedService(
        402,
        "Instagram Mentions with Hashtags",
        "Instagram",
        2_100_000,
        10,
        20_000,
        WireType.MENTIONS_WITH_HASHTAGS,
    ),
    SimulatedService(
        403,
        "Instagram Mentions of a List",
        "Instagram",
        2_200_000,
        2,
        5_000,
        WireType.MENTIONS_CUSTOM_LIST,
    ),
    SimulatedService(
        404,
        "Instagram Mentions of a Hashtag",
        "Instagram",
        2_300_000,
        10,
        20_000,
        WireType.MENTIONS_HASHTAG,
    ),
    SimulatedService(
        405,
        "Instagram Mentions of Followers",
        "Instagram",
        2_400_000,
        10,
        20_000,
        WireType.MENTIONS_USER_FOLLOWERS,
    ),
    SimulatedService(
        406,
        "Instagram Mentions of Likers",
        "Instagram",
        2_500_000,
        10,
        20_000,
        WireType.MENTIONS_MEDIA_LIKERS,
    ),
    SimulatedService(
        407,
        "Facebook Group Invites",
        "Facebook",
        3_500_000,
        10,
        5_000,
        WireType.INVITES_FROM_GROUPS,
    ),
    SimulatedService(501, "X Poll Votes", "X", 800_000, 10, 50_000, WireType.POLL, cancel=True),
    SimulatedService(
        601,
        "Instagram Likes on New Posts",
        "Instagram",
        400_000,
        10,
        10_000,
        WireType.SUBSCRIPTIONS,
        cancel=True,
    ),
    SimulatedService(701, "Website SEO", "Website", 5_000_000, 10, 10_000, WireType.SEO),
    SimulatedService(
        702,
        "Website Traffic",
        "Website",
        150_000,
        100,
        1_000_000,
        WireType.WEB_TRAFFIC,
        dripfeed=True,
    ),
)
SERVICES: Final = MappingProxyType({service.id: service for service in _SERVICES})
