"""Secrets at rest: they open only unaltered, only in their place, and through every rotation."""

import base64
import os
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.crypto import KeyRing, Place, Undecryptable, new_master_key

OLD, NEW, OTHER = (new_master_key() for _ in range(3))
PLACE = Place("providers", "credentials", "7")


@given(st.binary(max_size=500))
def test_what_is_sealed_opens_in_its_place(plaintext: bytes) -> None:
    ring = KeyRing([OLD])
    assert ring.open(ring.seal(plaintext, PLACE), PLACE) == plaintext


def test_the_same_plaintext_is_sealed_differently_each_time() -> None:
    ring = KeyRing([OLD])
    assert len({ring.seal(b"secret", PLACE) for _ in range(20)}) == 20
    assert b"secret" not in ring.seal(b"secret", PLACE)


def test_no_flipped_bit_goes_unnoticed() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(b"secret", PLACE)
    for position in range(len(sealed)):
        for bit in range(8):
            altered = bytearray(sealed)
            altered[position] ^= 1 << bit
            with pytest.raises(Undecryptable):
                ring.open(bytes(altered), PLACE)


def test_a_ciphertext_cut_short_anywhere_is_undecryptable() -> None:
    ring = KeyRing([OLD])
    sealed = ring.seal(b"secret", PLACE)
    for length in range(len(sealed)):
        with pytest.raises(Undecryptable):
            ring.open(sealed[:length], PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place("providers", "credentials", "8"),
        Place("providers", "name", "7"),
        Place("resellers", "credentials", "7"),
    ],
)
def test_a_ciphertext_moved_to_another_place_is_undecryptable(elsewhere: Place) -> None:
    ring = KeyRing([OLD])
    with pytest.raises(Undecryptable):
        ring.open(ring.seal(b"secret", PLACE), elsewhere)


def test_after_a_rotation_the_old_is_still_read_and_the_new_key_seals() -> None:
    sealed = KeyRing([OLD]).seal(b"secret", PLACE)
    rotated = KeyRing([NEW, OLD])
    assert rotated.open(sealed, PLACE) == b"secret"
    assert not rotated.is_current(sealed)
    again = rotated.seal(b"secret", PLACE)
    assert rotated.is_current(again)
    assert KeyRing([NEW]).open(again, PLACE) == b"secret"


def test_without_its_master_key_a_ciphertext_is_undecryptable() -> None:
    with pytest.raises(Undecryptable):
        KeyRing([OTHER]).open(KeyRing([OLD]).seal(b"secret", PLACE), PLACE)


def test_a_keyed_hash_differs_by_key_purpose_and_message() -> None:
    ring = KeyRing([NEW, OLD])
    hashes = [
        ring.mac("link", b"a"),
        ring.mac("link", b"b"),
        ring.mac("api-key", b"a"),
        KeyRing([OLD]).mac("link", b"a"),
    ]
    assert all(one != other for one, other in combinations(hashes, 2))
    assert ring.macs("link", b"a") == [ring.mac("link", b"a"), KeyRing([OLD]).mac("link", b"a")]


def test_a_hash_under_a_key_that_is_gone_is_told_as_such() -> None:
    gone = KeyRing([OTHER]).current_id
    with pytest.raises(Undecryptable):
        KeyRing([OLD]).mac("link", b"a", key_id=gone)


@pytest.mark.parametrize(
    "encoded",
    [[], ["not base64!"], [base64.b64encode(os.urandom(31)).decode()], [""]],
    ids=["none", "no-base64", "too-short", "empty"],
)
def test_a_ring_without_whole_keys_is_refused(encoded: list[str]) -> None:
    with pytest.raises(ValueError, match="master key"):
        KeyRing(encoded)
