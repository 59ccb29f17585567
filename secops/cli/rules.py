"""``secops rules``: check, test and list rules; import, decide about and replay them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secops.cli import rule_decide, rule_import, rule_replay, rule_shown
from secops.cli.context import NO, ConfigOption, JsonOption, StateOption, emit, fail, open_from
from secops.cli.lines import folders_of_rules
from secops.cli.rule_examples import run_examples
from secops.errors import UserError
from secops.match.load import load_rules

app = typer.Typer(
    help="检测规则：检查、测试、列出、导入、停用、例外、回放 / detection rules: check, test, list, import, switch, except, replay",
    no_args_is_help=True,
)

_Folders = Annotated[
    list[Path] | None, typer.Argument(help="规则目录，默认自带规则 / folders of rules; by default the product's own")
]


def _paths(given: list[Path] | None) -> list[Path]:
    """Give the folders to read; a folder like the product's own ``rules`` also holds what is not for the matcher."""
    if not given:
        from secops.rule_source import content_dir  # noqa: PLC0415 - the whole service; not needed for folders named

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
def list_rules(
    folders: _Folders = None,
    sort: Annotated[str, typer.Option(help="排序 / order: last, hits, cost, level, title, file")] = "file",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出规则；不指定目录时含统计 / List the rules; with figures unless folders are named."""
    if folders:
        found = load_rules(_paths(folders)).rules
        rows = [rule_shown.rule_data(rule) for rule in found]
        human = "\n".join(
            f"{row['id']}  {rule_shown.level_text(row['level'])}  {row['title_zh'] or row['title']}" for row in rows
        )
        emit(rows, as_json, human)
        return
    if sort not in rule_shown.SORTS:
        known = ", ".join(rule_shown.SORTS)
        fail(UserError("rules.sort", f"排序 {sort!r} 未知；可选：{known}", f"no order {sort!r}; there are {known}"))
    with open_from(state, config) as service:
        from secops import rule_desk  # noqa: PLC0415 - offline commands must not load every engine

        with service.database.read() as tx:
            listed = rule_desk.listing(service, tx, service.clock())
        refused = len(service.rules.refused)
    listed.sort(key=rule_shown.SORTS[sort])
    said = f"{len(listed)} 条运行，{refused} 条被拒绝 / {len(listed)} run, {refused} refused"
    emit(
        [rule_shown.listed_data(one) for one in listed],
        as_json,
        lambda: f"{rule_shown.listed_table(listed)}\n{said}",
    )


app.command("show")(rule_decide.show)
app.command("enable")(rule_decide.enable)
app.command("disable")(rule_decide.disable)
app.command("except")(rule_decide.except_)
app.command("unexcept")(rule_decide.unexcept)
app.command("exceptions")(rule_decide.list_exceptions)
app.command("import")(rule_import.import_rules)
app.command("imports")(rule_import.list_imports)
app.command("replay")(rule_replay.replay)
