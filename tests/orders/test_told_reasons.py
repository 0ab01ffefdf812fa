"""What a provider gave as its reason is told without a way to find the provider."""

import pytest

from app.orders.told_reasons import REASON_CHARS_MAX, told_reason


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Refill is not available", "Refill is not available"),
        ("Order too old. Try again in 24h.", "Order too old. Try again in 24h."),
        ("See https://panel.example/faq?x=1 first", "See … first"),
        ("Write to help@panel.example", "Write to …"),
        ("Ask @panelsupport on Telegram", "Ask … on Telegram"),
        ("panel.example/tickets only", "… only"),
        ("BIGPANEL does not refill", "… does not refill"),
        ("Incorrect\n order\tID", "Incorrect order ID"),
        ("https://panel.example", None),
        ("", None),
    ],
)
def test_addresses_and_names_are_left_out(said: str, told: str | None) -> None:
    assert told_reason(said, provider_name="BigPanel") == told


def test_a_long_reason_is_cut() -> None:
    assert told_reason("no " * 500, provider_name="p") == ("no " * 500)[:REASON_CHARS_MAX]
