"""``secops silence``: silences, made, ended early and listed."""

from __future__ import annotations

from typing import Annotated

import typer

from secops.alert import silences
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table
from secops.cli.times import read_moment, read_span

app = typer.Typer(help="静默：一段时间内不通报某些告警 / silences", no_args_is_help=True)


@app.command("list")
def list_silences(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """列出静默，含已到期的 / List silences, expired ones too."""
    with open_from(state, config) as service, service.database.read() as tx:
        found = silences.all(tx)
        now = service.clock()
    rows = [
        [
            str(one.id),
            "生效 active"
            if one.starts_at <= now < one.ends_at
            else ("未到 pending" if now < one.starts_at else "结束 over"),
            one.tenant or "*",
            local(one.starts_at),
            local(one.ends_at),
            " & ".join(one.matchers),
            one.reason,
        ]
        for one in found
    ]
    header = ["编号 id", "状态", "单位 tenant", "开始 from", "结束 to", "匹配 matchers", "原因 reason"]
    emit([one.columns() for one in found], as_json, lambda: table(rows, header))


@app.command()
def add(
    matcher: Annotated[
        list[str],
        typer.Argument(
            help="匹配条件，如 'rule = ID'、'source.ip ~ 10.1.*'，须全部成立 / matchers, all of which must hold"
        ),
    ],
    reason: Annotated[str, typer.Option(help="原因 / why")],
    lasting: Annotated[str, typer.Option("--for", help="时长：90m、2h、3d / how long")] = "2h",
    start: Annotated[str, typer.Option("--from", help="开始，默认现在 / start, now by default")] = "",
    tenant: Annotated[str, typer.Option(help="单位，默认全部 / tenant, all by default")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """新建静默 / Silence what all matchers hold of."""
    with open_from(state, config) as service:
        now = service.clock()
        begin = read_moment(start) if start else now
        with service.database.begin() as tx:
            made = silences.add(
                tx,
                tenant=tenant,
                matching=matcher,
                starts_at=begin,
                ends_at=begin + read_span(lasting),
                reason=reason,
                author=operator().username,
                now=now,
            )
        emit({"id": made}, as_json, f"静默 {made} 已建立 / silence {made} is made")


@app.command()
def end(
    silence_id: int,
    reason: Annotated[str, typer.Option(help="提前结束的原因 / why")],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """提前结束静默 / End a silence now."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            silences.end(tx, silence_id, actor=operator().username, reason=reason, now=service.clock())
        emit({"id": silence_id, "ended": True}, as_json, f"静默 {silence_id} 已结束 / silence {silence_id} is over")
