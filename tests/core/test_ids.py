"""Identifiers: ordered by time inside, prefixed and unmistakable outside."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.ids import new_id, parse_public_id, public_id


def test_ids_are_version_seven_and_grow_with_time() -> None:
    ids = [new_id() for _ in range(1000)]
    assert all(one.version == 7 for one in ids)
    assert sorted(ids) == ids
    assert len(set(ids)) == len(ids)


@given(st.uuids())
def test_a_public_id_is_read_back_as_what_it_shows(value: UUID) -> None:
    assert parse_public_id("key", public_id("key", value)) == value


@given(st.text(max_size=60))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    for candidate in (text, f"key_{text}"):
        found = parse_public_id("key", candidate)
        assert found is None or public_id("key", found) == candidate


@pytest.mark.parametrize(
    "spoil",
    [
        str.upper,
        lambda text: text.replace("key_", "opr_"),
        lambda text: text + "0",
        lambda text: text[:-1],
        lambda text: text.replace("key_", "key-"),
        lambda text: text.replace("key_", ""),
        lambda text: text[:-2] + "_0",
        lambda text: "key_{" + text[5:-1] + "}",
        lambda text: text[:-1] + "٣",
    ],
)
def test_an_id_written_in_any_other_way_is_none_of_ours(spoil: object) -> None:
    assert callable(spoil)
    text = public_id("key", uuid4())
    assert parse_public_id("key", spoil(text)) is None
