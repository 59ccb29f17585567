from __future__ import annotations

import secrets
import time

import argon2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.passwords import PasswordHasher, prepare
from identity.provider import IdentityError
from identity.settings import IdentitySettings
from identity.weakness import check_password, strength
from tests.identity.world import CHEAP, PASSWORD

ABOUT = ["zhang.wei", "张伟", "health-bureau"]


@pytest.fixture(scope="module")
def hasher() -> PasswordHasher:
    return PasswordHasher(CHEAP, secrets.token_bytes)


def test_a_password_is_right_for_its_own_hash_only(hasher: PasswordHasher) -> None:
    stored = hasher.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert hasher.verify(stored, PASSWORD) == (True, "")
    assert not hasher.verify(stored, PASSWORD + "x").right
    assert hasher.hash(PASSWORD) != stored, "every hash has its own salt"


def test_the_same_password_from_another_keyboard_is_the_same(hasher: PasswordHasher) -> None:
    stored = hasher.hash("ｍｏｓｓ kettle é lamp")
    assert hasher.verify(stored, "moss kettle e\u0301 lamp").right


@given(password=st.text(max_size=300))
def test_no_text_opens_an_account_without_a_password(hasher: PasswordHasher, password: str) -> None:
    assert not hasher.verify("", password).right


@pytest.mark.parametrize("stored", ["", "!", "$argon2id$v=19$m=8,t=1,p=1$short", "plain"])
def test_a_broken_hash_is_never_right(hasher: PasswordHasher, stored: str) -> None:
    assert not hasher.verify(stored, PASSWORD).right


@pytest.mark.parametrize("password", ["", "x" * 257, "x" * 5000, "\ufdfa" * 20, "abc\ud800defghijkl"])
def test_what_cannot_be_a_password_is_refused(hasher: PasswordHasher, password: str) -> None:
    assert prepare(password, 256) is None
    with pytest.raises(IdentityError, match="at most 256 characters") as caught:
        hasher.hash(password)
    assert caught.value.code == "password.invalid"


def test_a_hash_is_renewed_when_parameters_were_raised_and_only_then(hasher: PasswordHasher) -> None:
    stored = hasher.hash(PASSWORD)
    raised = PasswordHasher(CHEAP.model_copy(update={"argon2_time_cost": 3}), secrets.token_bytes)
    renewed = raised.verify(stored, PASSWORD).new_hash
    assert argon2.extract_parameters(renewed).time_cost == 3
    assert raised.verify(stored, "wrong").new_hash == ""
    assert hasher.verify(renewed, PASSWORD) == (True, ""), "never renewed downwards"
    older = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=argon2.Type.I).hash(PASSWORD)
    assert hasher.verify(older, PASSWORD).new_hash.startswith("$argon2id$")


def test_an_unknown_person_costs_as_much_as_a_wrong_password() -> None:
    hasher = PasswordHasher(IdentitySettings(), secrets.token_bytes)
    stored = hasher.hash(PASSWORD)

    def fastest(password_hash: str, password: str) -> float:
        times = []
        for _ in range(7):
            start = time.process_time()  # the work, not what else the machine does meanwhile
            hasher.verify(password_hash, password)
            times.append(time.process_time() - start)
        return min(times)

    wrong = fastest(stored, "wrong")
    assert 0.5 < fastest("", "wrong") / wrong < 2
    assert 0.5 < fastest(stored, "x" * 5000) / wrong < 2


@pytest.mark.parametrize(
    "password",
    [
        "password1234", "P@ssw0rd2024!", "Admin@123456789", "qwertyuiop123", "1qaz2wsx3edc", "1qaz@WSX3edc",
        "zaq12wsxcde3", "asdfghjkl;'1", "123456789012", "111111111111", "abcabcabcabcabc", "aaaaaaaaaaaaaaa",
        "Zhangwei@123456", "zhangwei123456", "wangfang19900101", "liming888888", "woaini1314520", "Woaini5201314!",
        "5201314520131", "zhang.wei2024", "iew.gnahz!2024", "health-bureau!1", "Beijing2008!!", "Huawei@12345",
        "人民政府信息中心2024", "张伟张伟张伟张伟", "一二三四五六七八九十一二", "ｐａｓｓｗｏｒｄ１２３４", "Passw0rd!Passw0rd!",
        "abcdefghijkl", "ABCDEFGHIJ12", "qazwsxedcrfv", "!QAZ@WSX#EDC", "iloveyou1314", "secops2026!!",
    ],
)  # fmt: skip
def test_easy_passwords_are_refused(password: str) -> None:
    with pytest.raises(IdentityError) as caught:
        check_password(password, about=ABOUT, settings=CHEAP)
    assert caught.value.code in {"password.weak", "password.short"}
    assert password not in caught.value.zh + caught.value.en


@pytest.mark.parametrize(
    "password",
    [
        "moss kettle orbit lamp",
        "kX9#mQ2v!Lr7",
        "春江花月夜与旧茶壶的故事",
        "huangshan.yun.qi.7",
        "Tz5-barometer-quilt",
        "r8;Lw0)fPy2Q",
    ],
)
def test_good_passwords_are_accepted(password: str) -> None:
    check_password(password, about=ABOUT, settings=CHEAP)


def test_a_short_password_says_how_short() -> None:
    with pytest.raises(IdentityError, match="has 11 characters; at least 12") as caught:
        check_password("kX9#mQ2v!Lr", about=(), settings=CHEAP)
    assert caught.value.zh == "密码至少 12 个字符，当前为 11 个"


@given(st.text(max_size=256), st.lists(st.text(max_size=40), max_size=3))
def test_strength_is_between_nothing_and_the_length(password: str, about: list[str]) -> None:
    assert 0 <= strength(password, about=about) <= max(len(password.lower()), len(password))


@given(st.text(alphabet="abcxyz019!", min_size=1, max_size=30))
def test_saying_it_twice_adds_nothing(password: str) -> None:
    assert strength(password * 2) <= strength(password)


def test_the_longest_password_is_judged_quickly() -> None:
    start = time.perf_counter()
    check_password(secrets.token_urlsafe(192), about=["x" * 100] * 3, settings=CHEAP)
    assert time.perf_counter() - start < 1
