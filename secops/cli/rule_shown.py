"""How rules, their figures, switches and exceptions are shown, to people and to programs."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from secops.alert.severity import LEVELS_ZH
from secops.cli.context import local, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from secops.match.rule import Rule
    from secops.records import Level
    from secops.rule_desk import Listed
    from secops.rulebook.exceptions import Excepted
    from secops.rulebook.switches import Switch

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
SORTS: dict[str, Callable[[Listed], Any]] = {
    "last": lambda one: -(one.stat.last_hit or _NEVER).timestamp(),
    "hits": lambda one: -one.stat.hits,
    "cost": lambda one: -one.stat.cpu_us,
    "level": lambda one: -one.rule.info.level.rank,
    "title": lambda one: one.rule.info.title_zh or one.rule.info.title,
    "file": lambda one: (one.rule.info.source, one.rule.line),
}


def rule_data(rule: Rule) -> dict[str, Any]:
    """A rule for programs."""
    info = rule.info
    return {
        "id": info.id,
        "title": info.title,
        "title_zh": info.title_zh,
        "level": info.level,
        "kind": rule.kind,
        "alerts": info.alert,
        "owner": info.owner,
        "runbook": info.runbook,
        "clauses": info.clauses,
        "tags": info.tags,
        "tenants": info.tenants,
        "file": info.source,
        "line": rule.line,
    }


def listed_data(one: Listed) -> dict[str, Any]:
    """A rule with its figures for programs."""
    stat = one.stat
    return {
        **rule_data(one.rule),
        "hits": stat.hits,
        "last_hit": stat.last_hit,
        "by_tenant": stat.by_tenant,
        "excepted": stat.excepted,
        "switched_off": stat.switched_off,
        "evaluated_estimate": stat.evaluated,
        "cpu_us_estimate": stat.cpu_us,
        "off_for": one.off_for,
        "exceptions": one.exceptions,
        "imported": one.imported,
    }


def listed_table(found: Sequence[Listed]) -> str:
    """Rules with their figures for people."""
    rows = [
        [
            one.rule.id,
            level_text(one.rule.info.level),
            one.imported or "-",
            str(one.stat.hits),
            local(one.stat.last_hit) if one.stat.last_hit else "-",
            seconds(one.stat.cpu_us),
            tenants_text(one),
            one.rule.info.title_zh or one.rule.info.title,
        ]
        for one in found
    ]
    return table(
        rows, ["编号 id", "级别 level", "导入 import", "命中 hits", "最近 last", "≈CPU", "单位 tenants", "标题 title"]
    )


def level_text(level: Level) -> str:
    """A level in both languages."""
    return f"{LEVELS_ZH[level]} {level}"


def tenants_text(one: Listed) -> str:
    """For whom a rule runs."""
    if "" in one.off_for:
        return "停用 off"
    runs = ",".join(one.rule.info.tenants) or "全部 all"
    return runs + "".join(f" -{tenant}" for tenant in one.off_for)


def seconds(cpu_us: int) -> str:
    """CPU time for people."""
    return f"{cpu_us / 1e6:,.2f} s" if cpu_us else "-"


def switch_lines(found: Sequence[Switch]) -> list[str]:
    """Switches for people."""
    return [
        f"{'启用 on ' if one.enabled else '停用 off'} {one.tenant or '全部 all'}：{one.reason}（{one.actor}，{local(one.at)}）"
        for one in found
    ]


def exception_lines(found: Sequence[Excepted], now: datetime, known: frozenset[str]) -> list[str]:
    """Exceptions for people; one whose rule is gone says so."""
    lines = []
    for one in found:
        if one.ended_at:
            state = f"已撤销 ended {local(one.ended_at)}：{one.end_reason}"
        elif not one.active(now):
            state = "已到期 expired"
        else:
            state = f"到期 expires {local(one.expires_at)}" if one.expires_at else "长期 no expiry"
        gone = "" if one.rule_id in known else "  规则已不存在 the rule is gone"
        lines.append(f"#{one.id}  {one.rule_id}  {one.tenant or '全部 all'}  {state}{gone}")
        lines.append(f"    {one.reason}（{one.actor}，{local(one.created_at)}）")
        lines += [f"    {line}" for line in one.condition.strip().splitlines()]
    return lines


def exception_data(one: Excepted, now: datetime, known: frozenset[str]) -> dict[str, Any]:
    """An exception for programs."""
    return {**asdict(one), "active": one.active(now), "rule_known": one.rule_id in known}
