"""``secops source``: tokens with which a tenant's senders push events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secops import source_health, source_quotas, sources
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table
from secops.settings import ROOT_TENANT
from secops.source_quotas import Quota

if TYPE_CHECKING:
    from pathlib import Path

HEALTH: Final = [
    "单位 tenant",
    "主机 host",
    "方式 way",
    "状态 state",
    "条/秒 /s",
    "最近 last",
    "延迟秒 lag s",
    "时钟快秒 ahead s",
    "未理解 unread",
]
QUOTAS: Final = [
    "单位 tenant",
    "自有 own",
    "条/秒 events/s",
    "字节/日 bytes/day",
    "今日条数 events",
    "今日字节 bytes",
    "被限速 slowed",
    "丢弃 dropped",
]

app = typer.Typer(help="日志来源令牌 / tokens of log sources", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="来源名称 / name of the source")],
    tenant: Annotated[str, typer.Option(help="所属单位 / organisation it belongs to")] = "city",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """新建令牌，只显示一次 / Make a token; it is shown once."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            token = sources.create_token(tx, tenant=tenant, name=name, actor=operator().username, now=service.clock())
        port = service.settings.ingest.push_port
        # The token comes from a file: on the command line every user of the machine could read it.
        example = f"curl -H @HEADER_FILE --data-binary @FILE.jsonl http://127.0.0.1:{port}/v1/events"
        example += "\nHEADER_FILE (0600): Authorization: Bearer <token>"
        emit({"token": token, "tenant": tenant, "name": name}, as_json, f"{token}\n{example}")


@app.command("list")
def list_tokens(
    health: Annotated[bool, typer.Option(help="列出来源及其健康状况 / list sources and how they are doing")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出令牌（不含令牌本身），或各来源的健康状况 / List tokens, without the tokens themselves, or how sources are doing."""
    if health:
        _list_health(state, config, as_json)
        return
    with open_from(state, config) as service, service.database.read() as tx:
        rows = [
            {"id": r.id, "tenant": r.tenant, "name": r.name, "created_at": r.created_at, "revoked_at": r.revoked_at}
            for r in sources.tokens(tx)
        ]
    text = [
        [str(r["id"]), str(r["tenant"]), str(r["name"]), "已吊销 revoked" if r["revoked_at"] else "有效 live"]
        for r in rows
    ]
    emit(rows, as_json, lambda: table(text, ["id", "单位 tenant", "名称 name", "状态 state"]))


@app.command()
def revoke(token_id: int, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """吊销令牌 / Revoke a token."""
    with open_from(state, config) as service:
        with service.database.begin() as tx:
            sources.revoke_token(tx, token_id, actor=operator().username, now=service.clock())
        emit({"revoked": token_id}, as_json, f"已吊销 / revoked: {token_id}")


@app.command()
def quota(
    tenant: Annotated[str, typer.Argument(help="单位；不填则列出 / organisation; without it they are listed")] = "",
    events_per_second: Annotated[
        int | None, typer.Option(help="每秒条数，0 不限 / events a second, 0: no bound")
    ] = None,
    bytes_per_day: Annotated[int | None, typer.Option(help="每日字节，0 不限 / bytes a day, 0: no bound")] = None,
    default: Annotated[bool, typer.Option(help="恢复为系统设置 / go back to the settings")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """查看或设置单位的上报配额 / Show or set how much an organisation may send."""
    with open_from(state, config) as service:
        usual = Quota(service.settings.ingest.events_per_second, service.settings.ingest.bytes_per_day)
        now = service.clock()
        with service.database.begin() as tx:
            own = source_quotas.quotas(tx)
            if tenant and (default or events_per_second is not None or bytes_per_day is not None):
                before = own.get(tenant, usual)
                wanted = Quota(
                    before.events_per_second if events_per_second is None else events_per_second,
                    before.bytes_per_day if bytes_per_day is None else bytes_per_day,
                )
                source_quotas.set_quota(tx, tenant, None if default else wanted, actor=operator().username, now=now)
        with service.database.read() as tx:
            organizations = [one.id for one in service.identity.organizations()]
            tenants = list(dict.fromkeys([ROOT_TENANT, *organizations, *source_quotas.quotas(tx)]))
            rows = [
                one
                for one in source_quotas.summary(tx, usual, now.date(), tenants)
                if not tenant or one["tenant"] == tenant
            ]
    emit(rows, as_json, lambda: table([[str(value) for value in one.values()] for one in rows], QUOTAS))


def _list_health(state: Path | None, config: Path | None, as_json: bool) -> None:
    with open_from(state, config) as service, service.database.read() as tx:
        now = service.clock()
        rows = [source_health.summary(row, now) for row in source_health.find(tx, tenants=None)]
    emit(rows, as_json, lambda: "\n".join([table([_line(row) for row in rows], HEALTH), *_zone_hints(rows)]))


def _zone_hints(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{row['host']}：时间与接收时间相差 {row['clock_off_hours']:+d} 小时，像是时区不对；见设置 ingest.timezone"
        f" / {row['host']}: its times differ from receipt by {row['clock_off_hours']:+d} h, as of a time zone; see ingest.timezone"
        for row in rows
        if row["clock_off_hours"]
    ]


def _line(row: dict[str, Any]) -> list[str]:
    return [
        str(row["tenant"]),
        str(row["host"]),
        str(row["collector"]),
        "静默 silent" if row["silent"] else "正常 sending",
        f"{row['events_per_second']:.1f}",
        local(row["last_seen"]),
        f"{row['lag_seconds']:.1f}",
        f"{row['clock_ahead_seconds']:.0f}",
        str(row["quarantined"] + row["unparsed"]),
    ]
