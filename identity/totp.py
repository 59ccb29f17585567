"""Time-based one-time passwords (RFC 6238): six digits, steps of 30 s, SHA-1, as authenticator apps expect."""

from __future__ import annotations

import base64
import binascii
import hmac
import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

import pyotp

from identity.provider import IdentityError

if TYPE_CHECKING:
    from datetime import datetime

    from identity.provider import Random

STEP_SECONDS: Final = 30
DIGITS: Final = 6
_SECRET_BYTES: Final = 20  # RFC 4226 section 4, R6: 160 bits recommended,
_SECRET_BYTES_MINIMUM: Final = 16  # 128 bits required
_SECRET_CHARACTERS_MAXIMUM: Final = 128


class Verdict(NamedTuple):
    """The step whose code was given, and why it does not count (empty when it does)."""

    step: int
    reason: str  # "", "totp.wrong" or "totp.replayed"


def new_secret(random: Random) -> str:
    """Make a secret in base32, as shown to the person and put into the QR code."""
    return base64.b32encode(random(_SECRET_BYTES)).decode("ascii")


def otpauth_uri(secret: str, *, username: str, issuer: str) -> str:
    """Give the ``otpauth://`` URI of the QR code."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(name=username, issuer_name=issuer)


def code_at(secret: str, moment: datetime) -> str:
    """Give the code an authenticator shows at ``moment``."""
    return _code(secret, int(moment.timestamp()) // STEP_SECONDS)


def check_secret(secret: str) -> str:
    """Give the secret in canonical form.

    Raises:
        IdentityError: totp.secret - not base32, or fewer than 128 bits.
    """
    text = secret.replace(" ", "").upper().rstrip("=")
    try:
        padded = text + "=" * (-len(text) % 8)
        raw = base64.b32decode(padded) if text.isascii() and len(text) <= _SECRET_CHARACTERS_MAXIMUM else b""
    except binascii.Error:
        raw = b""
    if len(raw) < _SECRET_BYTES_MINIMUM:
        raise IdentityError(
            "totp.secret",
            "动态口令密钥无效，请重新打开此页面",
            "The TOTP secret is not base32 of at least 128 bits; open the page again to get a new one",
        )
    return text


def verify(secret: str, code: str, *, now: datetime, last_step: int, drift: int) -> Verdict:
    """Compare ``code`` with those of the steps around ``now``; one at or before ``last_step`` was used already.

    Every step of the window is compared in constant time, whichever matches (RFC 6238 section 5.2).
    """
    given = unicodedata.normalize("NFKC", code[:40]).replace(" ", "")
    current = int(now.timestamp()) // STEP_SECONDS
    found = 0
    for step in range(current - drift, current + drift + 1):
        same = hmac.compare_digest(_code(secret, step).encode(), given.encode("utf-8", "replace"))
        found = step if same else found  # the latest, should two steps ever have the same code
    if not found:
        return Verdict(0, "totp.wrong")
    return Verdict(found, "totp.replayed" if found <= last_step else "")


def _code(secret: str, step: int) -> str:
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).generate_otp(step)
