"""Reads Sigma YAML strictly: a rule is either understood whole or refused with file, line and reason.

Unknown keys of a rule are kept out of the way (Sigma allows custom ones); an unknown construct inside ``detection`` or
``correlation`` is a refusal, because skipping it would change what the rule means.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from secops.match.correlations import read_correlation, read_duration, read_group, read_texts
from secops.match.filters import Filter, apply_filters, read_filter
from secops.match.indicators import LIST_SUFFIXES
from secops.match.kind import Place, read_watch
from secops.match.limits import Limits
from secops.match.resolve import own_id, resolve
from secops.match.rule import Detection, Examples, LogSource, Refusal, Rule, RuleSet
from secops.match.selections import read_detection
from secops.match.source import Block, Items, RuleError, read_documents
from secops.records import Level, RuleInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from secops.match.regex import Allowance
    from secops.match.rule import Correlation, Expression, Watch

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
MAX_TITLE: Final = 500
MAX_LABEL: Final = 100
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # controls, among them those that turn a line around
_CLAUSE: Final = re.compile(r"\d+(\.\d+){2,4}(-[a-z])?")


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    placeholders: Mapping[str, tuple[str, ...]]
    roots: tuple[Path, ...] = ()  # the folders that are read
    tenants: Mapping[str, str] = field(default_factory=dict)  # beginning of files' names -> whom their rules are for
    rules: dict[str, Rule] = field(default_factory=dict)
    apart: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # written id -> those it became
    filters: dict[str, Filter] = field(default_factory=dict)
    refused: list[Refusal] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    files: int = 0

    def refuse(self, file: str, rule_id: str, error: RuleError) -> None:
        self.refused.append(Refusal(file, error.line, rule_id, error.zh, error.en))


def load_rules(
    paths: Sequence[Path],
    *,
    placeholders: Mapping[str, tuple[str, ...]] | None = None,
    tenants: Mapping[str, str] | None = None,
) -> RuleSet:
    """Read every ``*.yml`` and ``*.yaml`` under the paths (files or folders), in the order of their names.

    ``placeholders`` gives the values of ``%name%`` for the modifier ``expand``. ``tenants`` says of folders apart, by the
    beginning of their files' names, for which tenant alone they are ("": for all): all in them is read as if it named
    that tenant, their ids are that tenant's own (``ID@TENANT``), and the lists they name lie in the same folder.
    """
    roots = tuple(path if path.is_dir() else path.parent for path in paths)
    reading = _Reading(placeholders or {}, roots, tenants or {})
    for file in rule_files(paths):
        reading.files += 1
        _read_file(file, reading)
    filtered, idle = apply_filters(reading.rules.values(), tuple(reading.filters.values()))
    rules, refused = resolve(filtered)
    return RuleSet(tuple(rules), (*reading.refused, *idle, *refused), reading.files, tuple(paths))


def rule_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Rule files under the paths; hidden folders are left out, a path given by itself is taken whatever its name."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        found = (each for pattern in ("*.yml", "*.yaml") for each in path.rglob(pattern))
        yield from sorted(
            each for each in found if not any(part.startswith(".") for part in each.relative_to(path).parts)
        )


def list_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Lists of indicators under the folders: a change of one changes what rules mean."""
    for folder in (path for path in paths if path.is_dir()):
        yield from sorted(each for suffix in LIST_SUFFIXES for each in folder.rglob(f"*{suffix}"))


def _read_file(file: Path, reading: _Reading) -> None:
    name = str(file)
    try:
        for line, document in read_documents(file.read_bytes()):
            _read_document(name, line, document, reading)
    except RuleError as error:
        reading.refuse(name, "", error)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        reading.refuse(name, "", RuleError(1, f"无法读取文件：{reason}", f"cannot read the file: {reason}"))


def _read_document(file: str, line: int, document: object, reading: _Reading) -> None:
    if document is None:
        return
    rule_id = str(document.get("id", ""))[:128] if isinstance(document, Block) else ""
    home = next((start for start in reading.tenants if file.startswith(start)), "")
    roots, owner = ((Path(home),), reading.tenants[home]) if home else (reading.roots, "")
    try:
        if isinstance(document, Block):
            _limit(document, owner)
        regexes = reading.limits.regexes(_tenants(document) if isinstance(document, Block) else ())
        if isinstance(document, Block) and "filter" in document:
            _keep(reading, _filter(document, file, line, reading.placeholders, regexes), owner)
        else:
            _keep(reading, read_rule(document, file, line, reading.placeholders, roots, regexes=regexes), owner)
    except RuleError as error:
        reading.refuse(file, rule_id, error)


