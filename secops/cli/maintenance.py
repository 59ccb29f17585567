"""``secops maintenance``: maintenance windows, announced, ended early and listed."""

from __future__ import annotations

from typing import Annotated

import typer

from secops.alert import maintenance
from secops.alert.maintenance import Plan
from secops.alert.schedule import Repeat
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table
from secops.cli.times import read_moment

app = typer.Typer(help="维护窗口：有变更单的作业期间不通报 / maintenance windows", no_args_is_help=True)


@app.command("list")
def list_windows(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """列出维护窗口，含已结束的 / List windows, those that are over too."""
    with open_from(state, config) as service, service.database.read() as tx:
        found = maintenance.all(tx)
    rows = [
        [
            str(one.id),
            one.change,
            one.tenant or "*",
            " ".join(one.hosts) or "*",
            local(one.starts_at),
            local(one.ends_at),
            f"{one.repeat} {','.join(map(str, one.days))} {one.opens}-{one.closes}" if one.opens else "once",
            one.reason,
        ]
        for one in found
    ]
    header = ["编号 id", "变更单 change", "单位", "主机 hosts", "开始 from", "结束 to", "重复 repeat", "内容 what"]
    emit([one.columns() for one in found], as_json, lambda: table(rows, header))


@app.command()
def add(
    change: Annotated[str, typer.Argument(help="变更单号 / the change ticket's number")],
    start: Annotated[
        str, typer.Option("--from", help="开始，无时区则为北京时间 / start; Beijing time if it has no zone")
    ],
    end: Annotated[str, typer.Option("--to", help="结束 / end")],
    reason: Annotated[str, typer.Option(help="作业内容 / what is done")],
    tenant: Annotated[str, typer.Option(help="单位，默认全部 / tenant, all by default")] = "",
    host: Annotated[
        list[str] | None, typer.Option(help="主机，可用通配符，可重复 / host glob, repeatable; all by default")
    ] = None,
    repeat: Annotated[Repeat, typer.Option(help="重复 / how often")] = Repeat.ONCE,
    day: Annotated[list[int] | None, typer.Option(help="星期 1-7 或日期 1-31 / days of week or month")] = None,
    opens: Annotated[str, typer.Option(help="每次开始 22:00 / opens at, Beijing time")] = "",
    closes: Annotated[str, typer.Option(help="每次结束 02:00 / closes at")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """登记维护窗口 / Announce a window."""
    with open_from(state, config) as service:
        plan = Plan(
            tenant=tenant,
            hosts=host or [],
            change=change,
            reason=reason,
            starts_at=read_moment(start),
            ends_at=read_moment(end),
            repeat=repeat,
            days=day or [],
            opens=opens,
            closes=closes,
        )
        with service.database.begin() as tx:
            made = maintenance.add(tx, plan, author=operator().username, now=service.clock())
        emit({"id": made}, as_json, f"维护窗口 {made} 已登记 / window {made} is announced")


@app.command("end")
def end_window(
    window_id: int,
    reason: Annotated[str, typer.Option(help="提前结束的原因 / why")],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """提前结束维护窗口 / End a window now."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            maintenance.end(tx, window_id, actor=operator().username, reason=reason, now=service.clock())
        emit({"id": window_id, "ended": True}, as_json, f"维护窗口 {window_id} 已结束 / window {window_id} is over")
