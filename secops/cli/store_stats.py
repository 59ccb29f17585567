"""``secops store stats``: how much lies in the store, whose, since when, and how many days of disk are left."""

from __future__ import annotations

import shutil
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secops.cli.bar import Bar
from secops.cli.context import ConfigOption, JsonOption, StateOption, emit, local, open_from, table
from secops.cli.store_repair import require_files
from secops.store import stats as counting

if TYPE_CHECKING:
    from secops.store.retention import Retention
    from secops.store.stats import Row, Stats

MIB = 2**20
CHOICES = {"day": "day", "source": "collector,host"}
HEADER = [
    "单位 tenant",
    "日 day",
    "采集 collector",
    "主机 host",
    "事件 events",
    "原始 raw MiB",
    "磁盘 disk MiB",
    "倍 ratio",
    "最早 oldest",
    "最新 newest",
]


def stats(
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="再按 day（入库日，UTC）或 source（采集方式与主机）细分，可多次；读取全部日志 / also by day of writing (UTC) or source (collector and host); reads the whole log"
        ),
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """各分区与各单位的数量、大小、压缩比、最早与最新、留存期限，磁盘可用天数 / Events, bytes, ratio, oldest, newest and retention per partition and organisation; days of disk left."""
    chosen = _chosen(by or [])
    with open_from(state, config) as service:
        require_files(service)
        with Bar("统计 / counting") as bar:
            free = shutil.disk_usage(service.settings.state).free
            found = counting.stats(service.log_dir, service.index_dir, free, bar)
        rows: dict[tuple[str, ...], Row] = {}
        if chosen:
            with Bar("读取 / reading") as bar:
                rows = counting.detail(service.log_dir, chosen, bar)
        left, kept = found.days_left(service.settings.log.reserve_bytes), service.retention()
    data = _plain(found, kept) | {"days_left": None if left is None else round(left, 1)}
    if chosen:
        data["detail"] = [_row_plain(key, row, chosen) for key, row in rows.items()]
    emit(data, as_json, lambda: _text(found, kept, left, rows))


def _chosen(by: list[str]) -> frozenset[str]:
    unknown = sorted(set(by) - CHOICES.keys())
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r}: day, source", param_hint="--by")
    names = [name for each in by for name in CHOICES[each].split(",")]
    return frozenset({"tenant", *names}) if names else frozenset()


def _plain(found: Stats, kept: Retention) -> dict[str, Any]:
    return {
        "partitions": [
            {"partition": part.partition, "segments": part.segments, "sealed": part.sealed, "events": part.events}
            | {"raw_bytes": part.raw, "disk_bytes": part.disk, "ratio": round(part.ratio, 2)}
            | {"oldest": part.since, "newest": part.until}
            for part in found.parts
        ],
        "tenants": {
            tenant: {"events": share.events, "raw_bytes": share.raw, "oldest": share.since, "newest": share.until}
            | {"retention_days": kept.of(tenant).days}
            for tenant, share in sorted(found.tenants.items())
        },
        "log_bytes": found.disk,
        "index_bytes": found.index_bytes,
        "free_bytes": found.free,
    }


def _row_plain(key: tuple[str, ...], row: Row, chosen: frozenset[str]) -> dict[str, Any]:
    names = {name: value for name, value in zip(counting.DIMENSIONS, key, strict=True) if name in chosen}
    sizes = {"events": row.events, "raw_bytes": row.raw, "disk_bytes": round(row.disk)}
    return names | sizes | {"oldest": row.since, "newest": row.until}


def _text(found: Stats, kept: Retention, left: float | None, rows: dict[tuple[str, ...], Row]) -> str:
    parts = [
        [
            str(part.partition),
            f"{part.sealed}/{part.segments}",
            f"{part.events:,}",
            _mib(part.raw),
            _mib(part.disk),
            f"{part.ratio:.1f}",
            _at(part.since),
            _at(part.until),
        ]
        for part in found.parts
    ]
    tenants = [
        [
            tenant or "-",
            f"{share.events:,}",
            _mib(share.raw),
            _at(share.since),
            _at(share.until),
            str(kept.of(tenant).days),
        ]
        for tenant, share in sorted(found.tenants.items())
    ]
    details = [
        [
            *(value or "-" for value in key),
            f"{row.events:,}",
            _mib(row.raw),
            _mib(row.disk),
            f"{row.raw / row.disk if row.disk else 0:.1f}",
            _at(row.since),
            _at(row.until),
        ]
        for key, row in rows.items()
    ]
    sizes = ["事件 events", "原始 raw MiB"]
    times = ["最早 oldest", "最新 newest"]
    days = "未知 / unknown" if left is None else f"{left:,.0f}"
    tables = [
        table(parts, ["分区 part", "已封存 sealed", *sizes, "磁盘 disk MiB", "倍 ratio", *times]),
        table(tenants, ["单位 tenant", *sizes, *times, "留存天 days"]),
        *([table(details, HEADER)] if details else []),
        f"索引 index {_mib(found.index_bytes)} MiB；磁盘可用天数 / days of disk left: {days}",
    ]
    return "\n\n".join(tables)


def _mib(size: float) -> str:
    return f"{size / MIB:,.1f}"


def _at(text: str) -> str:
    return local(datetime.fromisoformat(text)) if text else "-"
