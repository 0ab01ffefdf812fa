"""Reads JSON as providers really write it: loose about types, strict about values."""

import json
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final, NoReturn

MICROS: Final = Decimal(1_000_000)
AMOUNT_MAX: Final = Decimal(10**12)
"""Beyond this an amount is absurd; a million times as much still fits a BIGINT."""

_NUMBER_CHARS_MAX: Final = 40
_INTEGER_MAX: Final = 2**63 - 1
# PHP writes what is small as 1.0E-5, also in a text.
_PLAIN_DECIMAL: Final = re.compile(
    r"([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})(E-[0-9]{1,2})?", re.ASCII | re.IGNORECASE
)
_PLAIN_INTEGER: Final = re.compile(r"-?[0-9]{1,19}(\.0{1,10})?", re.ASCII)
_TRUE_WORDS: Final = frozenset({"1", "true", "yes"})


class NotReadable(ValueError):
    """The text or value is not what it should be."""


def load_json(body: bytes) -> Any:
    """The JSON of a body, decimals exact. Raises NotReadable, also for NaN and repeated keys."""
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            parse_float=_decimal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_object,
        )
    # Nesting a hundred thousand deep is well-formed JSON that no parser survives, and an
    # exponent beyond what Decimal holds is an ArithmeticError.
    except (ValueError, RecursionError, ArithmeticError) as error:
        raise NotReadable(f"The answer is not JSON: {type(error).__name__}.") from error


def lower_keys(value: Mapping[str, Any]) -> dict[str, Any]:
    """Keys in lower case. Raises NotReadable when two become one: which is meant is a guess."""
    lowered = {key.lower(): item for key, item in value.items()}
    if len(lowered) != len(value):
        raise NotReadable("The answer says the same key twice.")
    return lowered


def micros_up(value: object) -> int:
    """A price or a cost in micro-units, rounded up: what we pay is never understated."""
    return int((_amount(value) * MICROS).to_integral_value(rounding=ROUND_CEILING))


def micros_down(value: object) -> int:
    """What is ours in micro-units, rounded down: it is never overstated."""
    return int((_amount(value) * MICROS).to_integral_value(rounding=ROUND_FLOOR))


def balance_micros(value: object) -> int:
    """Like `micros_down`, of what may be a debt as well."""
    spelled = _number_text(value)
    owed = spelled.removeprefix("-")
    return micros_down(spelled) if owed == spelled else -micros_up(owed)


def integer(value: object) -> int:
    """A whole number that fits a BIGINT, from a number or its text. Raises NotReadable."""
    text = _number_text(value)
    if not _PLAIN_INTEGER.fullmatch(text):
        raise NotReadable("Not a whole number.")
    number = int(text.partition(".")[0])
    if abs(number) > _INTEGER_MAX:
        raise NotReadable("A number out of all bounds.")
    return number


def integer_or_none(value: object) -> int | None:
    """Like `integer`, where null, an empty text or a word such as Unknown means not told."""
    try:
        return integer(value)
    except NotReadable:
        return None


def flag(value: object) -> bool:
    """A boolean, also as 1, "1", "true" or "yes"; all else is false."""
    return value is True or str(value).strip().lower() in _TRUE_WORDS


def text(value: object) -> str:
    """A text, from a text or a number. Raises NotReadable for null, booleans, lists, objects."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise NotReadable("Neither a text nor a number.")


def _amount(value: object) -> Decimal:
    spelled = _number_text(value)
    if not _PLAIN_DECIMAL.fullmatch(spelled):
        raise NotReadable("Not an amount.")
    amount = Decimal(spelled)
    if amount > AMOUNT_MAX:
        raise NotReadable("An amount out of all bounds.")
    return amount


def _number_text(value: object) -> str:
    """The number written out; `f` turns the 1E-7 of a small decimal into plain digits."""
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) <= _NUMBER_CHARS_MAX else ""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) <= _INTEGER_MAX else ""
    return value.strip() if isinstance(value, str) and len(value) <= _NUMBER_CHARS_MAX else ""


def _decimal(spelled: str) -> Decimal:
    if len(spelled) > _NUMBER_CHARS_MAX:
        raise NotReadable("A number of too many digits.")
    return Decimal(spelled)


def _refuse_constant(spelled: str) -> NoReturn:
    raise NotReadable(f"{spelled} is not a number.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise NotReadable("The answer says the same key twice.")
    return value
