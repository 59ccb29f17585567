"""Slows guessing down without letting a guesser lock anybody out.

Failures are counted under keys: the pair of account and source network, the account over all networks, the network over
all accounts, and the pair of account and known device. A counter leaks; above its free allowance each failure doubles the
delay before the next attempt is looked at, up to a maximum. Which counters an attempt must pass depends on where it comes
from; each way is a *lane*, and one open lane is enough:

- from a device (long-lived random cookie) with which this person has logged in: the counter of that device alone;
- from a network from which this person has logged in: the counters of the pair and of that network;
- otherwise: those of the pair, of the network, and of the account.

So a guesser elsewhere moves only counters that the person's own networks and devices do not ask. A name that nobody has
is counted in the same way, so that the answer does not tell who exists.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from identity.settings import IdentitySettings

UNKNOWN_NETWORK: Final = "unknown"
_DEVICE_CHARACTERS_MINIMUM: Final = 20  # fewer cannot be a random secret of 120 bits
_DEVICE_CHARACTERS_MAXIMUM: Final = 200


class Scope(StrEnum):
    """What a counter counts failures of."""

    PAIR = "pair"
    DEVICE = "device"
    ACCOUNT = "account"
    NETWORK = "network"


class Key(NamedTuple):
    """One counter; ``name`` is a hash, because a name typed by a stranger may be a password."""

    scope: Scope
    name: str


Lane: TypeAlias = tuple[Key, ...]


class Counter(NamedTuple):
    """Failures less what has leaked away, as of the last failure; and attempts refused since then."""

    level: float
    at: datetime
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Who tries to log in from where; the two flags say whether this person has logged in from there before."""

    username: str
    network: str
    device: str  # hash of the device's cookie, "" without one
    known_network: bool = False
    known_device: bool = False


def network_of(source_ip: str, settings: IdentitySettings) -> str:
    """Give the source network in CIDR notation; ``unknown`` for what is not an address."""
    try:
        address = ipaddress.ip_address(source_ip.partition("%")[0])
    except ValueError:
        return UNKNOWN_NETWORK
    address = getattr(address, "ipv4_mapped", None) or address
    prefix = settings.ipv4_prefix if isinstance(address, ipaddress.IPv4Address) else settings.ipv6_prefix
    return str(ipaddress.ip_network((address, prefix), strict=False))


def device_of(cookie: str) -> str:
    """Give what is kept of a device's cookie: its SHA-256, hex; "" when there is none, or none that is a secret."""
    if not _DEVICE_CHARACTERS_MINIMUM <= len(cookie) <= _DEVICE_CHARACTERS_MAXIMUM:
        return ""
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()


def lanes(attempt: Attempt) -> tuple[Lane, ...]:
    """Give the lanes open to an attempt; it is looked at when every counter of one lane lets it through."""
    pair = _key(Scope.PAIR, attempt.username, attempt.network)
    network = _key(Scope.NETWORK, attempt.network)
    known: list[Lane] = []
    if attempt.known_device:
        known.append((_key(Scope.DEVICE, attempt.username, attempt.device),))
    if attempt.known_network:
        known.append((pair, network))
    return tuple(known) or ((pair, network, _key(Scope.ACCOUNT, attempt.username)),)


def keys(attempt: Attempt) -> frozenset[Key]:
    """Give every counter that a failure of this attempt moves."""
    return frozenset(key for lane in lanes(attempt) for key in lane)


def forgiven(attempt: Attempt) -> frozenset[Key]:
    """Give the counters that a success of this attempt clears; a guesser's own success must not clear the others."""
    return frozenset(key for key in keys(attempt) if key.scope in {Scope.PAIR, Scope.DEVICE})


def wait(attempt: Attempt, counters: Mapping[Key, Counter], settings: IdentitySettings, now: datetime) -> timedelta:
    """Give how long until the attempt would be looked at; zero when it is now."""
    return min(max(_remaining(counters.get(key), key.scope, settings, now) for key in lane) for lane in lanes(attempt))


def blocking(attempt: Attempt, counters: Mapping[Key, Counter], settings: IdentitySettings, now: datetime) -> Key:
    """Give the counter that makes an attempt wait longest (meaningful while ``wait`` is not zero)."""
    return max(keys(attempt), key=lambda key: (_remaining(counters.get(key), key.scope, settings, now), key))


def after_failure(counter: Counter | None, scope: Scope, settings: IdentitySettings, now: datetime) -> Counter:
    """Give the counter with one failure more."""
    return Counter(_level(counter, scope, settings, now) + 1, now)


def is_forgotten(counter: Counter, scope: Scope, settings: IdentitySettings, now: datetime) -> bool:
    """Tell whether everything has leaked away."""
    return _level(counter, scope, settings, now) <= 0


def leak_of(scope: Scope, settings: IdentitySettings) -> timedelta:
    """Give the time in which one failure leaks away."""
    return settings.throttle_network_leak if scope is Scope.NETWORK else settings.throttle_leak


def _level(counter: Counter | None, scope: Scope, settings: IdentitySettings, now: datetime) -> float:
    if counter is None:
        return 0.0
    elapsed = max(now - counter.at, timedelta(0))
    return max(counter.level - elapsed / leak_of(scope, settings), 0.0)


def _remaining(counter: Counter | None, scope: Scope, settings: IdentitySettings, now: datetime) -> timedelta:
    if counter is None:
        return timedelta(0)
    over = math.ceil(counter.level) - _free(scope, settings)
    if over < 0:
        return timedelta(0)
    delay = min(timedelta(seconds=2 ** min(over, 30)), settings.throttle_delay_maximum)
    return max(counter.at + delay - now, timedelta(0))


def _free(scope: Scope, settings: IdentitySettings) -> int:
    return {
        Scope.PAIR: settings.throttle_pair_free,
        Scope.DEVICE: settings.throttle_device_free,
        Scope.ACCOUNT: settings.throttle_account_free,
        Scope.NETWORK: settings.throttle_network_free,
    }[scope]


def _key(scope: Scope, *parts: str) -> Key:
    return Key(scope, hashlib.sha256("\0".join((scope, *parts)).encode("utf-8", "replace")).hexdigest())
