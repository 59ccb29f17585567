"""Reads a rule's ``correlation`` section (Sigma correlation rules specification 2.1)."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from secops.match.expressed import read_expression
from secops.match.rule import Correlation, CorrelationType
from secops.match.source import Block, Items, RuleError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RULES = 1000
MAX_TIMESPAN = timedelta(days=31)
MAX_COUNT = 1_000_000  # hits or values that a rule may ask for: more are not kept of one key
MAX_GROUP = 32  # fields to group by: each costs something at every hit

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_OPERATORS: Final = frozenset({"lt", "lte", "gt", "gte", "eq", "neq"})
_KEYS: Final = frozenset({"type", "rules", "group-by", "timespan", "condition", "aliases", "generate"})
_TEMPORAL: Final = frozenset({CorrelationType.TEMPORAL, CorrelationType.TEMPORAL_ORDERED})
_COUNTS: Final = frozenset({CorrelationType.EVENT_COUNT, CorrelationType.VALUE_COUNT})
_CONDITION_EXTRAS: Final = frozenset({"field", "percentile"})


def read_correlation(block: Block) -> Correlation:
    """The body of a correlation rule; ``rules`` still as written (ids or names).

    Raises:
        RuleError: some part of it is not understood.
    """
    for key in block:
        if key not in _KEYS:
            raise RuleError(block.at(key), f"未知的关联设置 {key!r}", f"unknown correlation setting {key!r}")
    kind = _kind(block)
    if isinstance(block.get("condition"), str):
        return _expressed(block, kind)
    condition = _condition(block, kind)
    return Correlation(
        type=kind,
        rules=_rules(block),
        timespan=read_duration(block.get("timespan"), block.at("timespan")),
        group_by=read_group(block.get("group-by"), block.at("group-by")),
        conditions=_comparisons(condition, kind, block.at("condition")),
        fields=_fields(condition, kind, block.at("condition")),
        percentile=_percentile(condition, kind, block.at("condition")),
        aliases=_aliases(block),
        generate=_flag(block, "generate"),
    )


def read_duration(value: object, line: int, most: timedelta = MAX_TIMESPAN) -> timedelta:
    """A time span such as ``90s``, ``5m``, ``1h``, ``2d``, ``1w``.

    Raises:
        RuleError: it is not one, is zero, or exceeds ``most``.
    """
    found = _DURATION.fullmatch(str(value))
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= most.total_seconds():
        raise RuleError(
            line,
            f"时间跨度 {value!r} 无效：写作 30s、5m、1h、2d 或 1w，不超过 {most.days} 天",
            f"time span {value!r}: write 30s, 5m, 1h, 2d or 1w, at most {most.days} days",
        )
    return timedelta(seconds=seconds)


def read_texts(value: object, line: int) -> tuple[str, ...]:
    """A text or a list of texts; nothing is the empty tuple."""
    if value is None:
        return ()
    values = value if isinstance(value, Items) else [value]
    if not all(isinstance(each, str) and each for each in values):
        raise RuleError(line, "应为文本或文本列表", "a text or a list of texts is expected")
    return tuple(values)


def read_group(value: object, line: int) -> tuple[str, ...]:
    """Fields to group by."""
    fields = read_texts(value, line)
    if len(fields) > MAX_GROUP:
        raise RuleError(line, f"分组字段不能超过 {MAX_GROUP} 个", f"at most {MAX_GROUP} fields to group by")
    return fields


def _kind(block: Block) -> CorrelationType:
    try:
        return CorrelationType(block.get("type", ""))
    except ValueError as error:
        raise RuleError(
            block.at("type"),
            f"未知的关联类型 {block.get('type')!r}",
            f"unknown correlation type {block.get('type')!r}; known are: {', '.join(CorrelationType)}",
        ) from error


def _rules(block: Block) -> tuple[str, ...]:
    rules = read_texts(block.get("rules"), block.at("rules"))
    if not 0 < len(rules) <= MAX_RULES:
        raise RuleError(block.at("rules"), "关联规则没有引用规则", "correlation: rules is missing or too long")
    return rules


def _condition(block: Block, kind: CorrelationType) -> Block:
    condition = block.get("condition")
    if condition is None and kind in _TEMPORAL:
        return Block()
    if not isinstance(condition, Block) or not condition:
        raise RuleError(block.at("condition"), "关联条件缺失或不是映射", "correlation: condition is not a mapping")
    return condition


def _comparisons(condition: Block, kind: CorrelationType, line: int) -> tuple[tuple[str, float], ...]:
    found: list[tuple[str, float]] = []
    for key, value in condition.items():
        if key in _CONDITION_EXTRAS:
            continue
        if key not in _OPERATORS:
            raise RuleError(condition.at(key), f"未知的条件 {key!r}", f"correlation condition: unknown key {key!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RuleError(condition.at(key), f"{key} 应为数字", f"correlation condition: {key} must be a number")
        if kind in _COUNTS and value > MAX_COUNT:
            raise RuleError(
                condition.at(key),
                f"{key} 不能超过 {MAX_COUNT:,}：每个分组最多记住这么多",
                f"correlation condition: {key} is at most {MAX_COUNT:,}, of one group no more is remembered",
            )
        found.append((key, float(value)))
    if condition and not found:
        raise RuleError(line, "关联条件没有比较", "correlation condition: no comparison")
    return tuple(found)


def _fields(condition: Block, kind: CorrelationType, line: int) -> tuple[str, ...]:
    fields = read_texts(condition.get("field"), condition.at("field"))
    wanted = kind.value.startswith("value_")
    if wanted != bool(fields):
        raise RuleError(
            line,
            f"{kind.value} {'需要' if wanted else '不能有'} condition.field",
            f"correlation: {kind.value} {'needs' if wanted else 'does not take'} condition.field",
        )
    if len(fields) > 1 and kind is not CorrelationType.VALUE_COUNT:
        raise RuleError(
            condition.at("field"),
            f"{kind.value} 只能有一个字段；只有 value_count 可列出多个",
            f"correlation: {kind.value} takes one field; only value_count takes a list",
        )
    return fields


def _expressed(block: Block, kind: CorrelationType) -> Correlation:
    """A temporal correlation whose condition is an expression over the names of rules."""
    line = block.at("condition")
    if kind not in _TEMPORAL:
        raise RuleError(
            line,
            f"{kind.value} 的 condition 应为映射；表达式只用于 temporal 和 temporal_ordered",
            f"correlation: the condition of {kind.value} is a mapping; only temporal types take an expression",
        )
    rules, alternatives = read_expression(block["condition"], read_texts(block.get("rules"), block.at("rules")), line)
    return Correlation(
        type=kind,
        rules=rules,
        timespan=read_duration(block.get("timespan"), block.at("timespan")),
        group_by=read_group(block.get("group-by"), block.at("group-by")),
        aliases=_aliases(block),
        generate=_flag(block, "generate"),
        alternatives=alternatives,
    )


def _percentile(condition: Block, kind: CorrelationType, line: int) -> float:
    value = condition.get("percentile", 50)
    given = "percentile" in condition
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if given != (kind is CorrelationType.VALUE_PERCENTILE) or not number or not 0 <= value <= 100:  # noqa: PLR2004 - per cent
        raise RuleError(
            line, "percentile 应为 0 到 100，仅用于 value_percentile", "percentile: 0 to 100, for value_percentile only"
        )
    return float(value)


def _aliases(block: Block) -> Mapping[str, Mapping[str, str]]:
    aliases = block.get("aliases", Block())
    valid = isinstance(aliases, Block) and all(
        isinstance(of, Block) and of and all(isinstance(field, str) for field in of.values()) for of in aliases.values()
    )
    if not valid:
        raise RuleError(
            block.at("aliases"), "aliases 应为 别名 → 规则 → 字段", "aliases: alias -> rule -> field is expected"
        )
    return {alias: dict(of) for alias, of in aliases.items()}


def _flag(block: Block, key: str) -> bool:
    value = block.get(key, False)
    if not isinstance(value, bool):
        raise RuleError(block.at(key), f"{key} 应为 true 或 false", f"{key} must be true or false")
    return value
