from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa

from identity import totp
from identity.provider import ACR_PASSWORD_TOTP, Login
from identity.tables import AccountRow, SessionRow, ThrottleRow
from secops import audit
from tests.identity.world import CHEAP, ELSEWHERE, OFFICE, OPERATOR, PASSWORD, Person, World

LAPTOP = "the-laptops-cookie-" + "x" * 24


@pytest.fixture
def person(world: World) -> Person:
    return world.person("wang.fang")


def test_all_three_values_right_open_a_session(world: World, person: Person) -> None:
    login = world.good_login(person)
    assert login.session is not None
    assert login.session.amr == ("pwd", "otp")
    assert login.session.acr == ACR_PASSWORD_TOTP
    assert login.session.principal.organization_path == ("city",)
    assert login.session.auth_time == world.now
    assert world.audited("login.succeeded")[0].detail["method"] == "password"


def test_the_trail_tells_a_first_login_from_one_at_an_unknown_place(world: World, person: Person) -> None:
    for ip, device in ((OFFICE, LAPTOP), (ELSEWHERE, "a-phone's-cookie-" + "y" * 24)):
        world.after(seconds=30)
        code = totp.code_at(person.secret, world.now)
        assert world.try_login("wang.fang", PASSWORD, code, ip=ip, device=device).session is not None
    details = [entry.detail for entry in world.audited("login.succeeded")]
    assert [(one["known_network"], one["known_device"], one["known_places"]) for one in details] == [
        (False, False, 0),
        (False, False, 2),
    ]


def test_a_username_is_found_however_it_is_typed(world: World, person: Person) -> None:
    world.after(seconds=30)
    code = totp.code_at(person.secret, world.now)
    assert world.try_login(" ＷＡＮＧ.Fang ", PASSWORD, code).session is not None


@pytest.mark.parametrize(
    ("username", "password", "right_code", "reason"),
    [
        ("nobody", PASSWORD, True, "account.unknown"),
        ("wang.fang", "wrong horse battery", True, "password.wrong"),
        ("wang.fang", PASSWORD, False, "totp.wrong"),
        ("wang.fang", "", True, "password.wrong"),
        ("wang.fang", "x" * 5000, True, "password.wrong"),
        ("wang.fang", "\ud800", True, "password.wrong"),
        ("\x00\ud800'--", PASSWORD, True, "account.unknown"),
    ],
)
def test_the_answer_hides_which_value_was_wrong_and_the_trail_says_it(
    world: World, person: Person, *, username: str, password: str, right_code: bool, reason: str
) -> None:
    world.after(seconds=30)
    code = totp.code_at(person.secret, world.now) if right_code else "abc"
    login = world.try_login(username, password, code)
    assert login.session is None
    assert login.reason_zh == "用户名、密码或动态口令不正确；每个动态口令只能使用一次"
    assert login.retry_after == 0
    (row,) = world.audited("login.failed")
    assert (row.reason, row.outcome, row.source_ip) == (reason, "failure", OFFICE)


def test_what_cannot_be_a_username_is_kept_out_of_the_trail(world: World) -> None:
    world.try_login("My Secret Passw0rd!")
    (row,) = world.audited("login.failed")
    assert row.actor == row.target == "(not a username)"


def test_a_code_works_once(world: World, person: Person) -> None:
    world.log_in(person)
    code = totp.code_at(person.secret, world.now)
    assert world.try_login("wang.fang", PASSWORD, code).session is None
    assert world.audited("login.failed")[0].reason == "totp.replayed"


def test_the_code_shown_at_enrolment_is_used_up(world: World, person: Person) -> None:
    code = totp.code_at(person.secret, world.now)
    assert world.try_login("wang.fang", PASSWORD, code).session is None
    assert world.audited("login.failed")[0].reason == "totp.replayed"


def test_one_code_sent_at_once_opens_one_session(world: World, person: Person) -> None:
    world.after(seconds=30)
    code = totp.code_at(person.secret, world.now)
    start = threading.Barrier(4)

    def attempt(_: int) -> Login:
        start.wait()
        return world.try_login("wang.fang", PASSWORD, code)

    with ThreadPoolExecutor(4) as pool:
        logins = list(pool.map(attempt, range(4)))
    assert sum(login.session is not None for login in logins) == 1
    assert len(world.audited("login.failed")) == 3


def test_a_disabled_person_cannot_log_in(world: World, person: Person) -> None:
    world.provider.disable(person.id, reason="left", actor=OPERATOR, now=world.now)
    assert world.good_login(person).session is None
    assert world.audited("login.failed")[-1].reason == "account.disabled"


def test_an_account_without_factors_cannot_log_in(world: World) -> None:
    world.provider.add_person(
        username="new", display_name="new", organization_id="city", roles=(), actor=OPERATOR, now=world.now
    )
    assert world.try_login("new", "", "").session is None
    assert world.audited("login.failed")[0].reason == "account.no_factors"


