"""``secops store export``: events to Parquet or JSON lines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from secops import audit
from secops.cli.bar import Bar
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, open_from, operator
from secops.cli.times import read_moment
from secops.errors import UserError
from secops.settings import ROOT_TENANT
from secops.store import export as exporting
from secops.store.index import Query


class Form(StrEnum):
    """The file's format."""

    PARQUET = "parquet"
    NDJSON = "ndjson"


def export(
    out: Annotated[Path, typer.Option("--out", help="要写的文件，不得已存在 / the file to write; it must not exist")],
    form: Annotated[Form, typer.Option("--format", help="格式 / format")] = Form.PARQUET,
    start: Annotated[str | None, typer.Option("--from", help="起始时间（含）/ from (inclusive)")] = None,
    end: Annotated[str | None, typer.Option("--to", help="结束时间（不含）/ to (exclusive)")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="只导出这些单位，可多次 / only these organisations, repeatable")
    ] = None,
    query: Annotated[str, typer.Option(help="Lucene 语法 / Lucene syntax")] = "",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """导出事件为 Parquet（供 DuckDB、Spark）或 NDJSON，可在服务运行时执行，记入审计 / Export events to Parquet (for DuckDB, Spark) or NDJSON; also beside a running service; audited."""
    with open_from(state, config) as service:
        wanted = Query(
            text=query,
            tenants=frozenset(tenant) if tenant else None,
            start=read_moment(start) if start else None,
            end=read_moment(end) if end else None,
        )
        detail = {"query": query[:500], "tenants": sorted(tenant or []), "from": start, "to": end}
        with service.database.begin() as tx:
            audit.record(
                tx,
                at=service.clock(),
                actor=operator().username,
                action="events.export",
                target=f"file:{out}"[:200],
                tenant=ROOT_TENANT,
                detail=detail | {"form": form.value},
            )
        try:
            with Bar("导出 / exporting") as bar:
                rows = exporting.export(service.log, wanted, out, form.value, bar)
        except OSError as error:
            raise UserError(
                "export.failed",
                f"导出未完成，没有留下文件：{error}",
                f"the export was broken off and left no file: {error}",
            ) from error
        size = out.stat().st_size
    text = f"已导出 {rows:,} 条事件至 {out}（{size:,} 字节）/ {rows:,} events exported to {out} ({size:,} bytes)"
    emit({"path": str(out), "format": form.value, "events": rows, "bytes": size}, as_json, text)
