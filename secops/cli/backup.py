"""``secops backup`` and ``secops restore``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from secops import audit
from secops import backup as backing
from secops.cli.context import (
    ConfigOption,
    JsonOption,
    StateOption,
    emit,
    load_settings,
    open_from,
    operator,
    people_errors,
)


def backup(
    out: Annotated[
        Path,
        typer.Argument(help="备份文件（tar），含密钥，请妥善保管 / the backup file (tar); it holds keys, keep it safe"),
    ],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """在线备份状态目录；服务可以在运行 / Back up the state folder; the service may be running."""
    with open_from(state, config) as service:
        report = backing.save(
            service.settings.state, service.database, out, now=service.clock(), progress=_progress(as_json)
        )
    _done(report, as_json, "已备份 / saved")


def restore(
    archive: Annotated[Path, typer.Argument(help="备份文件 / the backup file")],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """恢复到空的状态目录 / Restore into an empty state folder."""
    settings = load_settings(state, config)
    with people_errors():
        report = backing.bring_back(archive, settings.state, progress=_progress(as_json))
    with open_from(state, config) as service, service.database.begin() as tx:
        audit.record(
            tx,
            at=service.clock(),
            actor=operator().username,
            action="backup.restore",
            target=archive.name,
            detail={"files": report.files, "bytes": report.size},
        )
    _done(report, as_json, "已恢复 / restored")


def _progress(as_json: bool) -> Callable[[str], None]:
    live = sys.stderr.isatty() and not as_json

    def show(name: str) -> None:
        if live:
            sys.stderr.write(f"\r\033[K{name[-70:]}")

    return show


def _done(report: backing.Report, as_json: bool, what: str) -> None:
    data = {"path": report.path, "files": report.files, "bytes": report.size}
    emit(data, as_json, f"{what}: {report.path} ({report.files} 个文件 files, {report.size} 字节 bytes)")
