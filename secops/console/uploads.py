"""Uploaded log files: what was brought, how tables are read, what became of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from identity.principal import Permission
from monitors.files.piece import REASONS
from monitors.files.reading import KINDS
from monitors.files.table import TARGETS
from secops import uploads
from secops.console.labels import N_
from secops.console.tenants import tenant_names
from secops.console.upload_receive import PATH
from secops.console.visit import Page, Routes
from secops.uploads import DEFAULT_ZONE, Reading, UploadState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response

    from secops.console.visit import Visit
    from secops.uploads import UploadRow

SHOWN: Final = 100
STATES: Final[Mapping[str, tuple[str, str]]] = {  # message id, class of the tag
    UploadState.MAPPING: (N_("Waits for its columns"), "warn"),
    UploadState.QUEUED: (N_("Waits to be read"), "plain"),
    UploadState.READING: (N_("Being read"), "plain"),
    UploadState.DONE: (N_("Read"), "good"),
    UploadState.FAILED: (N_("Not read to its end"), "bad"),
    UploadState.DISCARDED: (N_("Discarded"), "closed"),
}
ROLES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {  # message id; what such columns are called
    "@timestamp": (
        N_("Time"),
        ("@timestamp", "time", "timestamp", "datetime", "date", "时间", "日期", "发生时间", "日志时间"),
    ),
    "host.name": (
        N_("Host"),
        ("host", "hostname", "host.name", "device", "computer", "主机", "主机名", "设备", "设备名称"),
    ),
    "message": (N_("Message"), ("message", "msg", "log", "content", "内容", "消息", "日志", "日志内容", "描述")),
    "user.name": (N_("User"), ("user", "username", "user.name", "account", "用户", "用户名", "账号")),
    "source.ip": (
        N_("Source address"),
        ("source.ip", "src_ip", "srcip", "sip", "client_ip", "源ip", "源地址", "源ip地址"),
    ),
    "event.action": (N_("Action"), ("action", "event.action", "operation", "操作", "动作", "操作类型")),
}
assert tuple(ROLES) == TARGETS


def listing(visit: Visit) -> Response:
    """The form, and the newest files of the visitor's organisations."""
    with visit.service.database.read() as tx:
        rows = uploads.listed(tx, visit.visible_tenants(), SHOWN)
    names = tenant_names(visit)
    bounds = visit.service.settings.uploads
    return visit.page(
        "uploads.html",
        rows=rows,
        names=names,
        mine=[one for one in names if visit.can(Permission.SOURCES_MANAGE, visit.tenant(one))],
        kinds=KINDS,
        states=STATES,
        path=PATH,
        largest=f"{bounds.max_file_bytes / 2**20:,.0f}",
        template_count=len(rows),
    )


def detail(visit: Visit) -> Response:
    """One file: counts, what was refused and why; of a table that waits, the choice of columns."""
    row = _row(visit)
    columns = row.sample.get("columns", [])
    return visit.page(
        "upload.html",
        row=row,
        names=tenant_names(visit),
        states=STATES,
        reasons={code: visit.texts.pick(*REASONS.get(code, (code, code))) for code in row.reasons},
        said=REASONS,
        samples=row.samples.get("first", []),
        columns=columns,
        sample_rows=row.sample.get("rows", []),
        roles=ROLES,
        guesses={target: _guess(columns, called) for target, (_, called) in ROLES.items()},
        zone=row.layout.get("zone", DEFAULT_ZONE),
        may=visit.can(Permission.SOURCES_MANAGE, visit.tenant(row.tenant)),
        may_see=visit.can(Permission.EVENTS_READ, visit.tenant(row.tenant)),
        events=urlencode({"q": f"labels.upload:{row.sha256}", "range": "all"}),
        path=PATH,
    )


def choose(visit: Visit) -> Response:
    """Say which column is what; remembered for the organisation's next table with the same columns."""
    row = _row(visit)
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(row.tenant))
    columns = {target: column for target in TARGETS if (column := visit.value(f"column:{target}", limit=300))}
    reading = Reading(columns, uploads.known_zone(visit.value("zone", DEFAULT_ZONE, limit=100)))
    with visit.service.database.begin() as tx:
        found = uploads.get(tx, row.id, visit.visible_tenants())
        uploads.choose(tx, found, reading, actor=visit.principal.username, source_ip=visit.source_ip, now=visit.now)
    return visit.to(f"{PATH}/{row.id}", "upload-mapped")


def discard(visit: Visit) -> Response:
    """Give up a file that is not being read."""
    row = _row(visit)
    visit.need(Permission.SOURCES_MANAGE, visit.tenant(row.tenant))
    with visit.service.database.begin() as tx:
        found = uploads.get(tx, row.id, visit.visible_tenants())
        uploads.discard(tx, found, actor=visit.principal.username, source_ip=visit.source_ip, now=visit.now)
    if row.machine == visit.service.machine:
        (visit.service.uploads_dir / row.file).unlink(missing_ok=True)
    return visit.to(PATH, "upload-discarded")


def _row(visit: Visit) -> UploadRow:
    with visit.service.database.read() as tx:
        return uploads.get(tx, visit.number("upload_id"), visit.visible_tenants())


def _guess(columns: list[str], called: tuple[str, ...]) -> str:
    """The column that bears one of the names that such columns are given; "" when none does."""
    plain = {column.strip().lower(): column for column in columns}
    return next((plain[name] for name in called if name in plain), "")


ROUTES: Routes = (
    Page("GET", "/sources/uploads", listing, Permission.SOURCES_READ),
    Page("GET", "/sources/uploads/{upload_id}", detail, Permission.SOURCES_READ),
    Page("POST", "/sources/uploads/{upload_id}/columns", choose, Permission.SOURCES_MANAGE),
    Page("POST", "/sources/uploads/{upload_id}/discard", discard, Permission.SOURCES_MANAGE),
)
