"""Export of events to Parquet or JSON lines, in bounded memory: the log is read once, in order, and written as it comes, Parquet by row groups.

Columns of Parquet are fields under their ECS names, then ``original``: the whole event as JSON text. Needs pyarrow, the
extra ``secops[parquet]``. A line of NDJSON is the whole event.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias

import orjson

from secops.errors import UserError
from secops.records import EVENT_ID, INGESTED, MESSAGE, RAW, TENANT, TIMESTAMP, EventId
from secops.store import columns
from secops.store import query as language
from secops.store.columns import EPOCH, SECOND
from secops.store.evaluate import compile_query
from secops.store.fields import KEYWORDS, lookup, scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from secops.records import Event
    from secops.store.index import Query
    from secops.store.log import Log

Format: TypeAlias = Literal["parquet", "ndjson"]

BATCH: Final = 5000
GROUP_ROWS: Final = 32_768  # of a row group, which is held in memory
GROUP_BYTES: Final = 64 * 2**20  # of its events' JSON
ORIGINAL: Final = "original"
TIMES: Final = (TIMESTAMP, INGESTED)
LISTS: Final = ("event.category", "event.type")  # arrays by ECS
WHOLE_NUMBERS: Final = (
    "http.response.status_code",
    "http.response.body.bytes",
    "source.port",
    "destination.port",
    "process.pid",
)
TEXTS: Final = (
    "user.id",
    "process.command_line",
    "file.path",
    "url.original",
    "rule.name",
    "service.name",
    "log.source.address",
    MESSAGE,
    RAW,
)
COLUMNS: Final = (EVENT_ID, *TIMES, *dict.fromkeys((*KEYWORDS, *LISTS, *WHOLE_NUMBERS, *TEXTS)), ORIGINAL)
INT64: Final = 2**63


class Sink(Protocol):
    """What events are written to, one after another."""

    def add(self, event: Event, line: bytes) -> None:
        """Write an event; ``line`` is the whole of it as JSON."""


def export(log: Log, query: Query, out: Path, form: Format, progress: Callable[[int, int], None] | None = None) -> int:
    """Write the events that match to ``out``, whole or not at all; gives how many. ``progress`` hears (events read, of).

    The file is its owner's alone (mode 0600). The query's ``limit`` and ``before`` are not looked at.

    Raises:
        UserError: ``out`` exists, its folder does not, or pyarrow is not installed.
        QuerySyntaxError: the query cannot be understood.
        OSError: the disk is full or failed.
    """
    wanted = _predicate(query)
    _refuse(out)
    opened = {"parquet": _parquet, "ndjson": _ndjson}[form]
    draft, rows = out.with_name(f".{out.name}.{os.getpid()}.partial"), 0
    draft.touch(mode=0o600)
    try:
        with opened(draft) as sink:
            for event in _matching(log, wanted, progress):
                sink.add(event, orjson.dumps(event))
                rows += 1
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return rows


def _refuse(out: Path) -> None:
    if out.exists():
        raise UserError("export.exists", f"{out} 已存在；请换一个文件名。", f"{out} exists; choose another name.")
    if not out.parent.is_dir():
        raise UserError(
            "export.folder",
            f"没有目录 {out.parent}；请先建立，或换一个位置。",
            f"there is no folder {out.parent}; make it first, or choose another place.",
        )


def _predicate(query: Query) -> Callable[[Event], bool]:
    matches = compile_query(language.parse(query.text))
    low, high = (None if at is None else (at - EPOCH).total_seconds() * SECOND for at in (query.start, query.end))

    def wanted(event: Event) -> bool:
        if query.tenants is not None and event.get(TENANT) not in query.tenants:
            return False
        moment = columns.microseconds(event)
        return (low is None or moment >= low) and (high is None or moment < high) and matches(event)

    return wanted


def _matching(
    log: Log, wanted: Callable[[Event], bool], progress: Callable[[int, int], None] | None
) -> Iterator[Event]:
    """Every stored event that is wanted, up to where the log ends now."""
    spans = {partition: (log.first(partition), log.end(partition)) for partition in range(log.partitions)}
    total, before = sum(max(end - first, 0) for first, end in spans.values()), 0
    for partition, (first, end) in spans.items():
        offset = first
        while offset < end and (events := log.read(partition, offset, min(BATCH, end - offset))):
            yield from filter(wanted, events)
            offset = EventId.parse(events[-1][EVENT_ID]).offset + 1
            if progress is not None:
                progress(min(before + offset - first, total), total)
        before += max(end - first, 0)


@contextmanager
def _ndjson(path: Path) -> Iterator[Sink]:
    with path.open("wb") as file:
        yield _Lines(file.write)


class _Lines:
    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def add(self, _event: Event, line: bytes) -> None:
        self._write(line + b"\n")


@contextmanager
def _parquet(path: Path) -> Iterator[Sink]:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and 45 MB that only this needs
        from pyarrow import parquet  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise UserError(
            "export.pyarrow",
            "导出 Parquet 需要 pyarrow；请运行 pip install 'secops[parquet]'，或用 --format ndjson",
            "exporting to Parquet needs pyarrow; run pip install 'secops[parquet]', or use --format ndjson",
        ) from error
    kinds = dict.fromkeys(TIMES, pa.timestamp("us", tz="UTC")) | dict.fromkeys(LISTS, pa.list_(pa.string()))
    kinds |= dict.fromkeys(WHOLE_NUMBERS, pa.int64())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        rows = _Rows(lambda found: writer.write_table(pa.table(found, schema=schema)))
        yield rows
        rows.flush()  # be it empty: a file without rows still has its columns


class _Rows:
    """Gathers a row group by columns, so that only what is written of an event is held."""

    def __init__(self, write: Callable[[dict[str, list[Any]]], object]) -> None:
        self._write, self._bytes = write, 0
        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}

    def add(self, event: Event, line: bytes) -> None:
        for name in COLUMNS[:-1]:
            self._columns[name].append(_cell(event, name))
        self._columns[ORIGINAL].append(line.decode())
        self._bytes += len(line)
        if len(self._columns[ORIGINAL]) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        self._write(self._columns)
        self._columns, self._bytes = {name: [] for name in COLUMNS}, 0


def _cell(event: Event, name: str) -> Any:  # noqa: ANN401 - of the column's type
    if name in TIMES:
        return columns.microseconds({TIMESTAMP: event[name]}) or None if name in event else None
    value = lookup(event, name)
    if value is None:
        return None
    if name in LISTS:
        return list(scalars(value))
    if name in WHOLE_NUMBERS:
        return _whole_number(value)
    return value if isinstance(value, str) else ", ".join(scalars(value)) or None


def _whole_number(value: object) -> int | None:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20):  # noqa: PLR2004 - digits of 2**63
        return None
    number = int(text)
    return number if -INT64 <= number < INT64 else None
