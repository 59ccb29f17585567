"""Alerts on detection itself: a rule that ran and cannot run any more, and detection that lags behind the log."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from secops.alert.group import raise_alerts
from secops.records import Level, Match, RuleInfo

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session

ROOT: Final = "city"
SHOWN: Final = 20

REFUSED_RULE: Final = RuleInfo(
    id="secops-rule-refused",
    title="A rule that ran cannot run any more; the last good set goes on",
    title_zh="曾在运行的规则无法继续运行，系统沿用上一版规则",
    level=Level.MEDIUM,
    tags=("secops.self",),
    runbook="rule-refused.md",
    group_by=("rule.ruleset",),
)
LAG_RULE: Final = RuleInfo(
    id="secops-detection-lag",
    title="Detection lags behind the log",
    title_zh="检测落后于日志",
    level=Level.HIGH,
    tags=("secops.self",),
    runbook="detection-lag.md",
    group_by=("secops.role",),
    window=timedelta(hours=1),
)


def raise_for_refused(tx: Session, refused: Iterable[tuple[str, int, str]], now: datetime) -> None:
    """Raise one alert a folder for rules (file, line, reason) that ran before a change of their files."""
    folders: dict[str, list[str]] = defaultdict(list)
    for file, line, reason in refused:
        folders[str(PurePath(file).parent)].append(f"{PurePath(file).name}:{line}: {reason}")
    matches = [
        Match(
            tenant=ROOT,
            rule_id=REFUSED_RULE.id,
            at=now,
            event_ids=(),
            group=(("rule.ruleset", folder),),
            fields={"error.message": lines[:SHOWN]},
            count=len(lines),
        )
        for folder, lines in folders.items()
    ]
    raise_alerts(tx, matches, {REFUSED_RULE.id: REFUSED_RULE}, now)


def raise_for_lag(tx: Session, *, events: int, seconds: float, now: datetime) -> None:
    """Raise an alert, or let the open one grow: ``events`` wait, the oldest for ``seconds``."""
    match = Match(
        tenant=ROOT,
        rule_id=LAG_RULE.id,
        at=now,
        event_ids=(),
        group=(("secops.role", "detect"),),
        fields={"secops.lag.events": events, "secops.lag.seconds": round(seconds)},
    )
    raise_alerts(tx, [match], {LAG_RULE.id: LAG_RULE}, now)
