"""``secops upload``: event files of Windows, tables and JSON into the log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from monitors.files.reading import KINDS
from secops import uploads
from secops.cli.bar import Bar
from secops.cli.context import NO, WRONG, ConfigOption, JsonOption, StateOption, emit, fail, open_from, operator
from secops.errors import UserError
from secops.settings import ROOT_TENANT
from secops.uploads import DEFAULT_ZONE, Reading, UploadState

if TYPE_CHECKING:
    from secops.uploads import UploadRow
    from secops.wiring import Service

_BLOCK: Final = 1 << 20
_LOOK_SECONDS: Final = 0.2
_OVER: Final = frozenset({UploadState.DONE, UploadState.FAILED, UploadState.DISCARDED, UploadState.MAPPING})
STATES: Final = {
    UploadState.MAPPING: "等待选列 waits for its columns",
    UploadState.QUEUED: "排队 queued",
    UploadState.READING: "读取中 being read",
    UploadState.DONE: "完成 done",
    UploadState.FAILED: "失败 failed",
    UploadState.DISCARDED: "已放弃 discarded",
}


def upload(  # the options of one command
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="EVTX、CSV、JSON，可用 gzip 或 zip 压缩 / gzip or zip too")
    ],
    kind: Annotated[str, typer.Option(help="evtx、csv 或 json；不填则按内容判断 / told by the content if absent")] = "",
    tenant: Annotated[str, typer.Option(help="所属单位 / organisation it belongs to")] = ROOT_TENANT,
    time_column: Annotated[str, typer.Option("--time", help="CSV：时间列 / column of the time")] = "",
    host_column: Annotated[str, typer.Option("--host", help="CSV：主机列 / column of the host")] = "",
    message_column: Annotated[str, typer.Option("--message", help="CSV：消息列 / column of the message")] = "",
    zone: Annotated[
        str, typer.Option(help="CSV：没有时区的时间所在时区 / zone of times that name none")
    ] = DEFAULT_ZONE,
    header: Annotated[bool, typer.Option(help="CSV：第一行是列名 / the first row names the columns")] = True,
    wait: Annotated[bool, typer.Option(help="等到读完 / wait until they are read")] = True,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """上传日志文件，读完后可检索、可检测 / Bring log files; once read they are searched and matched like any other event."""
    if kind and kind not in KINDS:
        fail(UserError("upload.kind", f"--kind 只能是 {'、'.join(KINDS)}。", f"--kind is one of {', '.join(KINDS)}."))
    named = {"@timestamp": time_column, "host.name": host_column, "message": message_column}
    columns = {target: column for target, column in named.items() if column}
    reading = Reading(columns, uploads.known_zone(zone), header, kind=kind) if columns or not header else None
    with open_from(state, config) as service:
        if tenant not in {ROOT_TENANT, *(one.id for one in service.identity.organizations())}:
            fail(UserError("upload.tenant", f"没有单位 {tenant!r}。", f"There is no organisation {tenant!r}."))
        brought = [_bring(service, path, tenant, kind, reading) for path in files]
        done = [_wait(service, row, new=new) if wait else _summary(row, new=new) for row, new in brought]
    emit(done, as_json, lambda: "\n".join(_line(one) for one in done))
    if any(one["state"] in {UploadState.FAILED, UploadState.MAPPING} for one in done):
        raise typer.Exit(NO)


def _bring(service: Service, path: Path, tenant: str, kind: str, reading: Reading | None) -> tuple[UploadRow, bool]:
    try:
        with (
            path.open("rb") as file,
            Bar(path.name) as bar,
            service.inbox.incoming(tenant) as incoming,
        ):
            size = path.stat().st_size
            while block := file.read(_BLOCK):
                incoming.write(block)
                bar(incoming.size, size)
            kept = incoming.keep()
    except OSError as error:
        fail(UserError("upload.file", f"无法读取 {path}：{error}", f"{path} cannot be read: {error}"), WRONG)
    return service.inbox.take(
        kept, tenant=tenant, name=path.name, kind=kind, reading=reading, actor=operator().username
    )


def _wait(service: Service, row: UploadRow, *, new: bool) -> dict[str, Any]:
    with Bar(row.name) as bar:
        while row.state not in _OVER:
            time.sleep(_LOOK_SECONDS)
            with service.database.read() as tx:
                row = uploads.get(tx, row.id, None)
            bar(row.read, max(row.read, 1) + (row.state not in _OVER))
    return _summary(row, new=new)


def _summary(row: UploadRow, *, new: bool) -> dict[str, Any]:
    told = ("id", "tenant", "sha256", "name", "kind", "size", "state", "read", "stored", "unread", "refused", "reasons")
    return {
        **{name: getattr(row, name) for name in told},
        "new": new,
        "error": {"zh": row.error_zh, "en": row.error_en},
    }


def _line(one: dict[str, Any]) -> str:
    known = "" if one["new"] else "  此前已上传，未重复存储 / brought before, not stored again"
    text = f"#{one['id']} {one['name']}  {STATES[UploadState(one['state'])]}{known}\n"
    text += f"  读出 read {one['read']:,}  存储 stored {one['stored']:,}  其中无法解析 unread {one['unread']:,}  拒绝 refused {one['refused']:,}"
    if one["reasons"]:
        text += "\n  " + "  ".join(f"{reason} {number}" for reason, number in one["reasons"].items())
    if one["state"] == UploadState.MAPPING:
        text += "\n  请用 --time、--host、--message 指明列，或在控制台“上传日志”中选择 / name the columns, or choose them in the console"
    return text + (f"\n  {one['error']['zh']} / {one['error']['en']}" if one["error"]["en"] else "")
