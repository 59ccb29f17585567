"""Modifiers that turn a text into other texts: placeholders, dashes, encodings."""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from secops.match.items import MAX_CHARACTERS, Item, Modifier
from secops.match.regex import quote
from secops.match.rule import Pattern, Wild
from secops.match.text import join_parts, parse_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DASHES: Final = ("-", "/", "–", "—", "―")
_DASH_AT_WORD: Final = re.compile(r"\B[-/–—―]\b")
_MOST_DASHES: Final = 6  # five to the sixth spellings of one value
_PLACEHOLDER: Final = re.compile(r"\\.|%(?P<name>[^%\s\\]+)%", re.DOTALL)
_ESCAPED_PERCENT: Final = re.compile(r"(\\\\)|\\%")


class Expand(Modifier):
    r"""``%name%`` in the value stands for each of the values that the name was given; ``\%`` is a percent sign.

    It is applied first wherever it is written, because only the text as written tells ``\%`` from ``%``. The values
    given may have wildcards; in a regular expression they are literal.
    """

    name = "expand"

    def change(self, item: Item, value: object) -> Iterable[object]:
        if not isinstance(value, str):
            return (value,)
        if "re" in item.names:
            texts = [list(map(quote, self._given(item, text))) if named else [text] for text, named in _split(value)]
            return map("".join, itertools.product(*texts))
        options = [self._given(item, text) if named else [_unescaped(text)] for text, named in _split(value)]
        parts = itertools.product(*(list(map(parse_pattern, texts)) for texts in options))
        return (Pattern(join_parts(*chosen)) for chosen in parts)

    @staticmethod
    def _given(item: Item, name: str) -> tuple[str, ...]:
        if not item.placeholders.get(name):
            raise item.error(
                f"占位符 %{name}% 没有取值，请在设置中给出",
                f"placeholder %{name}% has no values: set them in the settings",
            )
        return item.placeholders[name]


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """(text as written, False) and (name of a placeholder, True), in turn."""
    start = 0
    for found in _PLACEHOLDER.finditer(text):
        if found["name"] is not None:
            yield text[start : found.start()], False
            yield found["name"], True
            start = found.end()
    yield text[start:], False


def _unescaped(text: str) -> str:
    return _ESCAPED_PERCENT.sub(lambda found: found[1] or "%", text)


class WinDash(Modifier):
    """A dash before a word also stands for a slash and for the typographic dashes, and the other way round."""

    name = "windash"

    def change(self, item: Item, value: object) -> Iterable[object]:
        pattern = self.pattern(item, value)
        pieces: list[list[str]] = [
            [part] if isinstance(part, Wild) else _DASH_AT_WORD.split(part) for part in pattern.parts
        ]
        dashes = sum(len(each) - 1 for each in pieces)
        if dashes > _MOST_DASHES or len(_DASHES) ** dashes * sum(map(len, pattern.parts)) > MAX_CHARACTERS:
            raise item.error(
                f"windash 的取值最多含 {_MOST_DASHES} 个短横线，请拆成多个取值",
                f"modifier windash: a value has more than {_MOST_DASHES} dashes: write it as several values",
            )
        spelt = itertools.product(*(list(_spellings(each)) for each in pieces))
        return (replace(pattern, parts=parts) for parts in spelt)


def _spellings(pieces: list[str]) -> Iterator[str]:
    """The pieces joined by each choice of dashes; a wildcard is one piece and stays itself."""
    if len(pieces) == 1:
        yield pieces[0]
        return
    for dashes in itertools.product(_DASHES, repeat=len(pieces) - 1):
        yield pieces[0] + "".join(map("".join, zip(dashes, pieces[1:], strict=True)))


class _Encoding(Modifier):
    codec: ClassVar[str] = "utf-16-le"
    prefix: ClassVar[bytes] = b""

    def change(self, item: Item, value: object) -> Iterable[object]:
        pattern = self.pattern(item, value)
        if any(isinstance(part, Wild) for part in pattern.parts):
            mark = (self.prefix.decode("latin-1"),) if self.prefix else ()
            encoded = (
                part if isinstance(part, Wild) else self._bytes(part).decode("latin-1") for part in pattern.parts
            )
            return (replace(pattern, parts=join_parts(mark, tuple(encoded))),)
        return (self.prefix + self._bytes(self.literal(item, pattern)),)

    def _bytes(self, text: str) -> bytes:
        return text.encode(self.codec, "surrogatepass")


class Wide(_Encoding):
    """UTF-16, little-endian."""

    name = "wide"


class Utf16Le(_Encoding):
    """UTF-16, little-endian."""

    name = "utf16le"


class Utf16Be(_Encoding):
    """UTF-16, big-endian."""

    name = "utf16be"
    codec = "utf-16-be"


class Utf16(_Encoding):
    """UTF-16, little-endian, with a byte order mark."""

    name = "utf16"
    prefix = b"\xff\xfe"


class Base64(Modifier):
    """The value as Base64."""

    name = "base64"

    def change(self, item: Item, value: object) -> Iterable[object]:
        return (Pattern((base64.b64encode(self.bytes(item, value)).decode(),)),)

    def bytes(self, item: Item, value: object) -> bytes:
        """The bytes to encode."""
        return value if isinstance(value, bytes) else self.literal(item, value).encode("utf-8", "surrogatepass")


class Base64Offset(Base64):
    """The parts of the Base64 text that the value alone decides, at each of the three possible offsets."""

    name = "base64offset"

    def change(self, item: Item, value: object) -> Iterable[object]:
        data = self.bytes(item, value)
        for offset in range(3):
            encoded = base64.b64encode(b" " * offset + data).decode()
            start, cut = (0, 2, 3)[offset], (0, 3, 2)[(len(data) + offset) % 3]
            if text := encoded[start : len(encoded) - cut]:
                yield Pattern((text,))


SPELLINGS: Final = (Expand, WinDash, Wide, Utf16Le, Utf16Be, Utf16, Base64, Base64Offset)
