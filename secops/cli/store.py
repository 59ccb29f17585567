"""``secops store``: the embedded event store verified, mended and measured; export; how long events are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from secops.cli import store_export, store_repair, store_retention, store_stats
from secops.cli.bar import Bar
from secops.cli.context import NO, ConfigOption, JsonOption, StateOption, emit, open_from
from secops.cli.store_repair import require_files
from secops.store import check as checking
from secops.store.check_index import check_index
from secops.store.check_seals import check_seals
from secops.store.log import LogCorrupt
from secops.store.writer import is_written

if TYPE_CHECKING:
    from secops.store.check import Flaw, Report
    from secops.wiring import Service

app = typer.Typer(
    help="日志存储：校验、修复、统计、导出、留存期限 / the event store: check, repair, stats, export, retention",
    no_args_is_help=True,
)


@app.command()
def check(
    quick: Annotated[
        bool, typer.Option("--quick", help="不逐词核对索引 / do not compare the index word by word")
    ] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """校验日志、水位、检查点、封存链与签名、索引，可在服务运行时执行；有误时退出码 1 / Verify frames, watermark, checkpoint, seals and their signatures, index; also beside a running service; exit code 1 when something is wrong."""
    with open_from(state, config) as service:
        require_files(service)
        report, flaws, skipped = _check(service, words=not quick)
    data = {
        "whole": not flaws,
        "segments": report.segments,
        "frames": report.frames,
        "events": report.events,
        "bytes": report.bytes,
        "flaws": [_plain(flaw) for flaw in flaws],
        "torn": [_plain(flaw) for flaw in report.torn],
        "index_checked": not skipped,
    }
    emit(data, as_json, "\n".join(_lines(report, flaws, skipped=skipped)))
    if flaws:
        raise typer.Exit(NO)


app.command("repair")(store_repair.repair)
app.command("stats")(store_stats.stats)
app.command("export")(store_export.export)
app.add_typer(store_retention.app, name="retention")


def _check(service: Service, *, words: bool) -> tuple[Report, list[Flaw], bool]:
    """``(report on the log, all flaws, whether the index could not be looked at)``."""
    writing = is_written(service.log_dir)
    with Bar("日志 / log") as bar:
        report = checking.check(service.log_dir, writing=writing, progress=bar)
    flaws = list(report.flaws)
    with Bar("封存 / seals") as bar:
        flaws += check_seals(service.log_dir, checking.partitions_of(service.log_dir), service.witness(), bar)
    if service.settings.index.engine != "sqlite":
        return report, flaws, True
    try:
        with Bar("索引 / index") as bar:
            flaws += check_index(service.index_dir, service.log, bar, words=words)
    except LogCorrupt:  # the watermark itself: named above
        return report, flaws, True
    return report, flaws, False


def _lines(report: Report, flaws: list[Flaw], *, skipped: bool) -> list[str]:
    lines = [f"{flaw.path} @ {flaw.at}: {flaw.why}" for flaw in flaws]
    lines += [
        f"{flaw.path} @ {flaw.at}: 未确认的残尾，下次启动时截去 / a torn tail, cut at the next start: {flaw.why}"
        for flaw in report.torn
    ]
    lines.append(f"{report.segments} 段 segments, {report.events} 条 events, {report.bytes} 字节 bytes")
    if skipped:
        lines.append("未核对索引 / the index was not looked at")
    if flaws:
        lines.append(f"{len(flaws)} 处有误，见 runbooks/store-torn.md / {len(flaws)} flaws, see runbooks/store-torn.md")
    else:
        lines.append("完整 / whole")
    return lines


def _plain(flaw: Flaw) -> dict[str, Any]:
    return {"path": flaw.path, "at": flaw.at, "why": flaw.why}
