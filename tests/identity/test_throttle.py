from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import throttle
from identity.settings import IdentitySettings
from identity.throttle import Attempt, Scope
from tests.identity.world import START

if TYPE_CHECKING:
    from identity.throttle import Counter, Key

SETTINGS = IdentitySettings()
HOME = "10.1.2.0/24"
NO_TIME = timedelta(0)

networks = st.sampled_from([f"203.0.{number}.0/24" for number in range(4)])
attacks = st.builds(
    Attempt,
    username=st.sampled_from(["wang", "li"]),
    network=networks,
    device=st.sampled_from(["", "guessed", "stolen"]),
    known_network=st.just(False),
    known_device=st.booleans(),
)
paced = st.lists(st.tuples(attacks, st.integers(0, 4000)), max_size=120)


class Gate:
    """Counters in memory, used as a login uses them."""

    def __init__(self) -> None:
        self.now = START
        self.counters: dict[Key, Counter] = {}

    def wait(self, attempt: Attempt) -> timedelta:
        return throttle.wait(attempt, self.counters, SETTINGS, self.now)

    def fail(self, attempt: Attempt) -> bool:
        """Give whether the attempt was looked at."""
        if self.wait(attempt):
            return False
        for key in throttle.keys(attempt):
            self.counters[key] = throttle.after_failure(self.counters.get(key), key.scope, SETTINGS, self.now)
        return True


def from_home(**changes: bool) -> Attempt:
    flags = {"known_network": True, "known_device": False} | changes
    return Attempt(username="wang", network=HOME, device="laptop", **flags)


@given(paced)
def test_failures_elsewhere_never_make_a_known_network_wait(sequence: list[tuple[Attempt, int]]) -> None:
    gate = Gate()
    for attempt, seconds in sequence:
        gate.fail(attempt)
        assert gate.wait(from_home()) == NO_TIME
        gate.now += timedelta(seconds=seconds)
        assert gate.wait(from_home(known_device=True)) == NO_TIME


@given(st.lists(st.tuples(st.sampled_from([*map(str, range(3)), HOME]), st.integers(0, 4000)), max_size=120))
def test_failures_without_the_cookie_never_make_a_known_device_wait(sequence: list[tuple[str, int]]) -> None:
    gate = Gate()
    for network, seconds in sequence:
        gate.fail(Attempt(username="wang", network=network, device="", known_network=network == HOME))
        assert gate.wait(from_home(known_network=False, known_device=True)) == NO_TIME
        gate.now += timedelta(seconds=seconds)


@given(paced)
def test_nobody_waits_longer_than_the_maximum(sequence: list[tuple[Attempt, int]]) -> None:
    gate = Gate()
    for attempt, seconds in sequence:
        gate.fail(attempt)
        assert gate.wait(attempt) <= SETTINGS.throttle_delay_maximum
        gate.now += timedelta(seconds=seconds)


def test_a_patient_guesser_gets_a_hundred_guesses_a_day_at_most() -> None:
    gate, looked_at = Gate(), 0
    attempt = Attempt(username="wang", network="203.0.113.0/24", device="")
    end = gate.now + timedelta(days=2)
    while gate.now < end:
        looked_at += gate.fail(attempt)
        gate.now += max(gate.wait(attempt), timedelta(seconds=1))
    assert looked_at <= 2 * 100 + SETTINGS.throttle_pair_free


def test_a_swarm_is_held_to_the_same_rate_for_one_account() -> None:
    gate, looked_at = Gate(), 0
    end = gate.now + timedelta(days=1)
    host = 0
    while gate.now < end:
        host += 1
        attempt = Attempt(username="wang", network=f"2001:db8:{host:x}::/56", device="")
        looked_at += gate.fail(attempt)
        gate.now += max(gate.wait(attempt), timedelta(seconds=1))
    assert looked_at <= 100 + SETTINGS.throttle_account_free + 10


def test_a_whole_office_with_typing_errors_is_let_in() -> None:
    gate = Gate()
    for person in range(2000):  # one typing error each within a working day
        assert gate.fail(Attempt(username=f"user{person}", network=HOME, device=""))
        gate.now += timedelta(seconds=31)


def test_a_success_clears_the_pair_and_the_device_only() -> None:
    attempt = Attempt(username="wang", network=HOME, device="laptop", known_network=True, known_device=True)
    assert {key.scope for key in throttle.forgiven(attempt)} == {Scope.PAIR, Scope.DEVICE}
    stranger = Attempt(username="wang", network=HOME, device="laptop")
    assert {key.scope for key in throttle.forgiven(stranger)} == {Scope.PAIR}


@given(st.sampled_from(list(Scope)), st.floats(0, 1e6), st.integers(-100_000, 10_000_000))
def test_a_counter_is_forgotten_exactly_when_its_level_has_leaked_away(
    scope: Scope, level: float, seconds: int
) -> None:
    counter = throttle.Counter(level, START)
    now = START + timedelta(seconds=seconds)
    left = level - max(seconds, 0) / throttle.leak_of(scope, SETTINGS).total_seconds()
    assert throttle.is_forgotten(counter, scope, SETTINGS, now) == (left <= 0)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.0/24"),
        ("::ffff:10.1.2.3", "10.1.2.0/24"),
        ("2001:db8:1:2ff::1", "2001:db8:1:200::/56"),
        ("fe80::1%eth0", "fe80::/56"),
        ("", "unknown"),
        ("testclient", "unknown"),
        ("1.2.3.4, 5.6.7.8", "unknown"),
    ],
)
def test_addresses_fall_into_networks(address: str, network: str) -> None:
    assert throttle.network_of(address, SETTINGS) == network


def test_a_device_is_kept_as_a_hash_and_what_cannot_be_a_secret_is_none() -> None:
    assert throttle.device_of("") == throttle.device_of("Firefox on Linux") == throttle.device_of("x" * 201) == ""
    assert len(throttle.device_of("c" * 43)) == len(throttle.device_of("\ud800" * 43)) == 64
