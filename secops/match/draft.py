"""Reads one rule as somebody is writing it, against the rules that run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.match.load import read_rule
from secops.match.resolve import resolve
from secops.match.rule import Refusal
from secops.match.source import Block, RuleError, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from secops.match.rule import Rule

MAX_TEXT: Final = 1_000_000  # bytes
FILE: Final = "draft"


def read_draft(
    text: str,
    running: Iterable[Rule],
    *,
    folder: Path,
    placeholders: Mapping[str, tuple[str, ...]] | None = None,
) -> tuple[Rule | None, tuple[Refusal, ...]]:
    """Give the rule, its references to ``running`` rules resolved; or None and why it cannot run.

    ``folder`` is where it is to lie: lists of indicators are looked for there, and nowhere else.
    """
    rule_id = ""
    try:
        rule = _read(_document(text), str(folder / FILE), (folder,), placeholders or {})
        rule_id = rule.id
    except RuleError as error:
        return None, (Refusal(FILE, error.line, rule_id, error.zh, error.en),)
    others = [one for one in running if one.id != rule.id]
    if rule.name and any(one.name == rule.name and _beside(one, rule) for one in others):
        zh, en = f"名称 {rule.name!r} 已被另一条规则使用", f"another rule bears the name {rule.name!r} already"
        return None, (Refusal(FILE, rule.line, rule.id, zh, en),)
    resolved, refused = resolve([*others, rule])
    mine = tuple(one for one in refused if one.rule_id == rule.id)
    return next((one for one in resolved if one.id == rule.id), None), mine


def _beside(one: Rule, other: Rule) -> bool:
    """Whether two rules can be meant by the same word: one runs for all, or both for some tenant."""
    return not one.tenants or not other.tenants or bool(set(one.tenants) & set(other.tenants))


def _document(text: str) -> tuple[int, object]:
    """The one document of the text, and its line."""
    body = text.encode("utf-8", "replace")
    if len(body) > MAX_TEXT:
        raise RuleError(1, f"规则正文超过 {MAX_TEXT} 字节", f"the text has more than {MAX_TEXT} bytes")
    documents = [(line, document) for line, document in read_documents(body) if document is not None]
    if len(documents) != 1:
        raise RuleError(
            1,
            f"这里只能写一条规则，现有 {len(documents)} 个文档",
            f"one rule is expected here, there are {len(documents)} documents",
        )
    return documents[0]


def _read(
    found: tuple[int, object], file: str, roots: tuple[Path, ...], placeholders: Mapping[str, tuple[str, ...]]
) -> Rule:
    line, document = found
    if not isinstance(document, Block) or not document.get("id"):
        raise RuleError(line, "请给规则写明 id（UUID）", "give the rule an id (a UUID): its versions are kept by it")
    if "filter" in document:  # the folder's reader would take it for a filter, which changes other people's rules
        raise RuleError(
            document.at("filter"),
            "这里不能写过滤器；请为规则添加例外",
            "a filter cannot be written here; add an exception to the rule",
        )
    return read_rule(document, file, line, placeholders, roots)
