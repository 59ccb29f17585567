"""Keeps understood rules on disk, so that thousands of YAML files need not be read anew at every start.

The file is JSON (nothing in it can run), named by a digest of everything that went in: the content and names of the rule
files, the placeholders, whom folders are for, and this module's format. A changed file gives another name; what cannot
be read is read from YAML again.
"""

from __future__ import annotations

import gc
import hashlib
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.match.kind import kinds
from secops.match.load import list_files, load_rules, rule_files
from secops.match.rule import (
    And,
    Atom,
    Cidr,
    Compare,
    Correlation,
    CorrelationType,
    Detection,
    Examples,
    Exists,
    FieldRef,
    IsNull,
    Listed,
    LogSource,
    Not,
    Or,
    Pattern,
    Refusal,
    Regex,
    Rule,
    RuleSet,
    TimePart,
    Watch,
    Wild,
)
from secops.match.scan import is_ours, write_whole
from secops.records import Level, RuleInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from secops.match.rule import Expression, Test

FORMAT: Final = 7  # raise when the meaning of a stored rule, or of reading one, changes

_KINDS: Final[Mapping[str, type[Any]]] = {
    "re": Regex, "cidr": Cidr, "num": Compare, "null": IsNull, "exists": Exists, "ref": FieldRef, "time": TimePart,
    "list": Listed,
}  # fmt: skip
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_WILD: Final = (Wild.MANY, Wild.ONE)


