"""Password hashes: argon2id (RFC 9106), re-hashed at login when the parameters were raised."""

from __future__ import annotations

import threading
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from identity.provider import IdentityError

if TYPE_CHECKING:
    from identity.provider import Random
    from identity.settings import IdentitySettings

_RAW_MAXIMUM: Final = 1024  # characters before normalisation; NFKC can make eighteen of one
_SALT_BYTES: Final = 16


class Verification(NamedTuple):
    """Whether the password is the right one, and its new hash when the parameters were raised ("" otherwise)."""

    right: bool
    new_hash: str


def prepare(password: str, maximum: int) -> str | None:
    """Bring a password to NFKC, so that it is the same on every keyboard; None when it cannot be one."""
    if len(password) > _RAW_MAXIMUM:
        return None
    text = unicodedata.normalize("NFKC", password)
    if not text or len(text) > maximum or any("\ud800" <= character <= "\udfff" for character in text):
        return None
    return text


class PasswordHasher:
    """Hashes and verifies; an account without a password costs as much as one with a wrong password."""

    def __init__(self, settings: IdentitySettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._argon2 = argon2.PasswordHasher(
            time_cost=settings.argon2_time_cost,
            memory_cost=settings.argon2_memory_kib,
            parallelism=settings.argon2_parallelism,
        )
        self._slots = threading.BoundedSemaphore(settings.argon2_concurrent)
        self._dummy = self._hash(random(_SALT_BYTES).hex())

    def hash(self, password: str) -> str:
        """Give the PHC string of a new password.

        Raises:
            IdentityError: password.invalid - empty, too long, or not Unicode text.
        """
        text = prepare(password, self._settings.password_maximum)
        if text is None:
            raise IdentityError(
                "password.invalid",
                f"密码不能为空，且最多 {self._settings.password_maximum} 个字符",
                f"The password must not be empty and has at most {self._settings.password_maximum} characters",
            )
        return self._hash(text)

    def verify(self, stored: str, password: str) -> Verification:
        """Compare; ``stored`` is "" for an account without a password and for an unknown one: the work is the same."""
        text = prepare(password, self._settings.password_maximum)
        matches = self._matches(stored or self._dummy, text or "")
        right = matches and bool(stored) and text is not None
        return Verification(right, self._hash(text) if right and text and self._is_weaker(stored) else "")

    def _hash(self, text: str) -> str:
        with self._slots:
            return self._argon2.hash(text, salt=self._random(_SALT_BYTES))

    def _matches(self, stored: str, text: str) -> bool:
        with self._slots:
            try:
                return self._argon2.verify(stored, text)
            except (VerificationError, InvalidHashError):
                return False

    def _is_weaker(self, stored: str) -> bool:
        """Tell whether a hash was made with less memory, fewer passes or another variant than now demanded."""
        made = argon2.extract_parameters(stored)
        return (
            made.type is not argon2.Type.ID
            or made.memory_cost < self._settings.argon2_memory_kib
            or made.time_cost < self._settings.argon2_time_cost
        )
