"""``secops store retention``: how long each organisation's events are kept."""

from __future__ import annotations

from typing import Annotated

import typer

from secops.cli.context import (
    ConfigOption,
    JsonOption,
    StateOption,
    emit,
    local,
    open_from,
    operator,
    people_errors,
    table,
)
from secops.store import retention_rules

app = typer.Typer(help="各单位日志留存期限 / how long events are kept", no_args_is_help=True)


@app.command("list")
def list_retention(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """列出留存期限 / List how long events are kept."""
    with open_from(state, config) as service, service.database.read() as tx:
        rules, days = retention_rules.in_force(tx), service.settings.log.retention_days
    rows = [["*", str(days), "log.retention_days", "", ""]]
    rows += [[rule.tenant, str(rule.days), rule.reason, rule.actor, local(rule.at)] for rule in rules]
    data = {
        "days": days,
        "rules": [
            {"tenant": rule.tenant, "days": rule.days, "reason": rule.reason, "actor": rule.actor, "at": rule.at}
            for rule in rules
        ],
    }
    emit(data, as_json, lambda: table(rows, ["单位 tenant", "天 days", "理由 reason", "谁 actor", "时间 at"]))


@app.command("set")
def set_retention(
    tenant: Annotated[str, typer.Argument(help="单位 / organisation")],
    days: Annotated[int, typer.Argument(help="天数，不少于 184 / days, 184 at least")],
    reason: Annotated[str, typer.Option(help="理由 / reason")],
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """调整一个单位的留存期限，记入审计 / Decide how long an organisation's events are kept; audited."""
    with open_from(state, config) as service, people_errors(), service.database.begin() as tx:
        retention_rules.decide(
            tx, tenant=tenant, days=days, reason=reason, actor=operator().username, now=service.clock()
        )
    emit({"tenant": tenant, "days": days}, as_json, f"{tenant}: {days} 天 days")
