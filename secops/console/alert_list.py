"""What a visitor asks of the list of alerts, as it stands in the address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from secops.alert.find import Filter, Order
from secops.console.visit import MAX_DIGITS, member
from secops.records import AlertStatus, Level

if TYPE_CHECKING:
    from secops.alert.attack import Tactic
    from secops.console.visit import Visit

PAGE: Final = 50
MOST_SKIPPED: Final = 100_000
ANY: Final = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The filters, the order, and where the page begins."""

    text: str = ""
    status: AlertStatus | None = None
    severity: Level | None = None
    level: Level | None = None
    tenant: str = ""
    rule: str = ""
    tactic: str = ""
    muted: str = ""  # yes, no
    order: Order = Order.NEWEST
    before: int = 0
    skip: int = 0

    @property
    def first(self) -> bool:
        """Whether it is the first page."""
        return not (self.before or self.skip)

    def filter(self, tenants: frozenset[str] | None, tactics: tuple[Tactic, ...]) -> Filter:
        """What to look for."""
        return Filter(
            tenants=tenants,
            tenant=self.tenant,
            status=self.status,
            level=self.level,
            severity=self.severity,
            rule_id=self.rule,
            muted={"yes": True, "no": False}.get(self.muted),
            tags=next((one.tags for one in tactics if one.id == self.tactic), ()),
            text=self.text,
        )

    def link(self, **changes: object) -> str:
        """The address of this list, changed."""
        there = replace(self, **changes)  # type: ignore[arg-type]  # names are checked by replace itself
        fields = {
            "q": there.text,
            "status": there.status or ANY,
            "severity": there.severity or "",
            "level": there.level or "",
            "tenant": there.tenant,
            "rule": there.rule,
            "tactic": there.tactic,
            "muted": there.muted,
            "sort": there.order if there.order is not Order.NEWEST else "",
            "before": there.before or "",
            "skip": there.skip or "",
        }
        return "/alerts?" + urlencode({name: str(value) for name, value in fields.items() if value})


def asked_of(visit: Visit) -> Asked:
    """Read the address; what cannot be understood is left out."""
    muted = visit.query("muted", limit=5)
    return Asked(
        text=visit.query("q", limit=200),
        status=member(AlertStatus, visit.query("status", "open")),
        severity=member(Level, visit.query("severity")),
        level=member(Level, visit.query("level")),
        tenant=visit.query("tenant", limit=100),
        rule=visit.query("rule", limit=200),
        tactic=visit.query("tactic", limit=20),
        muted=muted if muted in {"yes", "no"} else "",
        order=member(Order, visit.query("sort")) or Order.NEWEST,
        before=_number(visit.query("before"), 10**MAX_DIGITS),
        skip=_number(visit.query("skip"), MOST_SKIPPED),
    )


def _number(text: str, most: int) -> int:
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
