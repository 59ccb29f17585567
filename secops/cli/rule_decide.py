"""``secops rules show, enable, disable, except, exceptions``: what people decide about rules."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from secops.cli import rule_shown
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, open_from, operator
from secops.cli.times import read_when

Rule = Annotated[str, typer.Argument(metavar="RULE", help="规则编号 / id of the rule")]
Tenant = Annotated[str, typer.Option("--tenant", help="单位编号，默认全部 / organisation; by default all")]
Reason = Annotated[str, typer.Option("--reason", help="理由，写入审计 / why; audited")]


def show(rule_id: Rule, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """查看一条规则：统计、停用、例外 / Show a rule with its figures, switches and exceptions."""
    with open_from(state, config) as service:
        from secops import rule_desk  # noqa: PLC0415 - the matcher's loader; only once there is a service
        from secops.rulebook import exceptions, switches  # noqa: PLC0415 - likewise

        rule_id = rule_desk.find(service, rule_id).id
        now = service.clock()
        with service.database.read() as tx:
            [one] = [each for each in rule_desk.listing(service, tx, now) if each.rule.id == rule_id]
            switched, excepted = switches.of(tx, rule_id), exceptions.of(tx, rule_id)
    known = frozenset({rule_id})
    info, stat = one.rule.info, one.stat
    lines = [
        f"{info.title_zh or info.title} / {info.title}",
        f"{info.id}  {info.level}  {one.rule.kind}  {info.source}:{one.rule.line}",
        f"单位 tenants: {rule_shown.tenants_text(one)}",
        f"命中 hits: {stat.hits}  例外 excepted: {stat.excepted}  停用期间 switched off: {stat.switched_off}",
        *(f"    {tenant or '-'}: {hits}" for tenant, hits in stat.by_tenant.items()),
        f"检查约 evaluated about {stat.evaluated:,}，CPU 约 about {rule_shown.seconds(stat.cpu_us)}（抽样估计 estimates）",
        *rule_shown.switch_lines(switched),
        *rule_shown.exception_lines(excepted, now, known),
    ]
    data = {
        **rule_shown.listed_data(one),
        "switches": switched,
        "exceptions": [rule_shown.exception_data(each, now, known) for each in excepted],
    }
    emit(data, as_json, "\n".join(lines))


def enable(
    rule_id: Rule,
    reason: Reason,
    tenant: Tenant = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """启用规则 / Switch a rule on again."""
    _switch(rule_id, tenant, reason, (state, config), enabled=True, as_json=as_json)


def disable(
    rule_id: Rule,
    reason: Reason,
    tenant: Tenant = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """停用规则 / Switch a rule off."""
    _switch(rule_id, tenant, reason, (state, config), enabled=False, as_json=as_json)


def _switch(
    rule_id: str,
    tenant: str,
    reason: str,
    where: tuple[StateOption, ConfigOption],
    *,
    enabled: bool,
    as_json: bool,
) -> None:
    with open_from(*where) as service:
        from secops import rule_desk  # noqa: PLC0415 - see show

        rule_desk.set_enabled(
            service, rule_id=rule_id, tenant=tenant, enabled=enabled, reason=reason, actor=operator().username
        )
    zh, en = ("已启用", "on") if enabled else ("已停用", "off")
    data = {"rule_id": rule_id, "tenant": tenant, "enabled": enabled}
    emit(data, as_json, f"{rule_id} {zh}（{tenant or '全部单位'}）/ {rule_id} is {en} for {tenant or 'all'}")


def except_(
    rule_id: Rule,
    where: Annotated[
        str,
        typer.Option(
            "--where", help="条件（Sigma 选择项，YAML；- 读标准输入）/ Sigma selection in YAML; - reads standard input"
        ),
    ],
    reason: Reason,
    tenant: Tenant = "",
    expires: Annotated[
        str | None, typer.Option("--expires", help="到期：最后一天、时间或 30d / its last day, a time, or 30d")
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """添加例外：符合条件的日志不再触发该规则 / Except events from a rule."""
    condition = sys.stdin.read() if where == "-" else where
    with open_from(state, config) as service:
        from secops import rule_desk  # noqa: PLC0415 - see show

        number = rule_desk.add_exception(
            service,
            rule_id=rule_id,
            tenant=tenant,
            condition=condition,
            reason=reason,
            actor=operator().username,
            expires_at=read_when(expires, service.clock(), ahead=True) if expires else None,
        )
    emit(
        {"id": number, "rule_id": rule_id, "tenant": tenant},
        as_json,
        f"例外 #{number} 已生效 / exception #{number} is in force",
    )


def unexcept(
    number: Annotated[int, typer.Argument(metavar="NUMBER", help="例外编号 / number of the exception")],
    reason: Reason,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """撤销例外 / End an exception."""
    with open_from(state, config) as service, service.database.begin() as tx:
        from secops.rulebook import exceptions  # noqa: PLC0415 - see show

        exceptions.end(tx, number, actor=operator().username, reason=reason, now=service.clock())
    emit({"id": number}, as_json, f"例外 #{number} 已撤销 / exception #{number} has ended")


def list_exceptions(
    every: Annotated[bool, typer.Option("--all", help="包括已失效的 / also those that ended")] = False,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出例外；规则已不存在的会标出 / List exceptions; those whose rule is gone say so."""
    with open_from(state, config) as service:
        from secops.rulebook import exceptions  # noqa: PLC0415 - see show

        now = service.clock()
        known = frozenset(rule.id for rule in service.rules.rules)
        with service.database.read() as tx:
            found = exceptions.all(tx) if every else exceptions.active(tx, now)
    data = [rule_shown.exception_data(one, now, known) for one in found]
    emit(data, as_json, "\n".join(rule_shown.exception_lines(found, now, known)) or "没有例外 / no exceptions")
