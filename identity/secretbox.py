"""Secrets at rest (TOTP keys) are sealed with a key that does not lie in the database.

Form of a sealed value: one byte of version (1), 12 bytes of nonce, then AES-256-GCM ciphertext and tag.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from identity.provider import Random

KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12  # NIST SP 800-38D: 96 bits


class SealError(Exception):
    """A sealed value does not open: another key, another context, or changed bytes."""


class SecretBox(Protocol):
    """Seals small secrets; ``context`` says what they belong to and must be the same to open them."""

    def seal(self, plain: bytes, context: bytes = b"") -> bytes:
        """Encrypt and authenticate."""
        ...

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """Decrypt.

        Raises:
            SealError: the value does not open.
        """
        ...


class AesGcmBox:
    """A ``SecretBox`` with one AES-256 key."""

    def __init__(self, key: bytes, random: Random = secrets.token_bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the sealing key has {len(key)} bytes; it must have {KEY_BYTES}")
        self._cipher = AESGCM(key)
        self._random = random

    def seal(self, plain: bytes, context: bytes = b"") -> bytes:
        """Encrypt and authenticate under a fresh nonce."""
        nonce = self._random(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes = b"") -> bytes:
        """Decrypt what ``seal`` gave for the same context."""
        nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _VERSION or len(nonce) < _NONCE_BYTES:
            raise SealError("not a sealed value")
        try:
            return self._cipher.decrypt(nonce, ciphertext, context)
        except InvalidTag as error:
            raise SealError("sealed with another key or for another account") from error
