from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from identity.passwords import PasswordHasher
    from identity.provider import Audit, CertificateStatus, OnSessionEnd, Random, Transactions
    from identity.secretbox import SecretBox
    from identity.settings import IdentitySettings

_TOKEN_BYTES: Final = 32
_TOKEN_CHARACTERS: Final = 43  # 256 bits in base64url without padding


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What the functions of this package reach out to; put together once by ``EmbeddedProvider``."""

    database: Transactions
    settings: IdentitySettings
    hasher: PasswordHasher
    box: SecretBox
    audit: Audit
    certificate_status: CertificateStatus
    on_session_end: OnSessionEnd
    random: Random

    def new_id(self) -> str:
        """Make an identifier of 128 random bits, hex."""
        return self.random(16).hex()

    def new_token(self) -> str:
        """Make a secret of 256 random bits for a cookie or link, URL-safe."""
        return base64.urlsafe_b64encode(self.random(_TOKEN_BYTES)).rstrip(b"=").decode("ascii")


def token_hash(token: str) -> str:
    """Give what is stored of a token: its SHA-256, hex; "" for what cannot be one of ours.

    Looking a token up by this hash leaks nothing through timing: whoever times it learns about hashes only.
    """
    if len(token) != _TOKEN_CHARACTERS or not token.isascii():
        return ""
    return hashlib.sha256(token.encode("ascii")).hexdigest()
