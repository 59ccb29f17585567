"""Matchers: which alerts a silence, an inhibition or a window is about. Written ``field operator value``.

Operators: ``=`` equal, ``!=`` not equal, ``~`` glob (``*`` and ``?``), ``=~`` and ``!~`` regular expression (RE2) over the
whole value. Fields: ``rule``, ``tenant``, ``level``, ``severity``, ``tag``, ``host.name`` and every field the alert is
grouped by. A field the alert does not have is equal to nothing: ``=``, ``~`` and ``=~`` do not hold, ``!=`` and ``!~`` do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import re2

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secops.records import Level

MOST_MATCHERS: Final = 20
MOST_CHARACTERS: Final = 500  # of one matcher
CODE: Final = "alert.matcher"
_MEMORY: Final = 1 << 20  # RE2's budget for one expression, in bytes
_WRITTEN: Final = re.compile(
    r"\s*([\w.@-]{1,200})\s*(=~|!~|!=|=|~)(?![=~])\s*(.*?)\s*", re.DOTALL
)  # over 500 characters at most


class Operator(StrEnum):
    """How a value is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    GLOB = "~"
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What decisions look at: an alert, stored or about to be."""

    rule_id: str
    tenant: str
    level: Level
    severity: Level
    tags: tuple[str, ...] = ()
    group: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()

    def values(self, name: str) -> tuple[str, ...]:
        """Give the values of a field; none when the alert does not have it."""
        match name:
            case "rule":
                found: tuple[str, ...] = (self.rule_id,)
            case "tenant":
                found = (self.tenant,)
            case "level":
                found = (self.level.value,)
            case "severity":
                found = (self.severity.value,)
            case "tag":
                found = self.tags
            case "host.name" if self.hosts:
                found = self.hosts
            case _:
                found = (self.group[name],) if name in self.group else ()
        return found


@dataclass(frozen=True, slots=True)
class Matcher:
    """One comparison."""

    field: str
    operator: Operator
    value: str

    def holds(self, subject: Subject) -> bool:
        """Say whether it is so of ``subject``; of several values one is enough, or none for a negation."""
        values = subject.values(self.field)
        match self.operator:
            case Operator.EQUAL:
                return self.value in values
            case Operator.NOT_EQUAL:
                return self.value not in values
            case Operator.GLOB:
                return any(glob_holds(self.value, value) for value in values)
            case Operator.REGEX:
                return any(_expression(self.value).fullmatch(value) for value in values)
            case Operator.NOT_REGEX:
                return not any(_expression(self.value).fullmatch(value) for value in values)

    def __str__(self) -> str:
        """Write it so that ``read`` gives the same again."""
        bare = self.value.strip() == self.value and self.value[:1] not in {"=", "~", '"'}
        return f"{self.field} {self.operator} {self.value}" if bare else f'{self.field} {self.operator} "{self.value}"'


def naming(subject: Subject) -> list[str]:
    """Write the matchers that hold of alerts like ``subject``: its rule and the group values that fit on a line."""
    wanted = [Matcher("rule", Operator.EQUAL, subject.rule_id)]
    wanted += [Matcher(name, Operator.EQUAL, value) for name, value in subject.group.items() if value]
    return [text for one in wanted if _readable(text := str(one), one)][:MOST_MATCHERS]


def _readable(text: str, meant: Matcher) -> bool:
    try:
        return len(text.splitlines()) == 1 and read(text) == meant
    except UserError:
        return False


def all_hold(matchers: Iterable[Matcher], subject: Subject) -> bool:
    """Say whether every matcher holds."""
    return all(matcher.holds(subject) for matcher in matchers)


def read(text: str) -> Matcher:
    """Read ``field operator value``; the value may stand in double quotes.

    Raises:
        UserError: ``alert.matcher``: it is not of that form, or RE2 cannot run the expression.
    """
    written = _WRITTEN.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if written is None or not written[3]:
        raise UserError(
            CODE,
            f"匹配条件 {text[:80]!r} 无法识别：应写作“字段 = 值”，运算符有 =、!=、~（通配）、=~ 与 !~（正则），最长 {MOST_CHARACTERS} 字。",
            f"matcher {text[:80]!r} cannot be read: write field = value; operators are =, !=, ~ (glob), =~ and !~ (regular expression), {MOST_CHARACTERS} characters at most",
        )
    name, operator, value = written[1], Operator(written[2]), written[3]
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if operator in {Operator.REGEX, Operator.NOT_REGEX}:
        _check(value)
    return Matcher(name, operator, value.replace("\x00", ""))


def read_all(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Read the matchers of a silence: at least one that is positive and not about the tenant alone.

    Raises:
        UserError: ``alert.matcher``.
    """
    found = tuple(read(text) for text in texts if text.strip())
    if not any(m.field != "tenant" and m.operator in {Operator.EQUAL, Operator.GLOB, Operator.REGEX} for m in found):
        raise UserError(
            CODE,
            "至少要有一个肯定的匹配条件（=、~ 或 =~），例如 rule = ssh-brute-force；不能静默所有告警。",
            "at least one matcher must say what is meant (=, ~ or =~), such as rule = ssh-brute-force; not everything can be silenced",
        )
    if len(found) > MOST_MATCHERS:
        raise UserError(
            CODE, f"匹配条件最多 {MOST_MATCHERS} 个。", f"there are more than {MOST_MATCHERS} matchers; use fewer"
        )
    return found


@lru_cache(maxsize=4096)
def _stored(text: str) -> Matcher:
    return read(text)


def from_store(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Read matchers that were checked when they were stored; the same few are read at every batch."""
    return tuple(_stored(text) for text in texts)


def glob_holds(pattern: str, value: str) -> bool:
    """Say whether ``value`` fits a glob of ``*`` and ``?``, whatever the case; linear in the value."""
    return bool(_glob(pattern.lower()).fullmatch(value.lower()))


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> Any:  # noqa: ANN401 - google-re2 has no type information
    parts = {"*": ".*", "?": "."}
    return _compile("(?s)" + "".join(parts.get(char) or re2.escape(char) for char in pattern))


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> Any:  # noqa: ANN401 - google-re2 has no type information
    return _compile(pattern)


def _compile(pattern: str) -> Any:  # noqa: ANN401 - google-re2 has no type information
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    return re2.compile(pattern, options)


def _check(pattern: str) -> None:
    try:
        _expression(pattern)
    except re2.error as error:
        raise UserError(
            CODE,
            f"正则表达式 {pattern[:80]!r} 无法使用（不支持环视和反向引用）。",
            f"regular expression {pattern[:80]!r} cannot be used (no look-around, no back-references)",
        ) from error
