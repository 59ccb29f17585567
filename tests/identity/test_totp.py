from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import totp
from identity.provider import IdentityError
from identity.secretbox import AesGcmBox, SealError
from tests.identity.world import START

RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()
SECRET = totp.new_secret(secrets.token_bytes)
STEP = int(START.timestamp()) // totp.STEP_SECONDS


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_rfc_6238_appendix_b(seconds: int, code: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    assert totp.code_at(RFC_SECRET, moment) == code
    assert totp.verify(RFC_SECRET, code, now=moment, last_step=0, drift=0) == (seconds // 30, "")


@given(st.integers(-5, 5), st.integers(0, 3))
def test_drift_is_accepted_up_to_the_setting(steps: int, drift: int) -> None:
    code = totp.code_at(SECRET, START + timedelta(seconds=30 * steps))
    verdict = totp.verify(SECRET, code, now=START, last_step=0, drift=drift)
    assert verdict == ((STEP + steps, "") if abs(steps) <= drift else (0, "totp.wrong"))


@given(st.integers(-1, 1), st.integers(-3, 3))
def test_a_step_at_or_before_the_last_used_one_is_a_replay(steps: int, used: int) -> None:
    code = totp.code_at(SECRET, START + timedelta(seconds=30 * steps))
    verdict = totp.verify(SECRET, code, now=START, last_step=STEP + used, drift=1)
    assert verdict == (STEP + steps, "totp.replayed" if steps <= used else "")


@given(st.text(max_size=60))
def test_no_other_text_is_a_code(text: str) -> None:
    right = totp.code_at(SECRET, START)
    if right in text:
        return
    assert totp.verify(SECRET, text, now=START, last_step=0, drift=0).reason == "totp.wrong"


def test_spaces_and_full_width_digits_are_forgiven() -> None:
    code = totp.code_at(SECRET, START)
    typed = f"{code[:3]} {code[3:]}".translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})
    assert totp.verify(SECRET, typed, now=START, last_step=0, drift=0).reason == ""


@pytest.mark.parametrize("secret", ["", "A" * 16, "not base32!", "A" * 200, "１" * 32, "\ud800" * 32])
def test_weak_or_broken_secrets_are_refused(secret: str) -> None:
    with pytest.raises(IdentityError) as caught:
        totp.check_secret(secret)
    assert caught.value.code == "totp.secret"


def test_a_secret_may_be_typed_with_spaces_and_in_lower_case() -> None:
    spaced = " ".join(SECRET[start : start + 4] for start in range(0, 32, 4)).lower()
    assert totp.check_secret(spaced) == SECRET


def test_the_uri_carries_issuer_and_name() -> None:
    uri = urlsplit(totp.otpauth_uri(SECRET, username="wang.fang", issuer="市政府"))
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query)["secret"] == [SECRET]
    assert parse_qs(uri.query)["issuer"] == ["市政府"]


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_a_sealed_secret_opens_for_its_own_context_only(plain: bytes, context: bytes) -> None:
    box = AesGcmBox(b"k" * 32)
    sealed = box.seal(plain, context)
    assert box.open(sealed, context) == plain
    assert box.seal(plain, context) != sealed
    with pytest.raises(SealError, match="another key or for another account"):
        box.open(sealed, context + b"x")
    with pytest.raises(SealError):
        AesGcmBox(b"j" * 32).open(sealed, context)


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_a_changed_byte_does_not_open(plain: bytes, place: int, difference: int) -> None:
    box = AesGcmBox(b"k" * 32)
    sealed = bytearray(box.seal(plain))
    sealed[place % len(sealed)] ^= difference
    with pytest.raises(SealError):
        box.open(bytes(sealed))


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"n" * 11, b"\x02" + b"n" * 40])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealError):
        AesGcmBox(b"k" * 32).open(sealed)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="has 16 bytes"):
        AesGcmBox(b"k" * 16)
