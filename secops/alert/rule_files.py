"""Reads rules/alert/*.yaml: what inhibits what, what weighs how much, the tactics and techniques of ATT&CK. Every complaint names file and line."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from secops.alert import matchers
from secops.alert.attack import Tactic, Technique
from secops.alert.mute import Inhibition
from secops.alert.severity import GRADE_WEIGHT, Entry, Network, Weights
from secops.errors import UserError
from secops.yamlfile import Node, read

if TYPE_CHECKING:
    from pathlib import Path

CODE: Final = "alert.file"
_HEAVIEST: Final = 4  # steps of the scale


def load_inhibitions(file: Path) -> tuple[Inhibition, ...]:
    """Read inhibition rules.

    Raises:
        UserError: ``alert.file``.
    """
    found: dict[str, Inhibition] = {}
    for item in read(file, CODE).fields(("inhibitions",))["inhibitions"].items():
        one = _inhibition(item)
        if one.name in found:
            item.fail(f"“{one.name}”重复", f"{one.name!r} is given twice")
        found[one.name] = one
    return tuple(found.values())


def load_weights(file: Path) -> Weights:
    """Read what weighs.

    Raises:
        UserError: ``alert.file``.
    """
    root = read(file, CODE).fields((), ("assets", "tenants", "tags"))
    return Weights(
        assets=tuple(_entry(item, ("hosts", "networks")) for item in _items(root.get("assets"))),
        tenants=tuple(_entry(item, ("tenants",)) for item in _items(root.get("tenants"))),
        tags=tuple(_entry(item, ("tags",)) for item in _items(root.get("tags"))),
    )


def load_tactics(file: Path) -> tuple[Tactic, ...]:
    """Read the tactics of ATT&CK.

    Raises:
        UserError: ``alert.file``.
    """
    items = [
        item.fields(("id", "tag", "zh", "en"), ("older",))
        for item in read(file, CODE).fields(("tactics",))["tactics"].items()
    ]
    return tuple(_tactic(item) for item in items)


def _tactic(item: dict[str, Node]) -> Tactic:
    id_, tag, zh, en = (item[name].text() for name in ("id", "tag", "zh", "en"))
    return Tactic(id_, tag, zh, en, tuple(item["older"].texts()) if "older" in item else ())


def load_techniques(file: Path) -> dict[str, Technique]:
    """Read what techniques of ATT&CK are called, by id.

    Raises:
        UserError: ``alert.file``.
    """
    found: dict[str, Technique] = {}
    for item in read(file, CODE).fields(("techniques",))["techniques"].items():
        fields = item.fields(("id", "zh", "en"))
        one = Technique(*(fields[name].text() for name in ("id", "zh", "en")))
        if one.id in found:
            item.fail(f"{one.id} 重复", f"{one.id} is given twice")
        found[one.id] = one
    return found


def _items(node: Node | None) -> list[Node]:
    return node.items() if node is not None else []


def _inhibition(node: Node) -> Inhibition:
    fields = node.fields(("name", "source", "target", "equal", "within_minutes", "zh", "en"))
    return Inhibition(
        name=fields["name"].text(),
        source=_matchers(fields["source"]),
        target=_matchers(fields["target"]),
        equal=fields["equal"].texts(),
        within=timedelta(minutes=fields["within_minutes"].whole()),
        zh=fields["zh"].text(),
        en=fields["en"].text(),
    )


def _matchers(node: Node) -> tuple[matchers.Matcher, ...]:
    try:
        return tuple(matchers.read(text) for text in node.texts())
    except UserError as error:
        node.fail(error.zh, error.en)


def _entry(node: Node, what: tuple[str, ...]) -> Entry:
    fields = node.fields(("zh", "en"), (*what, "weight", "grade"))
    if not any(name in fields for name in what):
        node.fail(f"须写明 {'、'.join(what)} 之一", f"one of {', '.join(what)} is needed")

    def texts(name: str) -> tuple[str, ...]:
        return fields[name].texts() if name in fields else ()

    return Entry(
        zh=fields["zh"].text(),
        en=fields["en"].text(),
        weight=_weight(node, fields),
        hosts=texts("hosts"),
        networks=tuple(_network(fields["networks"], text) for text in texts("networks")),
        tenants=texts("tenants"),
        tags=texts("tags"),
    )


def _weight(node: Node, fields: dict[str, Node]) -> int:
    if "weight" in fields:
        text = fields["weight"].text()
        if text.removeprefix("-") not in {str(number) for number in range(_HEAVIEST + 1)}:
            fields["weight"].fail("权重为 -4 到 4 的整数", "a weight is a whole number from -4 to 4")
        return int(text)
    if "grade" not in fields:
        node.fail("须写明 weight 或 grade", "weight or grade is needed")
    if fields["grade"].whole() not in GRADE_WEIGHT:
        fields["grade"].fail("定级为 1 到 4", "a grade is 1 to 4")
    return GRADE_WEIGHT[fields["grade"].whole()]


def _network(node: Node, text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        node.fail(f"“{text}”不是网段：{error}", f"{text!r} is not a network: {error}")
