"""Regular expressions of rules: RE2 only, whose time is linear in the text whatever the expression.

``$`` follows PCRE, which the Sigma specification names: the end of the text, or just before a final line feed. RE2's
own ``$`` is the very end only, so it is rewritten.

Reading and compiling an expression is what costs: four thousand characters may ask for milliseconds or for a tenth of
a second. So each is weighed first, and an allowance is charged, whether it compiles in the end or not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import re2

from secops.match.source import RuleError

MAX_PATTERN = 4096
MAX_MEMORY = 8 << 20  # RE2's budget for one expression's automata, in bytes
MAX_WEIGHT: Final = 100_000  # of the expressions of one rule; compiled in some 30 ms
EACH: Final = 50  # what an expression weighs beside its program: 2,000 empty ones are as much as a rule may have


@dataclass(slots=True)
class Allowance:
    """What expressions still to be read may weigh together."""

    left: int = MAX_WEIGHT
    zh: str = "本规则"
    en: str = "this rule"  # whose
    above: tuple[Allowance, ...] = ()  # of which this one is a part

    def spend(self, weight: int, line: int) -> None:
        """Take a weight off.

        Raises:
            RuleError: so much is not left, here or above; nothing was taken off.
        """
        every = (self, *self.above)
        for each in every:
            if weight > each.left:
                raise RuleError(
                    line,
                    f"{each.zh}的正则表达式超过编译开销的上限：请减少表达式的个数、重复次数（如 {{1,900}}）和 \\p 类，或拆成多条规则",
                    f"the regular expressions of {each.en} exceed the limit of what they may cost to compile: "
                    "write fewer, repeat less (as in {1,900}), use fewer \\p classes, or split the rule",
                )
        for each in every:
            each.left -= weight


def check_regex(pattern: str, flags: str, line: int, allowance: Allowance) -> None:
    """Refuse what RE2 cannot run, or not cheaply.

    Raises:
        RuleError: too long, too costly, or not an expression RE2 understands (look-around and back-references).
    """
    if len(pattern) > MAX_PATTERN:
        raise RuleError(line, "正则表达式过长", f"regular expression is longer than {MAX_PATTERN} characters")
    allowance.spend(EACH + regex_weight(pattern), line)
    try:
        compile_regex(pattern, flags)
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace") if isinstance(error.args[0], bytes) else str(error)
        raise RuleError(
            line,
            f"正则表达式无法使用：{reason}（不支持环视和反向引用）",
            f"regular expression refused: {reason} (look-around and back-references are not supported)",
        ) from error


def compile_regex(pattern: str, flags: str) -> Any:  # noqa: ANN401 - google-re2 has no type information
    """A compiled expression with ``search``; raises ``re2.error``."""
    options = re2.Options()
    options.max_mem = MAX_MEMORY
    options.log_errors = False
    prefix = f"(?{flags})" if flags else ""
    return re2.compile(prefix + (pattern if "m" in flags else end_as_in_pcre(pattern)), options)


_TOKEN: Final = re.compile(
    r"""(?P<quoted>\\Q.*?(?:\\E|\Z))
    | (?P<table>\\[pP](?:\{[^}]*\}|.))
    | (?P<letter>\\x\{[^}]*\} | \\[^wWdDsSbBC])
    | (?P<class>\[\^?\]?(?>\\.|\[:\^?\w+:\]|[^\\\]])*+\] | \\. | \.)
    | (?P<flags>\(\?[a-zA-Z-]*\))
    | (?P<open>\((?:\?(?:P?<[^>]*>|[a-zA-Z-]*:))?)
    | (?P<close>\))
    | (?P<times>\{(?P<least>\d{1,4})(?P<more>,(?P<most>\d{1,4})?)?\} | [*+?])
    | .""",
    re.DOTALL | re.VERBOSE,
)
_LETTER: Final = 8  # instructions at most: its bytes, and those of the letters that differ from it in case
_CLASS: Final = 24
_TABLE: Final = 1300  # \pL (1,200) and others, which stand for hundreds of ranges


def regex_weight(pattern: str) -> int:
    """About the instructions of an expression's program, more rather than less, told without compiling it."""
    outer: list[int] = []
    total = last = 0  # of the group that is open, and of what a repetition would repeat
    for token in _TOKEN.finditer(pattern):
        kind = token.lastgroup
        if kind == "open":
            outer.append(total)
            total = last = 0
            continue
        if kind == "close":
            last = total + 2
            total = outer.pop() if outer else 0
        elif kind == "times":
            total -= last
            last = last * _times(token) + _times(token)
        else:
            last = _single(kind, token.group())
        total += last
    return total + sum(outer)


def _times(token: re.Match[str]) -> int:
    least = int(token["least"] or 1)
    return max(1, int(token["most"] or least + bool(token["more"])))


def _single(kind: str | None, text: str) -> int:
    if kind == "table":
        return _TABLE
    if kind == "class":
        return _CLASS + _LETTER * len(text) + _TABLE * (text.count(r"\p") + text.count(r"\P"))
    return _LETTER * (len(text) if kind == "quoted" else 1)


def end_as_in_pcre(pattern: str) -> str:
    r"""Replace each ``$`` outside classes and escapes by ``\n?\z``."""
    if "$" not in pattern:
        return pattern
    out: list[str] = []
    position, in_class, class_start = 0, False, 0
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            out.append(pattern[position : position + 2])
            position += 2
            continue
        if in_class:
            in_class = not (char == "]" and position > class_start)
        elif char == "[":
            in_class = True
            class_start = position + (2 if pattern[position + 1 : position + 2] == "^" else 1)
        out.append(r"(?:\n?\z)" if char == "$" and not in_class else char)
        position += 1
    return "".join(out)


def quote(literal: str) -> str:
    """A text as the regular expression of just this text."""
    return "".join(char if char.isalnum() else f"\\x{{{ord(char):x}}}" for char in literal)
