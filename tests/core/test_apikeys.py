"""API keys: a form that scanners know, a checksum that drops garbage, a secret kept as a hash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core import apikeys
from app.core.apikeys import KEY_PATTERN, KeyKind
from app.core.crypto import KeyRing, new_master_key

OLD, NEW = new_master_key(), new_master_key()
RING = KeyRing([OLD])


@pytest.mark.parametrize("kind", KeyKind)
def test_a_minted_key_has_the_published_form_and_is_recognised(kind: KeyKind) -> None:
    minted = apikeys.mint(kind, RING)
    assert KEY_PATTERN.fullmatch(minted.text)
    assert minted.text.startswith(f"smm_{kind}_")
    presented = apikeys.parse(minted.text)
    assert presented is not None
    assert (presented.kind, presented.lookup) == (kind, minted.lookup)
    assert presented.secret.endswith(minted.last4)
    assert apikeys.verify(presented, RING, secret_mac=minted.secret_mac, pepper=minted.pepper)


def test_no_single_changed_character_passes_the_checksum() -> None:
    text = apikeys.mint(KeyKind.LIVE, RING).text
    for position in range(len("smm_live_"), len(text)):
        other = "a" if text[position] != "a" else "b"
        assert apikeys.parse(text[:position] + other + text[position + 1 :]) is None


def test_a_live_key_cannot_be_passed_off_as_another_kind() -> None:
    text = apikeys.mint(KeyKind.LIVE, RING).text
    for kind in ("test", "pub", "op"):
        assert apikeys.parse(text.replace("smm_live_", f"smm_{kind}_")) is None


@given(st.text(max_size=80))
def test_garbage_is_no_key_and_no_error(text: str) -> None:
    assert apikeys.parse(text) is None
    assert apikeys.parse(f"smm_live_{text}") is None


@pytest.mark.parametrize("spoil", ["{} ", " {}", "{}\n", "Bearer {}", "{}\x00"])
def test_a_key_with_anything_around_it_is_no_key(spoil: str) -> None:
    assert apikeys.parse(spoil.format(apikeys.mint(KeyKind.LIVE, RING).text)) is None


def test_another_secret_under_the_same_look_up_id_is_refused() -> None:
    mine, other = (apikeys.mint(KeyKind.LIVE, RING) for _ in range(2))
    presented = apikeys.parse(other.text)
    assert presented is not None
    assert not apikeys.verify(presented, RING, secret_mac=mine.secret_mac, pepper=mine.pepper)


def test_keys_outlive_a_rotation_of_the_pepper_but_not_its_removal() -> None:
    minted = apikeys.mint(KeyKind.LIVE, RING)
    presented = apikeys.parse(minted.text)
    assert presented is not None

    def accepted_by(ring: KeyRing) -> bool:
        return apikeys.verify(presented, ring, secret_mac=minted.secret_mac, pepper=minted.pepper)

    assert accepted_by(KeyRing([NEW, OLD]))
    assert not accepted_by(KeyRing([NEW]))


def test_neither_form_of_a_key_shows_its_secret_when_printed() -> None:
    minted = apikeys.mint(KeyKind.LIVE, RING)
    presented = apikeys.parse(minted.text)
    assert presented is not None
    assert presented.secret not in repr(presented)
    assert presented.secret not in repr(minted)
