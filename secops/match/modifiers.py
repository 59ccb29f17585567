"""Modifiers that say how a value is compared, and the table of all modifiers by name."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from secops.match.items import Item, Modifier
from secops.match.regex import check_regex
from secops.match.rule import Cidr, Compare, Exists, FieldRef, Pattern, Regex, TimePart, Wild
from secops.match.spellings import SPELLINGS
from secops.match.text import join_parts, number_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secops.match.rule import Test

MANY: Final = (Wild.MANY,)


class _Affix(Modifier):
    before: ClassVar[tuple[str, ...]] = ()
    after: ClassVar[tuple[str, ...]] = ()
    anchors: ClassVar[tuple[str, str]] = ("", "")  # around a regular expression, which is searched for anyway

    def change(self, item: Item, value: object) -> Iterable[object]:
        if isinstance(value, FieldRef):
            return (replace(value, relation=self.name),)
        if isinstance(value, Regex):
            return (replace(value, pattern=f"{self.anchors[0]}(?:{value.pattern}){self.anchors[1]}"),)
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
    anchors = (r"\A", "")


class EndsWith(_Affix):
    """The field ends with the value."""

    name = "endswith"
    before = MANY
    anchors = ("", r"\z")


class _Linking(Modifier):
    def apply(self, item: Item) -> Item:
        return item


class All(_Linking):
    """Every value must be there, instead of any; of the texts that a modifier makes of one value, one is enough."""

    name = "all"


class Neq(_Linking):
    """The field has none of the values (with ``all``: not all of them); an absent field has none."""

    name = "neq"


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
        return (Regex(text),)


class _RegexFlag(Modifier):
    def change(self, item: Item, value: object) -> Iterable[object]:
        if not isinstance(value, Regex):
            raise item.error(f"修饰符 {self.name} 只能跟在 re 之后", f"modifier {self.name} may only follow re")
        return (replace(value, flags="".join(sorted({*value.flags, self.name[0]}))),)


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


class ExistsModifier(Modifier):
    """The field is, or is not, there."""

    name = "exists"

    def change(self, item: Item, value: object) -> Iterable[object]:
        if not isinstance(value, bool) or item.field is None:
            raise self.refuse(item, value)
        return (Exists(value),)


_WIDEST: Final = 1 << 63  # whole numbers that JSON keeps exactly


class _Comparison(Modifier):
    def change(self, item: Item, value: object) -> Iterable[object]:
        if isinstance(value, TimePart):
            return (replace(value, operator=self.name),)
        number = number_of(self.literal(item, value))
        if number is None:
            raise self.refuse(item, value)
        return (Compare(self.name, number if abs(number) < _WIDEST else float(number)),)


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
        before = item.names[: item.names.index(self.name)]
        affix = next((kind for kind in (Contains, StartsWith, EndsWith) if kind.name in before), None)
        if affix is None or not isinstance(value, Pattern):
            return (FieldRef(self.literal(item, value)),)
        inner = value.parts[len(affix.before) : len(value.parts) - len(affix.after)]
        return (FieldRef(self.literal(item, Pattern(inner)), affix.name, value.cased),)


class _TimePartModifier(Modifier):
    least: ClassVar[int] = 1
    most: ClassVar[int] = 9999

    def change(self, item: Item, value: object) -> Iterable[object]:
        number = number_of(self.literal(item, value))
        if not isinstance(number, int):
            raise self.refuse(item, value)
        if not self.least <= number <= self.most:
            raise item.error(
                f"{self.name} 应在 {self.least} 到 {self.most} 之间",
                f"modifier {self.name}: a number from {self.least} to {self.most} is expected",
            )
        return (TimePart(self.name, number),)


class Minute(_TimePartModifier):
    """Minute of the hour."""

    name = "minute"
    least = 0
    most = 59


class Hour(_TimePartModifier):
    """Hour of the day, 0 to 23."""

    name = "hour"
    least = 0
    most = 23


class Day(_TimePartModifier):
    """Day of the month."""

    name = "day"
    most = 31


class Week(_TimePartModifier):
    """ISO week of the year."""

    name = "week"
    most = 53


class Month(_TimePartModifier):
    """Month of the year."""

    name = "month"
    most = 12


class Year(_TimePartModifier):
    """Year."""

    name = "year"


_CLASSES: Final = (
    Contains, StartsWith, EndsWith, All, Neq, Cased, Re, IgnoreCase, Multiline, DotAll, CidrModifier, ExistsModifier,
    Lt, Lte, Gt, Gte, FieldRefModifier, Minute, Hour, Day, Week, Month, Year,
)  # fmt: skip
MODIFIERS: Final[Mapping[str, Callable[[], Modifier]]] = {
    **{kind.name: kind for kind in (*_CLASSES, *SPELLINGS)},
    "ignorecase": IgnoreCase,  # this and the next two: pySigma's names for i, m and s
    "multiline": Multiline,
    "dotall": DotAll,
}


def finish(item: Item, value: object) -> Test:
    """The test that a value amounts to after the whole chain of modifiers."""
    if isinstance(value, bytes):
        return Pattern((value.decode("latin-1"),))
    if isinstance(value, Regex):
        check_regex(value.pattern, value.flags, item.line, item.regexes)
    if isinstance(value, (Pattern, Regex, Cidr, Compare, Exists, FieldRef, TimePart)):
        return value
    if isinstance(value, float):
        return Compare("eq", value)  # 1.0 is 1, and 1.10 is 1.1, whatever the spelling
    text = text_of(value)
    if text is None:
        raise item.error(f"取值类型无法识别：{value!r}", f"cannot use {value!r} as a value")
    return Pattern((text,) if text else ())
