"""``secops rules replay``: a rule over history, by the code that runs live."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secops.cli.bar import Bar
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from
from secops.cli.times import read_when

if TYPE_CHECKING:
    from secops.replay import Replay

SHOWN = 10


def replay(
    rule: Annotated[
        str, typer.Argument(metavar="RULE|FILE", help="规则的编号、名称或文件 / id, name or file of a rule")
    ],
    start: Annotated[
        str, typer.Option("--from", help="起始接收时间，或 7d / received from; 7d: the last 7 days")
    ] = "1d",
    end: Annotated[str | None, typer.Option("--to", help="结束时间，默认现在 / to; by default now")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="只看这些单位，可多次 / only these organisations, repeatable")
    ] = None,
    excepted: Annotated[
        bool, typer.Option("--exceptions/--no-exceptions", help="按现有停用与例外 / with switches and exceptions")
    ] = False,
    samples: Annotated[int, typer.Option(min=0, max=1000, help="显示的样例数 / samples shown")] = SHOWN,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """在历史日志上运行一条规则 / Run a rule over what the log holds; raises no alert."""
    with open_from(state, config) as service, Bar("回放 replay") as bar:
        from secops import pipeline, rule_desk  # noqa: PLC0415 - the matcher; only once there is a service
        from secops import replay as replaying  # noqa: PLC0415 - likewise

        now = service.clock()
        path = Path(rule)
        if path.is_file():
            rules, only = rule_desk.rules_of_file(service, path)
        else:
            found = rule_desk.find(service, rule)
            rules, only = replaying.rule_with_feeders(service.rules, found), frozenset({found.id})
        with service.database.read() as tx:
            overrides = pipeline.overrides(tx, now)[0] if excepted else None
        result = replaying.replay(
            service,
            rules,
            start=read_when(start, now),
            end=read_when(end, now) if end else now,
            tenants=frozenset(tenant) if tenant else None,
            only=only,
            overrides=overrides,
            progress=bar,
            limits=replaying.Limits(samples=samples),
        )
    emit(asdict(result), as_json, lambda: _text(result))


def _text(found: Replay) -> str:
    lines = [f"{local(hour)}  {count}" for hour, count in found.by_hour.items()]
    lines += [f"{count:8d}  {host or '-'}" for host, count in list(found.by_host.items())[:SHOWN]]
    for one in found.samples:
        lines.append(f"{local(one.at)}  {one.tenant}  {one.host or '-'}  {one.event_id}  {one.message[:160]}")
        lines += [f"    {name}: {value}" for name, value in list(one.fields.items())[:SHOWN]]
    if found.truncated:
        lines.append("已达上限，仅为部分结果 / a limit was reached; this is only a part")
    lines.append(
        f"{found.events:,} 条日志，{found.hits:,} 次命中，{len(found.by_host)} 台主机，{found.seconds:.1f} 秒"
        f" / {found.events:,} events, {found.hits:,} hits, {len(found.by_host)} hosts, {found.seconds:.1f} s"
    )
    return "\n".join(lines)
