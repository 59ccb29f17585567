"""``secops audit``: the append-only trail, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from secops import audit
from secops.cli.context import NO, ConfigOption, JsonOption, StateOption, emit, local, open_from, operator, table

app = typer.Typer(help="审计记录 / the audit trail", no_args_is_help=True)


@app.command("list")
def list_rows(
    after: Annotated[int, typer.Option(help="从此编号之后 / only rows after this id")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="最多行数 / most rows")] = 100,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """列出审计记录 / List audited acts, oldest first."""
    with open_from(state, config) as service, service.database.read() as tx:
        rows = [{**audit.as_dict(row), "hash": row.hash} for row in audit.after(tx, after, limit)]
    text = [[str(r["id"]), local(r["at"]), r["actor"], r["action"], r["outcome"], r["target"]] for r in rows]
    emit(
        rows, as_json, lambda: table(text, ["id", "时间 at", "谁 actor", "做了 action", "结果 outcome", "对象 target"])
    )


@app.command()
def verify(state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """校验哈希链；不完整时退出码 1 / Check the chain of hashes; exit code 1 names the rows that do not hold."""
    with open_from(state, config) as service:
        with service.database.read() as tx:
            broken = audit.broken_links(tx)
        with service.database.begin() as tx:
            audit.report_broken(tx, broken, at=service.clock(), actor=operator().username)
    text = (
        "审计链完整 / the audit chain is whole"
        if not broken
        else f"审计链断裂于 / the audit chain breaks at: {broken[:20]}"
    )
    emit({"whole": not broken, "broken": broken}, as_json, text)
    if broken:
        raise typer.Exit(NO)