def _limit(document: Block, tenant: str) -> None:
    """Let a document of a folder that is for one tenant be about that tenant alone."""
    if not tenant:
        return
    if (named := _tenants(document)) and tenant not in named:
        raise RuleError(
            document.at("tenants"),
            f"此目录只用于租户 {tenant}，而 tenants 是 {'、'.join(named)}",
            f"the folder is for tenant {tenant} alone, but tenants says {', '.join(named)}",
        )
    document["tenants"] = tenant


def _keep(reading: _Reading, read: Rule | Filter, owner: str) -> None:
    """Take a rule or filter in, unless its id is taken; one of some tenants takes no id from one of all.

    What lies in the folder of one tenant has ids of that tenant's own, so no other tenant can take or guess them; where
    the same rule runs for all, it is not taken in once more.
    """
    first = reading.rules.get(read.id) or reading.filters.get(read.id)
    if owner and (first is None or first.tenants):
        written, read = read.id, own_id(read, owner)
        first = reading.rules.get(read.id) or reading.filters.get(read.id)
        if first is None:
            reading.apart[written].append(read.id)
    if first is not None and (not first.tenants or read.tenants):
        raise _taken(read, first)
    if isinstance(read, Rule):
        reading.limits.take(read)
    if not read.tenants:
        for yielding in (read.id, *reading.apart.pop(read.id, ())):
            _give_way(reading, yielding, read)
    if isinstance(read, Rule):
        reading.rules[read.id] = read
    else:
        reading.filters[read.id] = read


def _give_way(reading: _Reading, identity: str, kept: Rule | Filter) -> None:
    for found in (reading.rules.pop(identity, None), reading.filters.pop(identity, None)):
        if found is not None:
            reading.refuse(found.file, found.id, _taken(found, kept))


def _taken(refused: Rule | Filter, kept: Rule | Filter) -> RuleError:
    place = f"{kept.file}:{kept.line}"
    return RuleError(refused.line, f"编号 {refused.id} 已用于 {place}", f"id {refused.id} is already used at {place}")


def _filter(
    document: Block, file: str, line: int, placeholders: Mapping[str, tuple[str, ...]], regexes: Allowance
) -> Filter:
    place = (_identity(document), file, line)
    found = read_filter(document["filter"], _logsource(document), place, placeholders, regexes)
    return replace(found, tenants=_tenants(document))


def read_rule(
    document: object,
    file: str,
    line: int,
    placeholders: Mapping[str, tuple[str, ...]],
    roots: tuple[Path, ...] = (),
    *,
    regexes: Allowance | None = None,
) -> Rule:
    """One YAML document as a rule.

    ``roots`` are the folders in which lists of indicators may lie; ``regexes`` is charged with the regular expressions.

    Raises:
        RuleError: it is not a rule that can run as it is meant.
    """
    if not isinstance(document, Block):
        raise RuleError(line, "不是规则：应为映射", "not a rule: a mapping is expected")
    if "action" in document:
        raise RuleError(
            document.at("action"),
            "action 已废弃：请写成完整的规则",
            "action is not part of Sigma any more: write whole rules",
        )
    if not _is_one_of_three(document):
        raise RuleError(
            line,
            "应有 detection、correlation 或 watch 之一（watch 可另有 detection）",
            "one of detection, correlation and watch is expected (a watch may have a detection beside it)",
        )
    info = _info(document, file)
    body = _body(document, placeholders, Place(Path(file).parent, roots, info.tenants), regexes)
    examples = _examples(document)
    return Rule(info=info, body=body, name=_label(document, "name", MAX_TITLE), examples=examples, line=line)


def _is_one_of_three(document: Block) -> bool:
    if "correlation" in document:
        return "detection" not in document and "watch" not in document
    return "detection" in document or "watch" in document


def _body(
    document: Block, placeholders: Mapping[str, tuple[str, ...]], place: Place, regexes: Allowance | None
) -> Detection | Correlation | Watch:
    if "correlation" in document:
        return read_correlation(_section(document, "correlation"))
    expression: Expression | None = None
    if "detection" in document:
        expression = read_detection(document["detection"], document.at("detection"), placeholders, regexes)
    source = _logsource(document)
    if "watch" in document:
        return read_watch(_section(document, "watch"), source, expression, place)
    assert expression is not None
    return Detection(logsource=source, expression=expression)


def _section(document: Block, key: str) -> Block:
    section = document[key]
    if not isinstance(section, Block):
        raise RuleError(document.at(key), f"{key} 应为映射", f"{key} must be a mapping")
    return section


def _logsource(document: Block) -> LogSource:
    source = document.get("logsource")
    if not isinstance(source, Block):
        raise RuleError(document.at("logsource"), "缺少 logsource", "logsource is missing or not a mapping")
    parts = {key: _text(source, key).lower() for key in ("product", "category", "service")}
    return LogSource(**parts)


