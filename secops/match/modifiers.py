"""Sigma's value modifiers: one class per modifier, one table of their names.

A field's values start as patterns (text) or as numbers, booleans and null; each modifier of the chain turns the item
into the next one. What a modifier cannot be applied to is refused, never guessed.
"""

from __future__ import annotations

import base64
import ipaddress
import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from secops.match.regex import check_regex
from secops.match.rule import Cidr, Compare, Exists, FieldRef, Pattern, Regex, TimePart, Wild
from secops.match.source import RuleError
from secops.match.text import join_parts, literal_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secops.match.rule import Test

MANY: Final = (Wild.MANY,)
_DASHES: Final = ("-", "/", "–", "—", "―")
_DASH_AT_WORD: Final = re.compile(r"\B[-/]\b")
_PRODUCT_LIMIT: Final = 2  # with more dashes than this in one value, all of them change together
_PLACEHOLDER: Final = re.compile(r"%([^%\s]+)%")


@dataclass(frozen=True, slots=True)
class Item:
    """One ``field|modifiers: values`` while its modifiers are applied."""

    line: int
    values: tuple[Any, ...]  # raw scalars until `tests` is asked for; Pattern, Regex, ... once a modifier made them so
    placeholders: Mapping[str, tuple[str, ...]]
    all: bool = False
    negated: bool = False

    def error(self, zh: str, en: str) -> RuleError:
        """A refusal at the item's line."""
        return RuleError(self.line, zh, en)


class Modifier:
    """A modifier; subclasses say in ``apply`` what it does to the item."""

    name: ClassVar[str] = ""

    def apply(self, item: Item) -> Item:
        """The item after this modifier; the usual case changes each value by itself."""
        return replace(item, values=tuple(new for value in item.values for new in self.change(item, value)))

    def change(self, item: Item, value: object) -> Iterable[object]:
        """What one value becomes."""
        raise self.refuse(item, value)

    def refuse(self, item: Item, value: object) -> RuleError:
        """The refusal of a value that this modifier is not defined for."""
        shown = repr(value)[:60]
        return item.error(f"修饰符 {self.name} 不能用于 {shown}", f"modifier {self.name} cannot be applied to {shown}")

    def pattern(self, item: Item, value: object) -> Pattern:
        """The value as a pattern, or a refusal."""
        if isinstance(value, Pattern):
            return value
        text = text_of(value)
        if text is None or isinstance(value, bool):
            raise self.refuse(item, value)
        return Pattern((text,) if text else ())

    def literal(self, item: Item, value: object) -> str:
        """The value as text without wildcards, or a refusal."""
        text = literal_of(self.pattern(item, value).parts)
        if text is None:
            raise item.error(
                f"修饰符 {self.name} 的取值不能含通配符", f"modifier {self.name}: the value must not have wildcards"
            )
        return text


class _Affix(Modifier):
    before: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()

    def change(self, item: Item, value: object) -> Iterable[object]:
        if isinstance(value, FieldRef):
            return (replace(value, relation=self.name),)
        if isinstance(value, bytes):
            value = Pattern((value.decode("latin-1"),))
        pattern = self.pattern(item, value)
        return (replace(pattern, parts=join_parts(self.before, pattern.parts, self.after)),)


class Contains(_Affix):
    """The value stands anywhere in the field."""

    name = "contains"
    before = after = MANY


class StartsWith(_Affix):
    """The field begins with the value."""

    name = "startswith"
    after = MANY


class EndsWith(_Affix):
    """The field ends with the value."""

    name = "endswith"
    before = MANY


class All(Modifier):
    """Every value must be there, instead of any."""

    name = "all"

    def apply(self, item: Item) -> Item:
        return replace(item, all=True)


class Neq(Modifier):
    """The field has none of the values; an absent field has none."""

    name = "neq"

    def apply(self, item: Item) -> Item:
        return replace(item, negated=True)


class Cased(Modifier):
    """Case matters."""

    name = "cased"

    def change(self, item: Item, value: object) -> Iterable[object]:
        if isinstance(value, FieldRef):
            return (replace(value, cased=True),)
        return (replace(self.pattern(item, value), cased=True),)


class Re(Modifier):
    """The value is a regular expression."""

    name = "re"

    def change(self, item: Item, value: object) -> Iterable[object]:
        text = text_of(value)
        if text is None or isinstance(value, bool):
            raise self.refuse(item, value)
        check_regex(text, "", item.line)
        return (Regex(text),)


class _RegexFlag(Modifier):
    def change(self, item: Item, value: object) -> Iterable[object]:
        if not isinstance(value, Regex):
            raise item.error(f"修饰符 {self.name} 只能跟在 re 之后", f"modifier {self.name} may only follow re")
        flagged = replace(value, flags="".join(sorted({*value.flags, self.name[0]})))
        check_regex(flagged.pattern, flagged.flags, item.line)
        return (flagged,)


class IgnoreCase(_RegexFlag):
    """The regular expression ignores case."""

    name = "i"


class Multiline(_RegexFlag):
    """``^`` and ``$`` match at lines."""

    name = "m"


class DotAll(_RegexFlag):
    """``.`` matches a line feed too."""

    name = "s"


class CidrModifier(Modifier):
    """The field is an address in the network."""

    name = "cidr"

    def change(self, item: Item, value: object) -> Iterable[object]:
        text = self.literal(item, value)
        try:
            return (Cidr(str(ipaddress.ip_network(text, strict=False))),)
        except ValueError as error:
            raise item.error(f"{text!r} 不是网段", f"{text!r} is not a network: {error}") from error