def test_a_secret_sealed_with_another_key_refuses_and_says_so(world: World, person: Person) -> None:
    world.key = b"k" * 32
    assert world.good_login(person, provider=world.open()).session is None
    assert world.audited("login.failed")[0].reason == "totp.unreadable"


def test_the_database_holds_no_password_secret_or_token(world: World, person: Person) -> None:
    session = world.log_in(person, device=LAPTOP)
    with world.database.read() as tx:
        account = tx.get_one(AccountRow, person.id)
        stored = tx.scalars(sa.select(SessionRow.token_hash)).one()
        trail = str([row.detail for row in tx.scalars(sa.select(audit.AuditRow))])
    assert account.password_hash.startswith("$argon2id$")
    assert person.secret.encode() not in account.totp_sealed
    assert session.token not in stored
    assert all(secret not in trail for secret in (session.token, person.secret, PASSWORD, LAPTOP))


def test_raised_parameters_rehash_at_the_next_login(world: World, person: Person) -> None:
    raised = world.open(CHEAP.model_copy(update={"argon2_memory_kib": 64, "argon2_time_cost": 2}))
    assert world.good_login(person, provider=raised).session is not None
    with world.database.read() as tx:
        assert "m=64,t=2" in tx.get_one(AccountRow, person.id).password_hash
    assert world.good_login(person, provider=world.provider).session is not None
    with world.database.read() as tx:
        assert "m=64,t=2" in tx.get_one(AccountRow, person.id).password_hash, "lower parameters change nothing"


def besiege(world: World, addresses: list[str]) -> None:
    """Guess from each address in turn, as soon as the guess is looked at."""
    for address in addresses:
        if waiting := world.try_login("wang.fang", ip=address).retry_after:
            world.after(seconds=waiting)
            world.try_login("wang.fang", ip=address)


def test_guessing_waits_longer_and_longer_and_the_right_password_then_waits_too(world: World, person: Person) -> None:
    world.after(seconds=30)
    delays = []
    for _ in range(9):
        waiting = world.try_login("wang.fang", ip=ELSEWHERE).retry_after
        if waiting:
            delays.append(waiting)
            world.after(seconds=waiting)
            world.try_login("wang.fang", ip=ELSEWHERE)
    assert delays == [1, 2, 4, 8]
    code = totp.code_at(person.secret, world.now)
    assert world.try_login("wang.fang", PASSWORD, code, ip=ELSEWHERE).retry_after > 0


def test_a_person_is_not_locked_out_of_a_network_or_device_he_has_used(world: World, person: Person) -> None:
    world.log_in(person, ip=OFFICE)
    world.log_in(person, ip="198.51.100.7", device=LAPTOP)
    besiege(world, [f"203.0.{host}.9" for host in range(35)])
    assert world.good_login(person, ip="192.0.2.1").retry_after > 0, "a place never seen has to wait"
    assert world.good_login(person, ip=OFFICE).session is not None, "the office does not"
    besiege(world, [OFFICE] * 15)
    assert world.good_login(person, ip=OFFICE).retry_after > 0, "the guesser shares the network"
    assert world.good_login(person, ip=OFFICE, device=LAPTOP).session is not None, "but not the device"


def test_unknown_names_are_throttled_like_known_ones(world: World, person: Person) -> None:
    for username in ("wang.fang", "nobody"):
        answers = [world.try_login(username, ip=ELSEWHERE).retry_after for _ in range(7)]
        assert answers == [0, 0, 0, 0, 0, 1, 1], username


def test_a_sprayer_over_many_names_is_stopped_by_his_network(world: World) -> None:
    answers = [world.try_login(f"user{number}", ip=ELSEWHERE).retry_after for number in range(60)]
    assert answers[:50] == [0] * 50
    assert all(answers[50:])


def test_a_flood_of_refused_attempts_does_not_fill_the_trail(world: World) -> None:
    for _ in range(40):
        world.try_login("nobody", ip=ELSEWHERE)
    assert len(world.audited("login.failed")) == 5
    refused = [row.detail["refused"] for row in world.audited("login.refused")]
    assert refused == [1, 2, 4, 8, 16, 32]


def test_guesses_sent_at_once_are_worth_no_more_than_one_after_the_other(world: World, person: Person) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: world.try_login("wang.fang", ip=ELSEWHERE), range(40)))
    assert len(world.audited("login.failed")) == world.settings.throttle_pair_free


def test_counters_leak_and_are_swept(world: World) -> None:
    for _ in range(5):
        world.try_login("nobody", ip=ELSEWHERE)
    world.after(hours=3)
    assert world.try_login("nobody", ip=ELSEWHERE).retry_after == 0
    assert len(world.audited("login.failed")) == 6
    world.now += timedelta(days=1)
    world.provider.sweep(world.now)
    with world.database.read() as tx:
        assert tx.scalars(sa.select(ThrottleRow)).all() == []