def _info(document: Block, file: str) -> RuleInfo:
    identity = _identity(document)
    title = _label(document, "title", MAX_TITLE)
    if not title:
        raise RuleError(document.at("title"), "缺少 title", "title is missing")
    alert = document.get("alert", Block())
    if not isinstance(alert, Block) or set(alert) - {"window", "group_by", "raise"}:
        raise RuleError(
            document.at("alert"),
            "alert 只能有 window、group_by 和 raise",
            "alert takes window, group_by and raise only",
        )
    if not isinstance(raises := alert.get("raise", True), bool):
        raise RuleError(alert.at("raise"), "raise 只能是 true 或 false", "raise is true or false")
    info = RuleInfo(
        id=identity,
        title=title,
        level=_level(document),
        title_zh=_label(document, "title_zh", MAX_TITLE),
        description=_text(document, "description"),
        description_zh=_text(document, "description_zh"),
        tags=read_texts(document.get("tags"), document.at("tags")),
        clauses=_clauses(document),
        owner=_label(document, "owner", MAX_LABEL),
        runbook=_label(document, "runbook", MAX_LABEL),
        service=_label(document, "service", MAX_LABEL),
        group_by=read_group(alert.get("group_by"), alert.at("group_by")),
        alert=raises,
        tenants=_tenants(document),
        source=file,
    )
    window = alert.get("window")
    return info if window is None else replace(info, window=read_duration(window, alert.at("window")))


def _identity(document: Block) -> str:
    """The id, which Sigma leaves optional: without one, the same title always gives the same."""
    identity = _text(document, "id")
    if "id" not in document and (title := _text(document, "title")):
        return str(uuid5(NAMESPACE_URL, f"sigma-rule:{title}"))
    if not _ID.fullmatch(identity):
        raise RuleError(
            document.at("id"), "缺少 id 或格式不对，请用 UUID", "id is missing or malformed: give the rule a UUID"
        )
    return identity


def _tenants(document: Block) -> tuple[str, ...]:
    tenants = read_texts(document.get("tenants"), document.at("tenants"))
    if "tenants" in document and not tenants:
        raise RuleError(
            document.at("tenants"),
            "tenants 为空：列出租户，或删去此键以用于全部租户",
            "tenants is empty: name tenants, or leave the key out to run for all",
        )
    return tuple(dict.fromkeys(tenants))


def _clauses(document: Block) -> tuple[str, ...]:
    clauses = read_texts(document.get("clauses"), document.at("clauses"))
    for clause in clauses:
        if not _CLAUSE.fullmatch(clause):
            raise RuleError(
                document.at("clauses"), f"条款 {clause!r} 应写作 8.1.4.1-b", f"clause {clause!r}: write it as 8.1.4.1-b"
            )
    return clauses


def _level(document: Block) -> Level:
    value = document.get("level", Level.MEDIUM)
    try:
        return Level(value)
    except ValueError as error:
        raise RuleError(
            document.at("level"), f"未知的级别 {value!r}", f"unknown level {value!r}; known are: {', '.join(Level)}"
        ) from error


def _text(block: Block, key: str) -> str:
    value = block.get(key)
    if value is None:
        return ""
    if isinstance(value, (Block, Items)):
        raise RuleError(block.at(key), f"{key} 应为文本", f"{key} must be text")
    return str(value).strip()


def _label(block: Block, key: str, most: int) -> str:
    """A text of one line that is shown beside others and stored with every alert: short, and all of it visible."""
    label = " ".join(_text(block, key).split())
    if len(label) > most:
        raise RuleError(block.at(key), f"{key} 不能超过 {most} 个字符", f"{key} has more than {most} characters")
    if unseen := next((char for char in label if unicodedata.category(char) in _UNSEEN), ""):
        code = f"U+{ord(unseen):04X}"
        raise RuleError(block.at(key), f"{key} 含有不可见字符 {code}", f"{key} holds the invisible character {code}")
    return label


def _examples(document: Block) -> Examples:
    section = document.get("examples", Block())
    if not isinstance(section, Block) or set(section) - {"match", "no_match"}:
        raise RuleError(
            document.at("examples"), "examples 只能有 match 和 no_match", "examples takes match and no_match only"
        )
    return Examples(*(_samples(section, key) for key in ("match", "no_match")))


def _samples(section: Block, key: str) -> tuple[tuple[Mapping[str, Any], ...], ...]:
    listed = section.get(key, Items())
    if not isinstance(listed, Items):
        raise RuleError(section.at(key), f"{key} 应为列表", f"{key} must be a list")
    samples = [tuple(each) if isinstance(each, Items) else (each,) for each in listed]
    if not all(sample and all(isinstance(line, Block) for line in sample) for sample in samples):
        raise RuleError(
            section.at(key),
            "每个样例应为 {format, raw} 或 {format: json, event}，或其列表",
            "each example is {format, raw} or {format: json, event}, or a list of these",
        )
    return tuple(samples)
