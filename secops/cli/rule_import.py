"""``secops rules import, imports``: other people's rules, taken in as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secops.cli.bar import Bar
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table

if TYPE_CHECKING:
    from secops.rule_desk import Imported

SHOWN = 20


def import_rules(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Sigma 规则目录 / a folder of Sigma rules")],
    name: Annotated[
        str, typer.Option("--name", help="名称，默认目录名；同名再次导入即更新 / name; importing it again updates")
    ] = "",
    tenant: Annotated[str, typer.Option("--tenant", help="只对该单位运行 / run for this organisation alone")] = "",
    alike_off: Annotated[
        str,
        typer.Option(
            "--alike-off",
            metavar="REASON",
            help="停用与自带规则相似的导入规则，写明原因 / switch off those that look like ours, with this reason",
        ),
    ] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """导入规则目录：每条规则要么运行，要么给出被拒绝的位置和原因 / Take in a folder: each rule runs, or is refused with a reason."""
    with open_from(state, config) as service, Bar("导入 import") as bar:
        from secops import rule_desk  # noqa: PLC0415 - the matcher's loader; only once there is a service

        done = rule_desk.take_in(service, folder, name=name, tenant=tenant, actor=operator().username, progress=bar)
        off: list[str] = []
        if alike_off:
            off = rule_desk.switch_off_alikes(service, done.alike, reason=alike_off, actor=operator().username)
    emit(_data(done, off), as_json, lambda: _text(done, off))


def _data(done: Imported, off: list[str]) -> dict[str, Any]:
    return {
        "name": done.name,
        "folder": str(done.folder),
        **done.counts,
        "added_files": done.copied.added,
        "changed_files": done.copied.changed,
        "removed_files": done.copied.removed,
        "skipped_files": [{"file": name, "zh": zh, "en": en} for name, zh, en in done.copied.skipped],
        "alike": [
            {
                "rule_id": each.rule.id,
                "title": each.rule.info.title,
                "like": each.like.id,
                "like_title": each.like.info.title,
                "like_title_zh": each.like.info.title_zh,
                "share": round(each.share, 2),
            }
            for each in done.alike
        ],
        "switched_off": off,
        "running": [rule.id for rule in done.rules],
        "refused_rules": [
            {"file": _inside(done, each.file), "line": each.line, "rule_id": each.rule_id, "zh": each.zh, "en": each.en}
            for each in done.refused
        ],
    }


def _text(done: Imported, off: list[str]) -> str:
    counts = done.counts
    lines = [f"{_inside(done, each.file)}:{each.line}: {each.zh} / {each.en}" for each in done.refused[:SHOWN]]
    lines += [f"{name}: {zh} / {en}" for name, zh, en in done.copied.skipped[:SHOWN]]
    hidden = len(done.refused) - SHOWN
    if hidden > 0:
        lines.append(f"…… 另有 {hidden} 条被拒绝，--json 列出全部 / {hidden} more refused; --json lists all")
    lines.append(
        f"{done.name}：文件 {counts['files']}（新增 {counts['added']}，变更 {counts['changed']}，移除 {counts['removed']}，"
        f"跳过 {counts['skipped']}），规则 {counts['rules']} 条运行，{counts['refused']} 条被拒绝"
    )
    lines.append(
        f"{done.name}: {counts['files']} files ({counts['added']} added, {counts['changed']} changed,"
        f" {counts['removed']} removed, {counts['skipped']} skipped), {counts['rules']} rules run,"
        f" {counts['refused']} refused"
    )
    lines += _alike_lines(done, off)
    return "\n".join(lines)


def _alike_lines(done: Imported, off: list[str]) -> list[str]:
    """What looks like ours, and what was or may be done about it."""
    if not (number := len(done.alike)):
        return []
    lines = [
        f"{number} 条规则与自带规则相似，同一事件会告警两次 / {number} rules look like ours: what both find is reported twice:"
    ]
    lines += [
        f"    {each.share:.0%}  {each.rule.info.title}（{each.rule.id}）≈ {each.like.info.title_zh or each.like.info.title}（{each.like.id}）"
        for each in done.alike[:SHOWN]
    ]
    if number > SHOWN:
        lines.append(f"    …… 另有 {number - SHOWN} 条，--json 列出全部 / {number - SHOWN} more; --json lists all")
    if off:
        lines.append(f"已停用其中 {len(off)} 条 / {len(off)} of them were switched off")
    else:
        lines.append(
            "停用：--alike-off 原因，或 secops rules disable / to switch them off: --alike-off REASON, or rules disable"
        )
    return lines


def _inside(done: Imported, file: str) -> str:
    return file.removeprefix(f"{done.folder}/")


def list_imports(
    every: Annotated[bool, typer.Option("--all", help="包括以往各次 / also earlier ones of the same name")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出导入过的规则目录 / List the folders that were imported."""
    with open_from(state, config) as service, service.database.read() as tx:
        from secops.rulebook import imports  # noqa: PLC0415 - see import_rules

        found = imports.all(tx) if every else imports.current(tx)
    rows = [
        [
            one.name,
            one.tenant or "全部 all",
            str(one.counts["rules"]),
            str(one.counts["refused"]),
            local(one.at),
            one.actor,
            one.source,
        ]
        for one in found
    ]
    header = ["名称 name", "单位 tenant", "运行 run", "拒绝 refused", "时间 at", "操作人 by", "来源 from"]
    emit(found, as_json, lambda: table(rows, header))