class WinDash(Modifier):
    """A dash before a word also stands for a slash and for the typographic dashes, and the other way round."""

    name = "windash"

    def change(self, item: Item, value: object) -> Iterable[object]:
        pattern = self.pattern(item, value)
        options = [self._variants(part) if not isinstance(part, Wild) else (part,) for part in pattern.parts]
        return tuple(dict.fromkeys(replace(pattern, parts=parts) for parts in itertools.product(*options)))

    @staticmethod
    def _variants(text: str) -> tuple[str, ...]:
        pieces = _split_dashes(text)
        count = len(pieces) - 1
        if count == 0:
            return (text,)
        if count > _PRODUCT_LIMIT:
            return (text, *(dash.join(pieces) for dash in _DASHES))
        choices = itertools.product(_DASHES, repeat=count)
        return tuple(pieces[0] + "".join(map("".join, zip(chosen, pieces[1:], strict=True))) for chosen in choices)


def _split_dashes(text: str) -> list[str]:
    return _DASH_AT_WORD.split(text)


class _Encoding(Modifier):
    codec: ClassVar[str] = "utf-16-le"
    prefix: ClassVar[bytes] = b""

    def change(self, item: Item, value: object) -> Iterable[object]:
        return (self.prefix + self.literal(item, value).encode(self.codec),)


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
        return value if isinstance(value, bytes) else self.literal(item, value).encode()


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


class ExistsModifier(Modifier):
    """The field is, or is not, there."""

    name = "exists"

    def change(self, item: Item, value: object) -> Iterable[object]:
        if not isinstance(value, bool):
            raise self.refuse(item, value)
        return (Exists(value),)


class _Comparison(Modifier):
    def change(self, item: Item, value: object) -> Iterable[object]:
        if isinstance(value, TimePart):
            raise self.refuse(item, value)
        try:
            number = float(self.literal(item, value))
        except ValueError as error:
            raise self.refuse(item, value) from error
        if not math.isfinite(number):
            raise self.refuse(item, value)
        return (Compare(self.name, number),)


class Lt(_Comparison):
    """Less than."""

    name = "lt"


class Lte(_Comparison):
    """Less than or equal."""

    name = "lte"


class Gt(_Comparison):
    """Greater than."""

    name = "gt"


class Gte(_Comparison):
    """Greater than or equal."""

    name = "gte"


class FieldRefModifier(Modifier):
    """The value is the name of another field."""

    name = "fieldref"

    def change(self, item: Item, value: object) -> Iterable[object]:
        relation = "equals"
        if isinstance(value, Pattern):
            for affix in (Contains, StartsWith, EndsWith):
                inner = value.parts[len(affix.before) : len(value.parts) - len(affix.after)]
                if len(inner) == 1 and value.parts == (*affix.before, *inner, *affix.after):
                    return (FieldRef(self.literal(item, Pattern(inner)), affix.name, value.cased),)
        return (FieldRef(self.literal(item, value), relation),)


class Expand(Modifier):
    """``%name%`` in the value stands for each of the values that the name was given."""

    name = "expand"

    def change(self, item: Item, value: object) -> Iterable[object]:
        pattern = self.pattern(item, value)
        options: list[list[tuple[str, ...]]] = []
        for part in pattern.parts:
            pieces = [part] if isinstance(part, Wild) else _PLACEHOLDER.split(part)
            for index, piece in enumerate(pieces):
                options.append(self._values(item, piece) if index % 2 else [(piece,)] if piece else [()])
        return tuple(replace(pattern, parts=join_parts(*parts)) for parts in itertools.product(*options))

    def _values(self, item: Item, name: str) -> list[tuple[str, ...]]:
        if not item.placeholders.get(name):
            raise item.error(
                f"占位符 %{name}% 没有取值，请在设置中给出",
                f"placeholder %{name}% has no values: set them in the settings",
            )
        return [(text,) for text in item.placeholders[name]]


class _TimePartModifier(Modifier):
    def change(self, item: Item, value: object) -> Iterable[object]:
        text = self.literal(item, value)
        if not text.isascii() or not text.isdigit():
            raise self.refuse(item, value)
        return (TimePart(self.name, int(text)),)


class Minute(_TimePartModifier):
    """Minute of the hour."""

    name = "minute"


class Hour(_TimePartModifier):
    """Hour of the day, 0 to 23."""

    name = "hour"


class Day(_TimePartModifier):
    """Day of the month."""

    name = "day"


class Week(_TimePartModifier):
    """ISO week of the year."""

    name = "week"


class Month(_TimePartModifier):
    """Month of the year."""

    name = "month"


class Year(_TimePartModifier):
    """Year."""

    name = "year"


_CLASSES: Final = (
    Contains, StartsWith, EndsWith, All, Neq, Cased, Re, IgnoreCase, Multiline, DotAll, CidrModifier, WinDash, Wide,
    Utf16Le, Utf16Be, Utf16, Base64, Base64Offset, ExistsModifier, Lt, Lte, Gt, Gte, FieldRefModifier, Expand, Minute,
    Hour, Day, Week, Month, Year,
)  # fmt: skip
MODIFIERS: Final[Mapping[str, Callable[[], Modifier]]] = {kind.name: kind for kind in _CLASSES}
RAW_FIRST: Final = frozenset({"re"})  # modifiers that take the text as written, before wildcards are looked for


def finish(item: Item, value: object) -> Test:
    """The test that a value amounts to after the whole chain of modifiers."""
    if isinstance(value, bytes):
        return Pattern((value.decode("latin-1"),))
    if isinstance(value, (Pattern, Regex, Cidr, Compare, Exists, FieldRef, TimePart)):
        return value
    text = text_of(value)
    if text is None:
        raise item.error(f"取值类型无法识别：{value!r}", f"cannot use {value!r} as a value")
    return Pattern((text,) if text else ())
