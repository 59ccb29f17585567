"""``secops search``: events in Lucene syntax, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, fail, local, open_from
from secops.errors import UserError
from secops.store.index import Query


def search(
    text: Annotated[
        str, typer.Argument(metavar="QUERY", help="Lucene 语法，空为全部 / Lucene syntax, empty for everything")
    ],
    start: Annotated[str | None, typer.Option("--from", help="起始时间（含），ISO 8601 / from (inclusive)")] = None,
    end: Annotated[str | None, typer.Option("--to", help="结束时间（不含）/ to (exclusive)")] = None,
    tenant: Annotated[
        list[str] | None, typer.Option(help="只看这些单位，可多次 / only these organisations, repeatable")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="最多条数 / most events")] = 50,
    before: Annotated[str | None, typer.Option(help="上一页给出的位置 / where the page before ended")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """检索日志 / Search events."""
    query = Query(
        text=text,
        tenants=frozenset(tenant) if tenant else None,
        start=moment(start),
        end=moment(end),
        limit=limit,
        before=before,
    )
    with open_from(state, config) as service:
        page = service.index.search(query)
    more = "" if page.total_exact else "+"
    lines = [
        f"{local(hit['@timestamp'])}  {hit.get('host.name') or '-'}  {hit.get('message') or ''}" for hit in page.hits
    ]
    lines.append(
        f"共 {page.total}{more} 条，{page.took_ms:.1f} 毫秒 / {page.total}{more} events, {page.took_ms:.1f} ms"
    )
    if page.next:
        lines.append(f"下一页 / next page: --before '{page.next}'")
    data = {
        "hits": page.hits,
        "total": page.total,
        "total_exact": page.total_exact,
        "next": page.next,
        "took_ms": page.took_ms,
    }
    emit(data, as_json, "\n".join(lines))


def moment(text: str | None) -> datetime | None:
    """Read a time; one without a zone is this machine's local time."""
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        fail(
            UserError(
                "time.invalid",
                f"无法理解时间 {text!r}；例：2026-11-24T08:00",
                f"cannot read the time {text!r}; e.g. 2026-11-24T08:00",
            )
        )
