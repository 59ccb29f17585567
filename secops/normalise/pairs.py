"""Messages made of ``key=value``, values bare or in quotes, as firewalls have written them since WELF."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from secops.normalise.schema import MAX_VALUE

_KEY: Final = 64  # characters of the longest key
_MOST: Final = 256  # pairs of one message
_WORDS: Final = 4096  # words of one message that are looked at


def read_pairs(message: str) -> dict[str, str]:
    """Split ``a=1 b="two words" c=three more d=4``: ``{"a": "1", "b": "two words", "c": "three more", "d": "4"}``.

    A quoted value ends with a quote that a space or the end follows, so quotes inside it, which vendors do not escape,
    are part of it. A bare word without ``=`` belongs to the value before it. Of a key that comes twice the first
    counts. Reads from left to right once; at most ``_MOST`` pairs.
    """
    found: dict[str, str] = {}
    position, size, last, begin = 0, len(message), "", 0
    for _ in range(_WORDS):
        while position < size and message[position] in " \t":
            position += 1
        if position >= size:
            break
        equals = message.find("=", position, position + _KEY + 1)
        key = message[position:equals] if equals > 0 else ""
        if key and _is_key(key) and len(found) < _MOST:
            value, position = _value(message, equals + 1)
            last, begin = ("" if key in found else key), equals + 1
            found.setdefault(key, value[:MAX_VALUE])
        else:
            position = _word_end(message, position)
            if last:  # a bare word: the value goes on
                found[last] = message[begin : min(position, begin + MAX_VALUE)]
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
