"""Rules as lists show them: what each is, how often it came up, what it costs, what people decided about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops import rule_desk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from secops.console.visit import Visit
    from secops.match.rule import Rule
    from secops.rule_desk import Listed

SORTS: Final = ("level", "last", "hits", "cost", "title")
STATES: Final = ("off", "excepted", "never", "matched")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the visitor wants to see."""

    text: str = ""
    level: str = ""
    kind: str = ""
    state: str = ""
    origin: str = ""  # own, or import:NAME
    sort: str = "level"
    words: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", tuple(self.text.lower().split()))

    def wants(self, row: Listed) -> bool:
        """Whether the row is among them."""
        info = row.rule.info
        if (self.level and info.level != self.level) or (self.kind and row.rule.kind != self.kind):
            return False
        if self.origin and self.origin != (f"import:{row.imported}" if row.imported else "own"):
            return False
        if self.state and not _IN_STATE[self.state](row):
            return False
        said = f"{info.id} {row.rule.name} {info.title} {info.title_zh} {' '.join(info.tags)}".lower()
        return all(word in said for word in self.words)


_IN_STATE: Final[dict[str, Callable[[Listed], bool]]] = {
    "off": lambda row: bool(row.off_for),
    "excepted": lambda row: bool(row.exceptions),
    "never": lambda row: not row.stat.hits,
    "matched": lambda row: bool(row.stat.hits),
}


def known(visit: Visit, rule_id: str) -> Rule | None:
    """The running rule of that id, if the visitor may know of it."""
    return next((one for one in rule_desk.visible(visit.service, visit.visible_tenants()) if one.id == rule_id), None)


def rows(visit: Visit) -> list[Listed]:
    """Every rule that the visitor may know of."""
    with visit.service.database.read() as tx:
        return rule_desk.listing(visit.service, tx, visit.now, tenants=visit.visible_tenants())


def arrange(found: Iterable[Listed], asked: Asked) -> list[Listed]:
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
