"""Severity: the rule's level, raised by the asset, the tenant and the rule's tags. Pure, with its reasons.

Each entry that fits adds its weight; the sum moves the level up (or down) the scale of five. Of the assets only the
heaviest counts, and of the tags likewise, so that two overlapping entries for one portal do not count twice. What is only informational stays so, whatever it is
about: it asks nobody to act.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from secops.alert.matchers import glob_holds
from secops.records import Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Network: TypeAlias = IPv4Network | IPv6Network
HOST_FIELDS: Final = ("host.name", "host.hostname", "Computer", "ComputerName")
ADDRESS_FIELDS: Final = ("host.ip", "destination.ip", "server.ip")  # of what is attacked, not of who attacks
GRADE_WEIGHT: Final = {1: 0, 2: 0, 3: 1, 4: 2}  # of a system's grade under GB/T 22240, when the entry gives no weight


LEVELS_ZH: Final = {
    Level.INFORMATIONAL: "提示",
    Level.LOW: "低",
    Level.MEDIUM: "中",
    Level.HIGH: "高",
    Level.CRITICAL: "严重",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What weighs: an asset (hosts, networks), a tenant, or a tag of the rule."""

    zh: str
    en: str
    weight: int
    hosts: tuple[str, ...] = ()  # globs
    networks: tuple[Network, ...] = ()
    tenants: tuple[str, ...] = ()  # globs
    tags: tuple[str, ...] = ()  # globs


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The entries of rules/alert/severity.yaml."""

    assets: tuple[Entry, ...] = ()
    tenants: tuple[Entry, ...] = ()
    tags: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the reckoning."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Severity:
    """The outcome and how it came about."""

    level: Level
    reasons: tuple[Reason, ...]


def weigh(
    level: Level, *, tenant: str, tags: Sequence[str], hosts: Sequence[str], addresses: Sequence[str], weights: Weights
) -> Severity:
    """Give the severity of an alert; the reasons begin with the rule's level."""
    reasons = [Reason(f"规则级别：{LEVELS_ZH[level]}", f"the rule's level: {level}")]
    if level is Level.INFORMATIONAL:
        return Severity(level, tuple(reasons))
    total = 0
    for entry in (
        _heaviest(one for one in weights.assets if _is_asset(one, hosts, addresses)),
        _heaviest(one for one in weights.tenants if _any_fits(one.tenants, (tenant,))),
        _heaviest(one for one in weights.tags if _any_fits(one.tags, tags)),
    ):
        if entry is not None and entry.weight:
            total += entry.weight
            reasons.append(Reason(f"{entry.zh}：{entry.weight:+d}", f"{entry.en}: {entry.weight:+d}"))
    scale = list(Level)
    reached = scale[min(max(level.rank + total, Level.LOW.rank), Level.CRITICAL.rank)]
    return Severity(reached, tuple(reasons))


def _heaviest(entries: Iterable[Entry]) -> Entry | None:
    return max(entries, key=lambda one: (abs(one.weight), one.weight), default=None)


def _any_fits(globs: Sequence[str], values: Sequence[str]) -> bool:
    return any(glob_holds(glob, value) for glob in globs for value in values)


def _is_asset(entry: Entry, hosts: Sequence[str], addresses: Sequence[str]) -> bool:
    return _any_fits(entry.hosts, hosts) or any(_inside(text, entry.networks) for text in addresses)


def _inside(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:  # a log may say anything
        return False
    return any(address in network for network in networks)
