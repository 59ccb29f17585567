"""How values become text, and when two texts are equal to Sigma."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from secops.match.rule import Wild
from secops.records import ORIGINAL, RAW

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MAX_TEXT = 1 << 20  # characters of one value that are looked at; the collectors cut events off long before
MAX_NUMBER = 128  # characters of a number


def text_of(value: object) -> str | None:
    """The text that a scalar is compared as; None for null, lists and mappings.

    Numbers and their text are the same to a rule (``EventID: 4625`` and ``"4625"``), and so are true and ``true``.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(1 << 256) < value < 1 << 256 else None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return None


def number_of(text: str) -> int | float | None:
    """The number that a text says, exactly where it is a whole one; None when it says none, or none that is finite."""
    if len(text) > MAX_NUMBER or "_" in text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def measured(value: object) -> float | None:
    """The number in a field that is measured, be it a number or the text of one; None when it is neither."""
    text = text_of(value)
    number = None if text is None else number_of(text)
    return None if number is None else float(number)


def written(time: int) -> str:
    """Microseconds since 1970 as RFC 3339."""
    return (EPOCH + timedelta(microseconds=time)).isoformat(timespec="seconds").replace("+00:00", "Z")


def worded(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """What keywords look at: every field, save JSON as it came where its fields are there, whose names are no values."""
    raw = event.get(RAW)
    if (raw is True or (type(raw) is str and raw[:1] == "{")) and event.get(ORIGINAL):
        event = dict(event)
        del event[RAW]
    return event


def scalars(value: object) -> tuple[Any, ...]:
    """The scalars of a field: itself, or the elements of a list; mappings and inner lists have no text."""
    return tuple(value) if isinstance(value, list) else (value,)


def fold(text: str) -> str:
    """Text with the differences of case removed.

    Lower case, not case folding (which makes two letters of some); the Greek final sigma is made an ordinary one,
    because ``lower`` chooses between the two by the letters around it, and a part would not match its whole.
    """
    if text.isascii():
        return text.lower()
    return text.lower().replace("ς", "σ")


def fold_parts(parts: tuple[str, ...]) -> tuple[str, ...]:
    """Pattern parts with their literals folded."""
    return tuple(part if isinstance(part, Wild) else fold(part) for part in parts)


def parse_pattern(text: str) -> tuple[str, ...]:
    """Split Sigma text into literals and wildcards.

    A backslash before ``*``, ``?`` or another backslash makes it literal; before anything else it is itself.
    """
    parts: list[str] = []
    literal: list[str] = []

    def flush() -> None:
        if literal:
            parts.append("".join(literal))
            literal.clear()

    position, end = 0, len(text)
    while position < end:
        char = text[position]
        if char == "\\" and position + 1 < end and text[position + 1] in "\\*?":
            literal.append(text[position + 1])
            position += 2
            continue
        position += 1
        if char in "*?":
            flush()
            if not (char == "*" and parts and parts[-1] is Wild.MANY):
                parts.append(Wild.MANY if char == "*" else Wild.ONE)
        else:
            literal.append(char)
    flush()
    return tuple(parts)


def join_parts(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Concatenate patterns; neighbouring literals and neighbouring ``*`` become one."""
    joined: list[str] = []
    for part in (part for group in groups for part in group):
        previous = joined[-1] if joined else None
        if part is Wild.MANY and previous is Wild.MANY:
            continue
        if previous is not None and not isinstance(part, Wild) and not isinstance(previous, Wild):
            joined[-1] = previous + part
        else:
            joined.append(part)
    return tuple(joined)


def literal_of(parts: tuple[str, ...]) -> str | None:
    """The text of a pattern without wildcards, else None."""
    if not parts:
        return ""
    return parts[0] if len(parts) == 1 and not isinstance(parts[0], Wild) else None
