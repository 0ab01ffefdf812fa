"""Card numbers in what people write: found however they are spaced, and nothing else is."""

import pytest

from app.web.human_text import check_no_card

CARDS = [
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4012888888881881",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "30569309025904",
    "6011111111111117",
    "3530111333300000",
    "6205500000000000004",
]


@pytest.mark.policy("SEC-2")
@pytest.mark.parametrize("number", CARDS)
def test_a_card_number_is_refused_wherever_it_stands(number: str) -> None:
    for text in (
        number,
        f"Take it from {number}, please.",
        f"card:{number}\nthanks",
        f"{number} 12/27",
        f"{number} 12-27 123",
        f"order 1042 {number} 737",
    ):
        with pytest.raises(ValueError, match="payment card"):
            check_no_card(text)


@pytest.mark.parametrize(
    "text",
    [
        "Order 1042 of 25 November never came.",
        "4111 1111 1111 1112",  # fails the check sum
        "https://example.com/p/4111111111111111?x=1",
        "1234567812345670",  # sums up, of no issuer
        "my id is a4111111111111111b",
        "+49 170 1234567",
        "Orders 41037591 41037597 never came.",  # sums up, as order numbers do now and then
    ],
)
def test_what_is_no_card_number_passes(text: str) -> None:
    assert check_no_card(text) == text