def load_stored(
    paths: Sequence[Path],
    directory: Path,
    *,
    placeholders: Mapping[str, tuple[str, ...]] | None = None,
    tenants: Mapping[str, str] | None = None,
) -> RuleSet:
    """The rules under the paths, as ``load_rules`` gives them; from ``directory`` when nothing has changed."""
    file = directory / f"{_digest(paths, placeholders or {}, tenants or {})}.rules"
    with _uncollected():
        if is_ours(file):
            try:
                return decode(file.read_bytes(), tuple(paths))
            except (OSError, ValueError, KeyError, TypeError, IndexError):
                pass  # of another version, or spoilt: read anew and stored over
        found = load_rules(paths, placeholders=placeholders, tenants=tenants)
    with suppress(TypeError):  # of what JSON has no room for; a store that cannot be written is no loss
        write_whole(file, encode(found))
    return found


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector still: it would go through hundreds of thousands of objects that all stay, again and again.

    With 3,650 rules, reading takes 0.4 s in place of 2.0 s.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _digest(paths: Sequence[Path], placeholders: Mapping[str, tuple[str, ...]], tenants: Mapping[str, str]) -> str:
    asked = orjson.dumps([dict(placeholders), dict(tenants)], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.sha256(b"%d %s" % (FORMAT, asked))
    for file in rule_files(paths):
        try:
            data = file.read_bytes()
        except OSError:
            data = b""
        digest.update(b"%d:%s%d:" % (len(bytes(file)), bytes(file), len(data)))
        digest.update(data)
    for file in list_files(paths):  # may be large: told apart by size and time
        seen = file.stat()
        digest.update(b"%d:%s%d:%d:" % (len(bytes(file)), bytes(file), seen.st_size, seen.st_mtime_ns))
    return digest.hexdigest()


def encode(found: RuleSet) -> bytes:
    """A rule set as JSON."""
    return orjson.dumps(
        {
            "files": found.files,
            "refused": [[each.file, each.line, each.rule_id, each.zh, each.en] for each in found.refused],
            "rules": [_rule(rule) for rule in found.rules],
        }
    )


def decode(data: bytes, roots: tuple[Path, ...]) -> RuleSet:
    """A rule set from what ``encode`` made.

    Raises:
        ValueError, KeyError, TypeError, IndexError: it is not that.
    """
    stored = orjson.loads(data)
    rules = tuple(_read_rule(each) for each in stored["rules"])
    refused = tuple(Refusal(*each) for each in stored["refused"])
    return RuleSet(rules, refused, stored["files"], roots)


def _rule(rule: Rule) -> dict[str, Any]:
    info = rule.info
    listed = {name: getattr(info, name) for name in RuleInfo.__slots__ if name != "window"}
    return {
        "info": {**listed, "window": info.window.total_seconds()},
        "name": rule.name,
        "line": rule.line,
        "examples": [rule.examples.match, rule.examples.no_match],
        "body": _body(rule.body),
    }


def _read_rule(stored: dict[str, Any]) -> Rule:
    info = stored["info"]
    for name in ("tags", "clauses", "group_by", "tenants"):
        info[name] = tuple(info[name])
    info["level"] = Level(info["level"])
    info["window"] = timedelta(seconds=info["window"])
    examples = Examples(*(tuple(map(tuple, part)) for part in stored["examples"]))
    body = stored["body"]
    return Rule(
        info=RuleInfo(**info),
        body=_read_body(body),
        name=stored["name"],
        examples=examples,
        line=stored["line"],
    )


def _body(body: Detection | Correlation | Watch) -> dict[str, Any]:
    if isinstance(body, Detection):
        return _detection(body)
    return _watch(body) if isinstance(body, Watch) else _correlation(body)


def _detection(body: Detection) -> dict[str, Any]:
    source = body.logsource
    return {"source": [source.product, source.category, source.service], "expression": _expression(body.expression)}


def _read_detection(stored: dict[str, Any]) -> Detection:
    return Detection(logsource=LogSource(*stored["source"]), expression=_read_expression(stored["expression"]))


def _read_body(stored: dict[str, Any]) -> Detection | Correlation | Watch:
    if "kind" in stored:
        return _read_watch(stored)
    return _read_detection(stored) if "source" in stored else _read_correlation(stored)


def _watch(body: Watch) -> dict[str, Any]:
    settings = {name: getattr(body.settings, name) for name in type(body.settings).__slots__}
    expression = None if body.expression is None else _expression(body.expression)
    source = [body.source.product, body.source.category, body.source.service]
    return {"kind": body.kind, "source": source, "expression": expression, "settings": settings}


def _read_watch(stored: dict[str, Any]) -> Watch:
    settings = {name: tuple(each) if isinstance(each, list) else each for name, each in stored["settings"].items()}
    expression = stored["expression"]
    return Watch(
        kind=stored["kind"],
        source=LogSource(*stored["source"]),
        expression=None if expression is None else _read_expression(expression),
        settings=kinds()[stored["kind"]].settings(**settings),
    )


def _correlation(body: Correlation) -> dict[str, Any]:
    listed = {name: getattr(body, name) for name in Correlation.__slots__ if name != "timespan"}
    return {**listed, "timespan": body.timespan.total_seconds()}


def _read_correlation(stored: dict[str, Any]) -> Correlation:
    changed = {
        "type": CorrelationType(stored["type"]),
        "rules": tuple(stored["rules"]),
        "group_by": tuple(stored["group_by"]),
        "fields": tuple(stored["fields"]),
        "alternatives": tuple((tuple(hit), tuple(missing)) for hit, missing in stored["alternatives"]),
        "timespan": timedelta(seconds=stored["timespan"]),
        "conditions": tuple((operator, number) for operator, number in stored["conditions"]),
    }
    return Correlation(**{**stored, **changed})


def _expression(expression: Expression) -> Any:  # noqa: ANN401 - JSON
    if isinstance(expression, Atom):
        return [expression.field, *_test(expression.test)]
    if isinstance(expression, Not):
        return {"!": _expression(expression.child)}
    return {"&" if isinstance(expression, And) else "|": [_expression(child) for child in expression.children]}


def _read_expression(stored: Any) -> Expression:  # noqa: ANN401 - JSON
    if type(stored) is list:
        return Atom(stored[0], _read_test(stored[1], stored[2:]))
    [(mark, inner)] = stored.items()
    if mark == "!":
        return Not(_read_expression(inner))
    return (And if mark == "&" else Or)(tuple([_read_expression(child) for child in inner]))


def _test(test: Test) -> list[Any]:
    """A pattern is its ``cased`` flag and its parts, wildcards as 0 (``*``) and 1 (``?``); others their name and fields."""
    if isinstance(test, Pattern):
        return [test.cased, *(_WILD.index(part) if isinstance(part, Wild) else part for part in test.parts)]
    return [_NAMES[type(test)], *(getattr(test, name) for name in type(test).__slots__)]


def _read_test(kind: str | bool, rest: list[Any]) -> Test:  # noqa: FBT001 - see _test
    if type(kind) is bool:
        return Pattern(tuple([part if type(part) is str else _WILD[part] for part in rest]), kind)
    made: Test = _KINDS[str(kind)](*rest)
    return made
