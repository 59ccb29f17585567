"""``secops rules``: check, test and list rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from secops.cli.context import NO, JsonOption, emit
from secops.cli.lines import folders_of_rules
from secops.cli.rule_examples import run_examples
from secops.match.load import load_rules
from secops.match.rule import Correlation, Rule

app = typer.Typer(help="检测规则：检查、测试、列出 / detection rules: check, test, list", no_args_is_help=True)

_Folders = Annotated[
    list[Path] | None, typer.Argument(help="规则目录，默认自带规则 / folders of rules; by default the product's own")
]


def _paths(given: list[Path] | None) -> list[Path]:
    """Give the folders to read; a folder like the product's own ``rules`` also holds what is not for the matcher."""
    if not given:
        from secops.wiring import content_dir  # noqa: PLC0415 - the whole service; not needed for folders named

        given = [content_dir() / "rules"]
    return folders_of_rules(given)


@app.command()
def check(folders: _Folders = None, as_json: JsonOption = False) -> None:
    """逐条读取规则，列出被拒绝的文件、行号和原因 / Read every rule; list the refused with file, line and reason."""
    found = load_rules(_paths(folders))
    refused = [
        {"file": each.file, "line": each.line, "rule_id": each.rule_id, "zh": each.zh, "en": each.en}
        for each in found.refused
    ]
    lines = [f"{each.file}:{each.line}: {each.zh} / {each.en}" for each in found.refused]
    lines.append(
        f"{len(found.rules)} 条可运行，{len(refused)} 条被拒绝 / {len(found.rules)} run, {len(refused)} refused"
    )
    emit({"rules": len(found.rules), "files": found.files, "refused": refused}, as_json, "\n".join(lines))
    if refused:
        raise typer.Exit(NO)


@app.command("test")
def run_tests(folders: _Folders = None, as_json: JsonOption = False) -> None:
    """运行规则自带的样例 / Run the rules' own examples."""
    found = load_rules(_paths(folders))
    failures = run_examples(found)
    count = sum(len(rule.examples.match) + len(rule.examples.no_match) for rule in found.rules)
    lines = [str(refusal) for refusal in found.refused] + [str(failure) for failure in failures]
    lines.append(
        f"{count} 个样例，{len(failures)} 个不符，{len(found.refused)} 条规则被拒绝"
        f" / {count} examples, {len(failures)} failed, {len(found.refused)} rules refused"
    )
    data = {
        "examples": count,
        "refused": [str(refusal) for refusal in found.refused],
        "failures": [failure._asdict() for failure in failures],
    }
    emit(data, as_json, "\n".join(lines))
    if failures or found.refused:
        raise typer.Exit(NO)


@app.command("list")
def list_rules(folders: _Folders = None, as_json: JsonOption = False) -> None:
    """列出规则 / List the rules."""
    found = load_rules(_paths(folders))
    rows = [_row(rule) for rule in found.rules]
    emit(
        rows, as_json, "\n".join(f"{row['id']}  {row['level']:<13}  {row['title_zh'] or row['title']}" for row in rows)
    )


def _row(rule: Rule) -> dict[str, Any]:
    info = rule.info
    return {
        "id": info.id,
        "title": info.title,
        "title_zh": info.title_zh,
        "level": info.level,
        "kind": rule.body.type if isinstance(rule.body, Correlation) else "detection",
        "alerts": info.alert,
        "owner": info.owner,
        "runbook": info.runbook,
        "clauses": info.clauses,
        "tags": info.tags,
        "file": info.source,
        "line": rule.line,
    }
