"""Cursors: a list gives them, and only that list of that owner takes them back."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import KeyRing, new_master_key
from app.core.cursors import CURSOR_LENGTH_MAX, CursorInvalid, Cursors

OLD, NEW = new_master_key(), new_master_key()
CURSORS = Cursors(KeyRing([OLD]))


@given(st.lists(st.integers(0, 2**53) | st.text(max_size=40), min_size=1, max_size=3))
def test_a_position_survives_its_journey(position: list[str | int]) -> None:
    try:
        cursor = CURSORS.seal("orders:1", position)
    except UnicodeEncodeError:
        return
    assert CURSORS.open("orders:1", cursor) == position if len(cursor) < CURSOR_LENGTH_MAX else True


def test_another_list_or_owner_does_not_take_it() -> None:
    cursor = CURSORS.seal("orders:1", [7])
    for scope in ("orders:2", "keys:1", "orders:1?state=queued", ""):
        with pytest.raises(CursorInvalid):
            CURSORS.open(scope, cursor)


def test_a_forged_position_is_refused() -> None:
    raw = base64.urlsafe_b64decode(CURSORS.seal("orders:1", [7]) + "==")
    forged = base64.urlsafe_b64encode(raw.replace(b"[7]", b"[8]")).rstrip(b"=").decode()
    with pytest.raises(CursorInvalid):
        CURSORS.open("orders:1", forged)


@given(st.text(max_size=600))
def test_no_text_is_an_internal_error(text: str) -> None:
    with pytest.raises(CursorInvalid):
        CURSORS.open("orders:1", text)


@given(st.binary(max_size=60))
def test_no_bytes_are_an_internal_error(raw: bytes) -> None:
    with pytest.raises(CursorInvalid):
        CURSORS.open("orders:1", base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


def test_a_cursor_outlives_a_key_rotation_but_not_its_key() -> None:
    cursor = CURSORS.seal("orders:1", [7])
    assert Cursors(KeyRing([NEW, OLD])).open("orders:1", cursor) == [7]
    with pytest.raises(CursorInvalid):
        Cursors(KeyRing([NEW])).open("orders:1", cursor)
