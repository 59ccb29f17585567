"""``secops alert``: look at alerts, acknowledge and close them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer

from secops.alert import noise as noise_report
from secops.alert import queries
from secops.alert.find import Filter, search
from secops.alert.noise import NoiseRow
from secops.alert.queries import Disposition
from secops.alert.severity import LEVELS_ZH
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table
from secops.cli.times import read_moment
from secops.records import Alert, AlertStatus, Level

app = typer.Typer(help="告警 / alerts", no_args_is_help=True)

STATUS_ZH = {AlertStatus.OPEN: "未处理", AlertStatus.ACKNOWLEDGED: "已确认", AlertStatus.CLOSED: "已关闭"}


@app.command("list")
def list_alerts(
    status: Annotated[AlertStatus | None, typer.Option(help="状态 / status")] = None,
    level: Annotated[Level | None, typer.Option(help="规则级别 / the rule's level")] = None,
    severity: Annotated[Level | None, typer.Option(help="严重程度 / severity")] = None,
    muted: Annotated[bool | None, typer.Option(help="是否被屏蔽 / muted or not")] = None,
    text: Annotated[str, typer.Option(help="标题、规则、主机、分组值中的字词 / words")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 50,
    before: Annotated[int | None, typer.Option(help="此编号之前 / before this id")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出告警，新的在前 / List alerts, newest first."""
    with open_from(state, config) as service, service.database.read() as tx:
        asked = Filter(status=status, level=level, severity=severity, muted=muted, text=text)
        found = search(tx, asked, limit=limit, before=before)
    rows = [
        [
            str(a.id),
            LEVELS_ZH[a.severity or a.level],
            STATUS_ZH[a.status] + ("（屏蔽）" if a.muted_kind else ""),
            str(a.count),
            a.tenant,
            local(a.last_seen),
            a.title_zh or a.title,
        ]
        for a in found
    ]
    header = ["编号 id", "级别", "状态", "次数", "单位", "最近 last seen", "标题 title"]
    emit([asdict(a) for a in found], as_json, lambda: table(rows, header))


@app.command()
def show(alert_id: int, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """查看一条告警及其历史 / Show one alert and its history."""
    with open_from(state, config) as service, service.database.read() as tx:
        alert = queries.get(tx, alert_id)
        history = queries.history(tx, alert_id)
    lines = [
        f"{alert.title_zh or alert.title} / {alert.title}",
        f"级别 level: {LEVELS_ZH[alert.level]} {alert.level}    状态 status: {STATUS_ZH[alert.status]}    次数 count: {alert.count}",
        f"首次 first: {local(alert.first_seen)}    最近 last: {local(alert.last_seen)}    规则 rule: {alert.rule_id}",
        f"严重程度 severity: {alert.severity}（{'；'.join(one['zh'] for one in alert.severity_reasons)}）",
        *([f"屏蔽 muted: {alert.muted_zh} / {alert.muted_en}"] if alert.muted_kind else []),
        *(f"{name}: {value}" for name, value in alert.group.items()),
        *(
            f"{local(line.at)}  {line.kind}  {line.actor}  {line.count or ''}  {line.reason}".rstrip()
            for line in history
        ),
    ]
    emit({**asdict(alert), "history": [asdict(line) for line in history]}, as_json, "\n".join(lines))


@app.command()
def ack(
    alert_id: int,
    reason: Annotated[str, typer.Option(help="说明 / note")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """确认告警：有人在处理 / Acknowledge: somebody looks after it."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            alert = queries.acknowledge(tx, alert_id, actor=operator().username, reason=reason, now=service.clock())
        _done(alert, as_json)


@app.command()
def close(
    alert_id: int,
    reason: Annotated[str, typer.Option(help="关闭原因 / why")],
    disposition: Annotated[
        Disposition, typer.Option(help="结论，必填 / what it turned out to be; it goes into evidence")
    ],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """关闭告警 / Close an alert."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            alert = queries.close(
                tx, alert_id, actor=operator().username, reason=reason, disposition=disposition, now=service.clock()
            )
        _done(alert, as_json)


@app.command()
def noise(
    start: Annotated[str, typer.Option("--from", help="开始（含），默认 30 天前 / from, 30 days ago by default")] = "",
    end: Annotated[str, typer.Option("--to", help="结束（不含），默认现在 / to, now by default")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """各规则的噪声：告警数、误报占比、建议 / Noise per rule: alerts, share of false ones, suggestions."""
    with open_from(state, config) as service:
        until = read_moment(end) if end else service.clock()
        since = read_moment(start) if start else until - timedelta(days=30)
        with service.database.read() as tx:
            found = noise_report.report(tx, tenants=None, start=since, end=until)
    rows = [
        [
            str(row.alerts),
            f"{row.share:.0%}",
            str(row.events),
            str(row.muted),
            f"{row.false_positive}+{row.benign}/{row.closed}",
            str(row.time_to_close).split(".")[0] if row.time_to_close is not None else "-",
            row.title_zh or row.title,
        ]
        for row in found
    ]
    header = [
        "告警 alerts",
        "占比 share",
        "日志 events",
        "屏蔽 muted",
        "误报+无害/关闭",
        "处置用时 median",
        "规则 rule",
    ]
    said = [f"{row.title_zh or row.title}：{one.zh}\n  {one.en}" for row in found for one in row.suggestions]
    emit([_noise(row) for row in found], as_json, lambda: "\n".join([table(rows, header), *said]))


def _noise(row: NoiseRow) -> dict[str, Any]:
    seconds = row.time_to_close.total_seconds() if row.time_to_close is not None else None
    return {**asdict(row), "time_to_close": seconds, "wrong": row.wrong}


def _done(alert: Alert, as_json: bool) -> None:
    data: dict[str, Any] = asdict(alert)
    emit(data, as_json, f"告警 {alert.id}：{STATUS_ZH[alert.status]} / alert {alert.id}: {alert.status}")
