"""Finds the kinds of watch (``secops/match/kinds``) and reads their section of a rule, strictly.

A kind is a file there that offers ``KIND``: its name, how its settings are read, and what runs it.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.match.correlations import read_duration, read_group, read_texts
from secops.match.rule import And, Watch
from secops.match.source import Block, RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from pathlib import Path

    from secops.match.rule import Expression, LogSource, Rule
    from secops.match.stateful import Stateful

SECOND: Final = 1_000_000  # microseconds, the unit of every time inside
DAY: Final = 86_400 * SECOND


class Kind(NamedTuple):
    """What a file of ``kinds`` offers."""

    name: str
    settings: Callable[..., Any]  # a frozen dataclass of texts, numbers, None and tuples of texts: it is stored as JSON
    read: Callable[[Keys, Place], Any]
    make: Callable[[Rule, int], Stateful]  # the rule, and the lateness in microseconds
    narrow: Callable[[Any], Expression] | None = None  # settings -> what besides the rule's own expression must hold


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule was written, for what it says of files and tenants."""

    folder: Path
    roots: tuple[Path, ...]  # the folders that rules are read from
    tenants: tuple[str, ...] = ()


@cache
def kinds() -> Mapping[str, Kind]:
    """The kinds by name; walks their folder once."""
    package = importlib.import_module("secops.match.kinds")
    names = sorted(found.name for found in pkgutil.iter_modules(package.__path__))
    found: list[Kind] = [importlib.import_module(f"{package.__name__}.{name}").KIND for name in names]
    return {kind.name: kind for kind in found}


def read_watch(block: Block, source: LogSource, expression: Expression | None, place: Place) -> Watch:
    """The body of a watch from its ``watch`` section.

    Raises:
        RuleError: some part of it is not understood.
    """
    name = block.get("type")
    kind = kinds().get(name) if isinstance(name, str) else None
    if kind is None:
        known = ", ".join(kinds())
        raise RuleError(
            block.at("type"),
            f"未知的监视类型 {name!r}，可用：{known}",
            f"unknown watch type {name!r}; known are: {known}",
        )
    keys = Keys(block)
    settings = kind.read(keys, place)
    keys.no_others()
    if kind.narrow is not None:
        narrowed = kind.narrow(settings)
        expression = narrowed if expression is None else And((expression, narrowed))
    return Watch(kind=kind.name, source=source, expression=expression, settings=settings)


def made(rule: Rule, lateness: int) -> Stateful:
    """What runs a watch."""
    assert isinstance(rule.body, Watch)
    return kinds()[rule.body.kind].make(rule, lateness)


class Keys:
    """The keys of a ``watch`` section: each is asked for once, and what nobody asked for is refused."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._asked = {"type"}

    def at(self, key: str) -> int:
        """The line of a key."""
        return self._block.at(key)

    def error(self, key: str, zh: str, en: str) -> RuleError:
        """A refusal at a key's line."""
        return RuleError(self.at(key), f"{key}：{zh}", f"{key}: {en}")

    def value(self, key: str) -> Any:  # noqa: ANN401 - any YAML value
        """What was written; None when nothing was."""
        self._asked.add(key)
        return self._block.get(key)

    def texts(self, key: str, *, needed: bool = False) -> tuple[str, ...]:
        """A text or a list of texts."""
        texts = read_texts(self.value(key), self.at(key))
        if needed and not texts:
            raise self.error(key, "必须填写", "is needed")
        return tuple(dict.fromkeys(texts))

    def group(self, *, needed: bool = False) -> tuple[str, ...]:
        """The fields to group by."""
        read_group(self._block.get("group-by"), self.at("group-by"))
        return self.texts("group-by", needed=needed)

    def text(self, key: str) -> str:
        """One text, which must be there."""
        texts = self.texts(key, needed=True)
        if len(texts) != 1:
            raise self.error(key, "只能有一个值", "one value only")
        return texts[0]

    def choice(self, key: str, choices: Iterable[str], default: str = "") -> str:
        """One of some words."""
        value = self.value(key)
        value = default if value is None and default else value
        known = tuple(choices)
        if value not in known:
            listed = ", ".join(known)
            raise self.error(key, f"应为 {listed} 之一", f"one of {listed} is expected")
        return str(value)

    def duration(self, key: str, most: timedelta, default: int | None = None) -> int:
        """A time span, in microseconds; must be there unless there is a default."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        return int(read_duration(value, self.at(key), most).total_seconds()) * SECOND

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """A number within bounds; must be there unless there is a default."""
        value = self.value(key)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise self.error(key, f"应为 {low:g} 到 {high:g} 的数字", f"a number from {low:g} to {high:g} is expected")
        return float(value)

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number within bounds; must be there unless there is a default."""
        number = self.number(key, low, high, default)
        if not number.is_integer():
            raise self.error(key, "应为整数", "a whole number is expected")
        return int(number)

    def comparison(self, key: str) -> tuple[str, float]:
        """``{gt: 90}``: one operator and its number."""
        value = self.value(key)
        if isinstance(value, Block) and len(value) == 1:
            [(operator, number)] = value.items()
            sound = isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
            if operator in OPERATORS and sound:
                return operator, float(number)
        raise self.error(key, "应写作 {gt: 90}", "write {gt: 90}; operators are gt, gte, lt, lte, eq, neq")

    def no_others(self) -> None:
        """Refuse the keys that the kind does not know."""
        for key in self._block:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise RuleError(
                    self.at(key),
                    f"未知的监视设置 {key!r}，可用：{known}",
                    f"unknown watch setting {key!r}; known are: {known}",
                )


OPERATORS: Final = ("gt", "gte", "lt", "lte", "eq", "neq")
