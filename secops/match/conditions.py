"""Parses Sigma's conditions: ``1 of selection* and not (filter or all of them)``.

Precedence as in the specification, weakest first: ``or``, ``and``, ``not``, ``x of``, parentheses.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from secops.match.rule import And, Not, Or
from secops.match.source import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from secops.match.rule import Expression

MAX_LENGTH = 10_000
MAX_DEPTH = 48

_TOKEN = re.compile(r"\s*(?:(?P<mark>[()])|(?P<word>[\w*?.-]+))")
_QUANTIFIERS: dict[str, type[Or | And]] = {"1": Or, "any": Or, "all": And}
_RESERVED = frozenset({"and", "or", "not", "of", "them"})


def parse_condition(text: str, selections: Mapping[str, Expression], line: int) -> Expression:
    """The expression that a condition makes of named selections.

    Raises:
        RuleError: a token, a name or the structure is not understood.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(line, "条件过长", f"condition is longer than {MAX_LENGTH} characters")
    if "|" in text:
        raise RuleError(
            line,
            "条件中的聚合（|）已废弃，请改写为关联规则",
            "aggregation after '|' is not part of Sigma any more: write a correlation rule",
        )
    return _Parser(list(_tokens(text, line)), selections, line).whole()


def any_of(children: Iterable[Expression]) -> Expression:
    """Or without needless layers; children must not be empty."""
    kept = tuple(children)
    return kept[0] if len(kept) == 1 else Or(kept)


def all_of(children: Iterable[Expression]) -> Expression:
    """And without needless layers; children must not be empty."""
    kept = tuple(children)
    return kept[0] if len(kept) == 1 else And(kept)


def _tokens(text: str, line: int) -> Iterable[str]:
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            rest = text[position : position + 20].strip()
            raise RuleError(line, f"条件中有无法识别的内容：{rest!r}", f"condition: cannot read {rest!r}")
        position = found.end()
        yield found["mark"] or found["word"]


class _Parser:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, tokens: list[str], selections: Mapping[str, Expression], line: int) -> None:
        self._tokens = tokens
        self._selections = selections
        self._line = line
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        result = self._or()
        if self._peek():
            raise self._error(f"条件中多余的 {self._peek()!r}", f"condition: {self._peek()!r} is not expected here")
        return result

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _keyword(self, word: str) -> bool:
        if self._peek().lower() != word:
            return False
        self._at += 1
        return True

    def _error(self, zh: str, en: str) -> RuleError:
        return RuleError(self._line, zh, en)

    def _or(self) -> Expression:
        children = [self._and()]
        while self._keyword("or"):
            children.append(self._and())
        return any_of(children)

    def _and(self) -> Expression:
        children = [self._not()]
        while self._keyword("and"):
            children.append(self._not())
        return all_of(children)

    def _not(self) -> Expression:
        negations = 0
        while self._keyword("not"):
            negations += 1
        result = self._primary()
        return Not(result) if negations % 2 else result

    def _primary(self) -> Expression:
        if self._keyword("("):
            return self._group()
        word = self._peek()
        if not word or word == ")" or word.lower() in _RESERVED:
            found = repr(word) if word else "the end"
            raise self._error(f"条件在 {found} 处缺少选择项", f"condition: a selection is expected before {found}")
        self._at += 1
        if self._peek().lower() == "of":
            return self._quantified(word)
        if word not in self._selections:
            raise self._error(f"条件引用了不存在的选择项 {word!r}", f"condition names {word!r}, which is not defined")
        return self._selections[word]

    def _group(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error("括号嵌套过深", f"condition: more than {MAX_DEPTH} parentheses inside one another")
        inner = self._or()
        if not self._keyword(")"):
            raise self._error("条件缺少右括号", "condition: a closing parenthesis is missing")
        self._depth -= 1
        return inner

    def _quantified(self, quantifier: str) -> Expression:
        self._at += 1
        target = self._peek()
        self._at += 1
        combine = _QUANTIFIERS.get(quantifier.lower())
        if combine is None:
            raise self._error(
                f"不支持的数量词 {quantifier!r}，只能是 1、any 或 all",
                f"condition: {quantifier!r} of ...: only 1, any and all are defined",
            )
        pattern = "*" if target.lower() == "them" else target
        names = [name for name in self._selections if fnmatchcase(name, pattern) and not _hidden(name, target)]
        if not names:
            raise self._error(f"没有选择项符合 {target!r}", f"condition: no selection matches {target!r}")
        children = tuple(self._selections[name] for name in names)
        return children[0] if len(children) == 1 else combine(children)


def _hidden(name: str, target: str) -> bool:
    """Selections that begin with an underscore are not among ``them`` (specification, *Condition*)."""
    return name.startswith("_") and target.lower() == "them"
