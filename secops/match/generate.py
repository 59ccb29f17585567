"""Turns a rule's expression into one Python function that confirms a candidate.

The function takes two views of the event, ``t`` (field -> text or None) and ``f`` (field -> folded text or ""), and the
event itself. It is exact for events whose fields are scalars, or lists of one; a view that meets a longer list raises
``ManyValued`` and the plain meaning in ``atoms`` decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from secops.match.atoms import atom_holds, glob, text_test
from secops.match.rule import And, Atom, Exists, FieldRef, IsNull, Not, Or, Pattern, Regex, Wild
from secops.match.text import fold, fold_parts, literal_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from secops.match.rule import Expression

Confirm: TypeAlias = "Callable[[Mapping[str, str | None], Mapping[str, str], Mapping[str, Any]], bool]"


class ManyValued(Exception):  # noqa: N818 - not an error: the plain evaluation takes over
    """A field of the event holds a list or a mapping."""


class Texts(dict[str, "str | None"]):
    """Field -> its text, made when first asked for."""

    __slots__ = ("_event",)

    def __init__(self, event: Mapping[str, Any]) -> None:
        super().__init__()
        self._event = event

    def __missing__(self, field: str) -> str | None:
        value = self._event.get(field)
        if type(value) is list and len(value) == 1:
            value = value[0]  # a list of one value, as ECS writes categories, is tested like the value
        if isinstance(value, (list, dict)):
            raise ManyValued
        text = self[field] = text_of(value)
        return text


class Folded(dict[str, str]):
    """Field -> its folded text, "" where there is none, made when first asked for."""

    __slots__ = ("_texts",)

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self._texts = texts

    def __missing__(self, field: str) -> str:
        text = self[field] = fold(self._texts[field] or "")
        return text


def generate(expression: Expression) -> Confirm:
    """The confirming function of an expression."""
    writer = _Writer()
    body = writer.write(expression)
    source = f"def confirm(t, f, e):\n    return {body}\n"
    exec(compile(source, "<rule>", "exec"), writer.names)  # noqa: S102 - written here from checked parts, texts by repr
    confirm: Confirm = writer.names["confirm"]
    return confirm


class _Writer:
    """Writes expressions; what cannot stand in the source is named in ``names``."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {"__builtins__": {"any": any, "map": map}}

    def write(self, expression: Expression) -> str:
        if isinstance(expression, Atom):
            return self._atom(expression)
        if isinstance(expression, Not):
            return f"not ({self.write(expression.child)})"
        if isinstance(expression, And):
            if not expression.children:
                return "True"
            return " and ".join(f"({self.write(child)})" for child in sorted(expression.children, key=_cost))
        return self._or(expression.children)

    def _or(self, children: Iterable[Expression]) -> str:
        """Alternatives; those that compare one field with literals share one comparison."""
        sets: dict[tuple[str, str], list[str]] = {}
        rest: list[Expression] = []
        for child in children:
            shape = _shape(child)
            if shape is None:
                rest.append(child)
            else:
                kind, view, literal = shape
                sets.setdefault((kind, view), []).append(literal)
        terms = [self._set(kind, view, literals) for (kind, view), literals in sets.items()]
        terms += [self.write(child) for child in sorted(rest, key=_cost)]
        return " or ".join(f"({term})" for term in terms) or "False"

    def _set(self, kind: str, view: str, literals: list[str]) -> str:
        if len(literals) == 1:
            return _comparison(kind, view, literals[0])
        if kind == "equals":
            return f"{view} in {self._name(frozenset(literals))}"
        if kind == "contains":
            if len(literals) > 8:  # noqa: PLR2004 - from here on the loop in C is faster than the chain
                return f"any(map({view}.__contains__, {self._name(tuple(literals))}))"
            return " or ".join(_comparison(kind, view, literal) for literal in literals)
        return f"{view}.{kind}({self._name(tuple(literals))})"

    def _atom(self, atom: Atom) -> str:
        shape = _shape(atom)
        if shape is not None:
            return _comparison(*shape)
        field, test = repr(atom.field), atom.test
        if atom.field is None or isinstance(test, (FieldRef, Exists)):
            return f"{self._name(atom_holds)}({self._name(atom)}, e)"
        if isinstance(test, IsNull):
            return f"t[{field}] is None and e.get({field}) is None"
        if isinstance(test, Pattern):
            return self._pattern(field, test)
        return f"t[{field}] is not None and {self._name(text_test(test))}(t[{field}])"

    def _pattern(self, field: str, test: Pattern) -> str:
        if test.parts == (Wild.MANY,):
            return f"t[{field}] is not None"
        if not test.parts:
            return f"t[{field}] == ''"
        view = "t" if test.cased else "f"
        matches = self._name(glob(test.parts if test.cased else fold_parts(test.parts)))
        return f"t[{field}] is not None and {matches}({view}[{field}])"

    def _name(self, value: object) -> str:
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name


def _shape(expression: Expression) -> tuple[str, str, str] | None:
    """(kind, view expression, literal) of an atom that compares one field with one literal, else None."""
    if not isinstance(expression, Atom) or expression.field is None or not isinstance(expression.test, Pattern):
        return None
    test = expression.test
    parts = test.parts if test.cased else fold_parts(test.parts)
    view = f"(t[{expression.field!r}] or '')" if test.cased else f"f[{expression.field!r}]"
    if (literal := literal_of(parts)) is not None:
        return ("equals", view, literal) if literal else None
    literals = [part for part in parts if not isinstance(part, Wild)]
    if len(literals) != 1 or Wild.ONE in parts:
        return None
    first, last = parts[0] is Wild.MANY, parts[-1] is Wild.MANY
    return ("contains" if first and last else "endswith" if first else "startswith", view, literals[0])


def _comparison(kind: str, view: str, literal: str) -> str:
    if kind == "equals":
        return f"{view} == {literal!r}"
    return f"{literal!r} in {view}" if kind == "contains" else f"{view}.{kind}({literal!r})"


def _cost(expression: Expression) -> int:
    """Cheap tests first; the order of evaluation does not change the meaning."""
    if isinstance(expression, Not):
        return _cost(expression.child)
    if isinstance(expression, (And, Or)):
        return max(map(_cost, expression.children)) + 1
    if expression.field is None:
        return 100
    return 50 if isinstance(expression.test, Regex) else 1 if isinstance(expression.test, Pattern) else 10
