"""Secrets at rest: sub-keys by HKDF, AES-GCM bound to table, column and row, keyed hashes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12


class Undecryptable(Exception):
    """The ciphertext was altered, moved to another row, or its master key is gone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a ciphertext stands; it opens nowhere else."""

    table: str
    column: str
    row: str

    def associated_data(self) -> bytes:
        return f"{self.table}|{self.column}|{self.row}".encode()


class KeyRing:
    """The master keys: the first seals and signs, every one opens and verifies."""

    def __init__(self, encoded_keys: Sequence[str]) -> None:
        if not encoded_keys:
            raise ValueError("at least one master key is needed")
        keys = [_decode_key(encoded) for encoded in encoded_keys]
        self._keys = {hashlib.sha256(key).digest()[:_KEY_ID_BYTES]: key for key in keys}
        self._current = next(iter(self._keys))

    @property
    def current_id(self) -> str:
        return self._current.hex()

    def seal(self, plaintext: bytes, place: Place) -> bytes:
        """Encrypt under the current key: key id, nonce, ciphertext."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = _cipher(self._keys[self._current])
        sealed = cipher.encrypt(nonce, plaintext, place.associated_data())
        return self._current + nonce + sealed

    def open(self, sealed: bytes, place: Place) -> bytes:
        """Decrypt what `seal` made for this very place; Undecryptable otherwise."""
        key = self._keys.get(sealed[:_KEY_ID_BYTES])
        if key is None:
            raise Undecryptable("sealed with a master key that is not configured")
        nonce = sealed[_KEY_ID_BYTES : _KEY_ID_BYTES + _NONCE_BYTES]
        body = sealed[_KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return _cipher(key).decrypt(nonce, body, place.associated_data())
        except (InvalidTag, ValueError) as error:  # ValueError: cut short within the nonce
            raise Undecryptable("the ciphertext does not belong to this place") from error

    def is_current(self, sealed: bytes) -> bool:
        """Whether the current key sealed it, so that a rotation can skip it."""
        return sealed[:_KEY_ID_BYTES] == self._current

    def mac(self, purpose: str, message: bytes, *, key_id: str | None = None) -> bytes:
        """A keyed hash (HMAC-SHA256) for one purpose, under the current or a named master key."""
        key = self._keys.get(bytes.fromhex(key_id) if key_id else self._current)
        if key is None:
            raise Undecryptable("hashed with a master key that is not configured")
        return hmac.new(_subkey(key, purpose), message, hashlib.sha256).digest()

    def macs(self, purpose: str, message: bytes) -> list[bytes]:
        """The keyed hash under every master key, for look-ups of what an older key hashed."""
        return [self.mac(purpose, message, key_id=key_id.hex()) for key_id in self._keys]


def new_master_key() -> str:
    """A fresh master key in the form that SMMOS_MASTER_KEYS takes."""
    return base64.b64encode(os.urandom(_KEY_BYTES)).decode()


def _decode_key(encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise ValueError("a master key must be base64") from error
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a master key must have {_KEY_BYTES} bytes")
    return key


@lru_cache(maxsize=64)
def _subkey(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"smmos/{purpose}".encode()).derive(key)


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(_subkey(key, "seal"))
