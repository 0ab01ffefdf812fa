"""What the error sentences and codes of providers mean; case and the final full stop vary."""

import re
from typing import Final

from app.providers.protocol import RefusalKind

# Matched against the whole normalised text, in this order.
_PATTERNS: Final[tuple[tuple[RefusalKind, str], ...]] = (
    (RefusalKind.CREDENTIALS, r"(invalid|incorrect|wrong) api key"),
    (RefusalKind.CREDENTIALS, r"api key is (invalid|incorrect|wrong)"),
    (RefusalKind.NO_FUNDS, r"not enough (funds|balance|money)( on (the |your )?balance)?"),
    (RefusalKind.NO_FUNDS, r"insufficient (funds|balance)"),
    (RefusalKind.NO_FUNDS, r"(neworder\.)?error\.not_enough_funds"),
    (RefusalKind.NO_FUNDS, r"недостаточно средств( на балансе)?"),
    (RefusalKind.LINK_BUSY, r"you have (an )?active order with this link.*"),
    (RefusalKind.LINK_BUSY, r"(neworder\.)?error\.link_duplicate"),
    (RefusalKind.SERVICE_GONE, r"(incorrect|invalid) service( id)?"),
    (RefusalKind.SERVICE_GONE, r"service not found"),
    (RefusalKind.SERVICE_GONE, r"(neworder\.)?error\.incorrect_service_id"),
    (RefusalKind.RATE_LIMITED, r"too many requests.*"),
    (RefusalKind.RATE_LIMITED, r"rate limit( (exceeded|reached))?.*"),
    # Waiting is safe when the word is meant otherwise; refunding or failing would not be.
    (RefusalKind.MAINTENANCE, r".*\bmaintenance\b.*"),
    (RefusalKind.PERMANENT, r"incorrect request"),
    (RefusalKind.PERMANENT, r"(bad|incorrect|invalid) link"),
    (RefusalKind.PERMANENT, r"quantity (is )?less than (minimal|minimum)( [0-9]+)?"),
    (RefusalKind.PERMANENT, r"quantity (is )?more than (maximal|maximum)( [0-9]+)?"),
    (RefusalKind.PERMANENT, r"(neworder\.)?error\.(link|min_quantity|max_quantity)"),
)
_RULES: Final = tuple((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _PATTERNS)

_ORDER_UNKNOWN: Final = re.compile(
    r"(incorrect|invalid) order( id)?|order not found|error\.incorrect_order_id"
    r"|заказ не найден"
)
_REFILL_UNKNOWN: Final = re.compile(
    r"(incorrect|invalid) refill( id)?|refill not found|error\.incorrect_refill_id"
)
_TEXT_CHARS_MAX: Final = 500


def kind_of(text: str) -> RefusalKind:
    """The refusal that an error text states; UNSEEN for a text nobody has classified."""
    normalised = _normalise(text)
    for kind, rule in _RULES:
        if rule.fullmatch(normalised):
            return kind
    return RefusalKind.UNSEEN


def says_order_unknown(text: str) -> bool:
    """Whether the provider says that it has no order of that id."""
    return _ORDER_UNKNOWN.fullmatch(_normalise(text)) is not None


def says_refill_unknown(text: str) -> bool:
    """Whether the provider says that it has no refill of that id."""
    return _REFILL_UNKNOWN.fullmatch(_normalise(text)) is not None


def _normalise(text: str) -> str:
    return " ".join(text[:_TEXT_CHARS_MAX].lower().split()).rstrip(" .!")
