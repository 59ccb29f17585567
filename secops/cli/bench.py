"""``secops bench``: measure on this machine; figures beside their bars, as ratios."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from secops.bench.figures import BENCHES, WITH_FILES, Report, run
from secops.cli.context import JsonOption, emit, fail, table
from secops.errors import UserError

NAMES = ", ".join(BENCHES)
FILES = ", ".join(sorted(WITH_FILES))


def bench(
    names: Annotated[list[str], typer.Argument(help=f"测什么 / what to measure: {NAMES}, all")],
    events: Annotated[
        Path | None, typer.Option(help=f"{FILES}：每行一个 JSON 事件 / a JSON event a line", exists=True)
    ] = None,
    rules: Annotated[Path | None, typer.Option(help=f"{FILES}：规则目录 / folder of rules", exists=True)] = None,
    as_json: JsonOption = False,
) -> None:
    """在本机测量性能 / Measure on this machine; each bench uses throw-away state."""
    wanted = list(BENCHES) if "all" in names else names
    for name in wanted:
        if name not in BENCHES:
            fail(
                UserError(
                    "bench.unknown",
                    f"没有测量项 {name!r}；可选：{NAMES}, all",
                    f"no bench {name!r}; there are {NAMES}, all",
                )
            )
    reports = []
    for name in wanted:
        if sys.stderr.isatty():
            sys.stderr.write(f"测量中 / measuring {name} …\n")
        reports.append(run(name, events, rules))
        if not as_json:
            emit(None, as_json=False, human=_human(reports[-1]))
    if as_json:
        emit([report.as_dict() for report in reports], as_json=True, human="")


def _human(report: Report) -> str:
    rows = []
    for one in report.figures:
        better = "≥" if one.higher_is_better else "≤"
        bar = f"{better} {one.bar:,.6g}" if one.bar else "-"
        rows.append([one.name, f"{one.value:,.6g} {one.unit}", bar, f"{one.ratio:.2f}" if one.bar else "-", one.note])
    return f"[{report.bench}] {report.machine}\n" + table(rows, ["figure", "value", "bar", "ratio", "note"])
