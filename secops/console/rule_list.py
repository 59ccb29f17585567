"""Rules as lists show them: what each is, how often it came up, what it costs, what people decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops.match.rule import Correlation, Detection
from secops.rulebook import exceptions, stats, switches
from secops.rulebook.stats import RuleStat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from secops.console.visit import Visit
    from secops.match.rule import Rule
    from secops.records import RuleInfo

SORTS: Final = ("level", "last", "hits", "cost", "title")
STATES: Final = ("off", "excepted", "never", "matched")
DETECTION: Final = "detection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule of the list."""

    rule: Rule
    stat: RuleStat
    kind: str
    off_for: tuple[str, ...] = ()  # tenants it is switched off for; "" is all
    exceptions: int = 0
    share: float = 0.0  # of the whole matching time, 0 to 1

    @property
    def microseconds(self) -> float:
        """Mean time of one evaluation."""
        return self.stat.cpu_us / self.stat.evaluated if self.stat.evaluated else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the visitor wants to see."""

    text: str = ""
    level: str = ""
    kind: str = ""
    state: str = ""
    sort: str = "level"
    words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.text.lower().split()))

    def wants(self, row: Row) -> bool:
        """Whether the row is among them."""
        info = row.rule.info
        if (self.level and info.level != self.level) or (self.kind and row.kind != self.kind):
            return False
        if self.state and not _IN_STATE[self.state](row):
            return False
        said = f"{info.id} {row.rule.name} {info.title} {info.title_zh} {' '.join(info.tags)}".lower()
        return all(word in said for word in self.words)


_IN_STATE: Final[dict[str, Callable[[Row], bool]]] = {
    "off": lambda row: bool(row.off_for),
    "excepted": lambda row: bool(row.exceptions),
    "never": lambda row: not row.stat.hits,
    "matched": lambda row: bool(row.stat.hits),
}


def kind_of(rule: Rule) -> str:
    """``detection``, the correlation's type, or the kind of a rule over time."""
    if isinstance(rule.body, Detection):
        return DETECTION
    return str(rule.body.type) if isinstance(rule.body, Correlation) else rule.body.kind


def visible_to(info: RuleInfo, tenants: frozenset[str] | None) -> bool:
    """Whether somebody who sees ``tenants`` (None: all) may know of the rule: everybody's, or one of theirs."""
    return tenants is None or not info.tenants or bool(tenants.intersection(info.tenants))


def known(visit: Visit, rule_id: str) -> RuleInfo | None:
    """The running rule of that id, if the visitor may know of it."""
    info = visit.service.rules.infos().get(rule_id)
    return info if info is not None and visible_to(info, visit.visible_tenants()) else None


def rows(visit: Visit) -> list[Row]:
    """Every rule that the visitor may know of."""
    tenants = visit.visible_tenants()
    with visit.service.database.read() as tx:
        counted, off, standing = stats.all(tx), switches.off(tx), exceptions.active(tx, visit.now)
    rules = [rule for rule in visit.service.rules.rules if visible_to(rule.info, tenants)]
    off_for = _gather((rule_id, tenant) for tenant, rule_id in off if _seen(tenant, tenants))
    excepted = _gather((one.rule_id, one.tenant) for one in standing if _seen(one.tenant, tenants))
    whole = sum(stat.cpu_us for stat in counted.values()) or 1
    return [
        Row(
            rule=rule,
            stat=_own(counted.get(rule.id), tenants),
            kind=kind_of(rule),
            off_for=tuple(sorted(off_for.get(rule.id, ()))),
            exceptions=len(excepted.get(rule.id, ())),
            share=counted[rule.id].cpu_us / whole if rule.id in counted else 0.0,
        )
        for rule in rules
    ]


def _own(stat: RuleStat | None, tenants: frozenset[str] | None) -> RuleStat:
    """The visitor's part of the hits; the cost is of the rule, whoever's events it looked at."""
    if stat is None:
        return RuleStat()
    own = stats.visible(stat, tenants)
    own.evaluated, own.cpu_us = stat.evaluated, stat.cpu_us
    return own


def _seen(tenant: str, tenants: frozenset[str] | None) -> bool:
    return tenants is None or not tenant or tenant in tenants


def _gather(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rule_id, tenant in pairs:
        found.setdefault(rule_id, []).append(tenant)
    return found


def arrange(found: Iterable[Row], asked: Asked) -> list[Row]:
    """The rows that are wanted, in the order that is wanted; the gravest, latest, most frequent, dearest first."""
    wanted = sorted((row for row in found if asked.wants(row)), key=lambda row: row.rule.info.title)
    match asked.sort:
        case "last":
            wanted.sort(key=lambda row: _seconds(row.stat.last_hit), reverse=True)
        case "hits":
            wanted.sort(key=lambda row: row.stat.hits, reverse=True)
        case "cost":
            wanted.sort(key=lambda row: row.stat.cpu_us, reverse=True)
        case "level":
            wanted.sort(key=lambda row: row.rule.info.level.rank, reverse=True)
    return wanted


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment is not None else 0.0
