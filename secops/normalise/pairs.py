"""Messages made of ``key=value``, values bare or in quotes, as firewalls have written them since WELF."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from secops.normalise.schema import MAX_VALUE

_KEY: Final = 64  # characters of the longest key
_MOST: Final = 256  # pairs of one message


def read_pairs(message: str) -> dict[str, str]:
    """Split ``a=1 b="two words" c=three more d=4``: ``{"a": "1", "b": "two words", "c": "three more", "d": "4"}``.

    A quoted value ends with a quote that a space or the end follows, so quotes inside it, which vendors do not escape,
    are part of it. A bare word without ``=`` belongs to the value before it. Of a key that comes twice the first
    counts. Reads from left to right once; at most ``_MOST`` pairs.
    """
    found: dict[str, str] = {}
    position, size, last = 0, len(message), ""
    while position < size and len(found) < _MOST:
        if message[position] in " \t":
            position += 1
            continue
        equals = message.find("=", position, position + _KEY + 1)
        key = message[position:equals] if equals > 0 else ""
        if not key or not _is_key(key):
            end = _word_end(message, position)
            if last:
                found[last] = f"{found[last]} {message[position:end]}"[:MAX_VALUE]
            position = end
            continue
        value, position = _value(message, equals + 1)
        last = "" if key in found else key
        found.setdefault(key, value[:MAX_VALUE])
    return found


@lru_cache(maxsize=4096)
def _is_key(key: str) -> bool:
    return key.replace("_", "").replace("-", "").replace(".", "").isalnum() and not key[0].isdigit()


def _word_end(message: str, position: int) -> int:
    end = message.find(" ", position)
    return end if end >= 0 else len(message)


def _value(message: str, start: int) -> tuple[str, int]:
    """The value that starts there, and where it ends."""
    if message[start : start + 1] == '"':
        end = message.find('" ', start + 1)
        if end >= 0:
            return message[start + 1 : end], end + 1
        closed = message.rstrip()
        if len(closed) > start + 1 and closed[-1] == '"':
            return closed[start + 1 : -1], len(message)
    end = _word_end(message, start)
    return message[start:end], end
