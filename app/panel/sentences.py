"""What is refused, in the sentences that clients of this wire compare against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.catalog.errors import ServiceUnavailable, ServiceUnknown
from app.core.errors import AppError, InvalidInput
from app.core.idempotency import (
    IdempotencyAnswerExpired,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
)
from app.ledger.errors import InsufficientFunds, SpendingStopped
from app.orders.errors import LinkBusy, LinkUnfit, QuantityOutOfBounds
from app.web.errors import BodyTooLarge

KEY_INVALID: Final = "Invalid API key"
REQUEST_INCORRECT: Final = "Incorrect request"
SERVICE_INCORRECT: Final = "Incorrect service ID"
ORDER_INCORRECT: Final = "Incorrect order ID"
REFILL_NOT_FOUND: Final = "Refill not found"
NO_FUNDS: Final = "Not enough funds on balance"
LINK_BAD: Final = "Bad link"
LINK_ACTIVE: Final = (
    "You have active order with this link. Please wait until order being completed."
)


class Refused(Exception):
    """A refusal of the wire itself, already in its words."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


_SENTENCES: Final[Mapping[type[AppError], str]] = {
    LinkBusy: LINK_ACTIVE,
    LinkUnfit: LINK_BAD,
    ServiceUnknown: SERVICE_INCORRECT,
    InsufficientFunds: NO_FUNDS,
    SpendingStopped: NO_FUNDS,
    **dict.fromkeys(
        (
            InvalidInput,
            ServiceUnavailable,
            IdempotencyKeyReused,
            IdempotencyKeyInvalid,
            IdempotencyAnswerExpired,
            BodyTooLarge,
        ),
        REQUEST_INCORRECT,
    ),
}


def sentence_of(error: AppError) -> str:
    """The sentence for a refusal of our rules. One of the key, the account or what becomes of an
    order, for which the wire has no word, says its own, which is neutral and names nobody.
    """
    if isinstance(error, QuantityOutOfBounds):
        word = "less than minimal" if error.is_less else "more than maximum"
        return f"Quantity {word} {error.bound}"
    return _SENTENCES.get(type(error), error.title)
