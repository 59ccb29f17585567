"""Regular expressions of rules: RE2 only, whose time is linear in the text whatever the expression.

``$`` follows PCRE, which the Sigma specification names: the end of the text, or just before a final line feed. RE2's
own ``$`` is the very end only, so it is rewritten.
"""

from __future__ import annotations

from typing import Any

import re2

from secops.match.source import RuleError

MAX_PATTERN = 4096
MAX_MEMORY = 8 << 20  # RE2's budget for one expression's automata, in bytes


def check_regex(pattern: str, flags: str, line: int) -> None:
    """Refuse what RE2 cannot run.

    Raises:
        RuleError: too long, or not an expression RE2 understands (look-around and back-references among them).
    """
    if len(pattern) > MAX_PATTERN:
        raise RuleError(line, "正则表达式过长", f"regular expression is longer than {MAX_PATTERN} characters")
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


def regex_size(pattern: str, flags: str) -> int:
    """Instructions of the expression's program, by which the time to compile many of them can be told."""
    return int(compile_regex(pattern, flags)._regexp.ProgramSize())  # noqa: SLF001 - found nowhere else


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
