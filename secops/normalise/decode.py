from __future__ import annotations

import re
from typing import Final

GB18030: Final = "gb18030"
_BOM = "\ufeff"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")  # one character class: linear
_BINARY_SHARE = 10  # a message with more than one control character in ten is not text


class UndecodableError(ValueError):
    """The bytes are not text in any charset that we read."""


def decode(raw: bytes, shown: str = "\\x{:02x}") -> tuple[str, str]:
    """Give the text of ``raw`` and its charset ("" for UTF-8): UTF-8 first, then GB18030, common in China.

    A byte order mark and trailing NULs and line ends go; other control characters become visible escapes, so that a
    log line cannot drive a terminal or hide its tail; ``shown`` is the form of the escapes.

    Raises:
        UndecodableError: it is binary.
    """
    try:
        text, charset = raw.decode(), ""
    except UnicodeDecodeError:
        text, charset = _gb18030(raw), GB18030
    return (text if text.isprintable() else clean(text, shown)), charset  # a byte order mark is not printable


def decode_json(raw: bytes) -> tuple[str, str]:
    """Decode a JSON document: JSON allows no control characters, so whole ASCII ones need no look at each character.

    Raises:
        UndecodableError: it is binary.
    """
    if raw.isascii() and raw[-1:] in {b"}", b"]"} and b"\x7f" not in raw:
        return raw.decode("ascii"), ""
    return decode(raw, "\\u{:04x}")  # DEL and what follows it may stand in JSON as it is, and must still be JSON then


def _gb18030(raw: bytes) -> str:
    try:
        return raw.decode(GB18030)
    except UnicodeDecodeError as error:
        raise UndecodableError(f"neither UTF-8 nor GB18030: byte {error.start} does not fit") from error


def clean(text: str, shown: str = "\\x{:02x}") -> str:
    """Escape control characters other than tab and line ends, and strip a byte order mark and what trails.

    Raises:
        UndecodableError: more than a tenth of it is control characters.
    """
    text = text.removeprefix(_BOM).rstrip("\x00\r\n")
    escaped, count = _CONTROLS.subn(lambda found: shown.format(ord(found[0])), text)
    if count * _BINARY_SHARE > len(text):
        raise UndecodableError(f"binary: {count} of {len(text)} characters are control characters")
    return escaped


def escape(raw: bytes, limit: int) -> str:
    """Give the first ``limit`` bytes as text that anybody can look at: what is not printable becomes an escape."""
    text = raw[:limit].decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def _shown(character: str) -> str:
    if character.isprintable() or character in "\t\n":
        return character
    return character.encode("unicode_escape").decode("ascii")
