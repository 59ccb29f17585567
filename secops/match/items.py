"""One ``field|modifiers: values`` of a selection while its modifiers are applied, and what every modifier is.

A field's values start as patterns (text) or as numbers, booleans and null; each modifier of the chain turns the item
into the next one. What a modifier cannot be applied to is refused, never guessed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from secops.match.regex import Allowance
from secops.match.rule import Pattern
from secops.match.source import RuleError
from secops.match.text import literal_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_VALUES: Final = 20_000  # of one item after all modifiers
MAX_LENGTH: Final = 65_536  # characters of one value
MAX_CHARACTERS: Final = 4_000_000  # of all values of one item together


@dataclass(frozen=True, slots=True)
class Item:
    """One ``field|modifiers: values`` while its modifiers are applied."""

    line: int
    values: tuple[Any, ...]  # scalars and Patterns; Regex, Cidr, bytes ... once a modifier made them so
    placeholders: Mapping[str, tuple[str, ...]]
    field: str | None = None  # None: keywords
    names: tuple[str, ...] = ()  # of the modifiers, in order
    regexes: Allowance = dataclasses.field(default_factory=Allowance)

    def error(self, zh: str, en: str) -> RuleError:
        """A refusal at the item's line."""
        return RuleError(self.line, zh, en)

    def having(self, values: Iterable[object]) -> Item:
        """The item with other values.

        Raises:
            RuleError: there are too many, or they are too long; a modifier may make very many of a few.
        """
        kept: list[object] = []
        characters = 0
        for value in values:
            kept.append(value)
            length = _length(value)
            characters += length
            if length > MAX_LENGTH or characters > MAX_CHARACTERS or len(kept) > MAX_VALUES:
                raise self._too_much(length)
        return replace(self, values=tuple(kept))

    def _too_much(self, length: int) -> RuleError:
        if length > MAX_LENGTH:
            return self.error(f"取值长于 {MAX_LENGTH} 个字符", f"a value is longer than {MAX_LENGTH} characters")
        return self.error(
            f"取值超过 {MAX_VALUES} 个或共 {MAX_CHARACTERS} 个字符，请改用指标列表",
            f"more than {MAX_VALUES} values, or {MAX_CHARACTERS} characters in all: write an indicator list instead",
        )


def _length(value: object) -> int:
    if isinstance(value, Pattern):
        return sum(map(len, value.parts))
    return len(value) if isinstance(value, (str, bytes)) else 0


class Modifier:
    """A modifier; subclasses say in ``apply`` what it does to the item."""

    name: ClassVar[str] = ""

    def apply(self, item: Item) -> Item:
        """The item after this modifier; the usual case changes each value by itself."""
        return item.having(new for value in item.values for new in self.change(item, value))

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
