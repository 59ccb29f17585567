from __future__ import annotations

import json
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from secops.errors import UserError
from secops.store import export as exporting
from secops.store.files import FileLog
from secops.store.index import Query

EVERYTHING = Query(tenants=None)
DAY = datetime(2026, 11, 24, tzinfo=UTC)


def event(number: int) -> dict[str, Any]:
    return {
        "@timestamp": f"2026-11-24T{number % 24:02d}:00:00.000001Z",
        "organization.id": "ab"[number % 2],
        "event.category": ["authentication", "session"] if number % 3 else "process",
        "host.name": f"主机{number}",
        "message": f"event {number} 登录失败 'quoted' \u0000",
        "source.port": [22, "443", "ssh", 2**70, True, None][number % 6],
        "strange": {"nested": [1, None, "x"]},
    }


@pytest.fixture
def filled(log: FileLog) -> FileLog:
    for start in range(0, 1000, 100):
        log.append({n: [event(number) for number in range(start + n, start + 100, 4)] for n in range(4)})
    return log


def rows(path: Path, what: str) -> list[Any]:
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed (make setup-dev)")
    with duckdb.connect() as connection:
        found: list[Any] = connection.execute(what.replace("FILE", f"'{path}'")).fetchall()
        return found


def test_duckdb_reads_every_event_as_it_is_in_the_log(
    filled: FileLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "GROUP_ROWS", 64)  # many row groups of a small log
    out = tmp_path / "all.parquet"
    said: list[tuple[int, int]] = []
    assert exporting.export(filled, EVERYTHING, out, "parquet", lambda *done: said.append(done)) == 1000
    assert said[-1] == (1000, 1000)
    stored = {one["event.id"]: one for partition in range(4) for one in filled.read(partition, 0, 1000)}
    exported = rows(out, """select "event.id", original, epoch_us("@timestamp"), "host.name" from FILE""")
    assert {name: json.loads(text) for name, text, _, _ in exported} == stored
    first = next(row for row in exported if row[3] == "主机0")
    assert first[2] == int(DAY.timestamp()) * 1_000_000 + 1
    found = rows(out, """select "event.category", "source.port" from FILE where "host.name" = '主机1'""")
    assert found == [(["authentication", "session"], 443)]
    ports = rows(out, """select "source.port", count(*) from FILE group by 1 order by 1 nulls last""")
    assert ports == [(22, 167), (443, 167), (None, 666)]


def test_a_group_is_bounded_by_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "GROUP_BYTES", 4000)
    groups: list[list[str]] = []
    rows = exporting._Rows(lambda found: groups.append(found["original"]))
    for number in range(250):
        rows.add(event(number), json.dumps(event(number)).encode())
    rows.flush()
    assert sum(map(len, groups)) == 250
    assert max(sum(map(len, group)) for group in groups) < 4400


def test_tenant_time_and_query_choose_what_is_exported(filled: FileLog, tmp_path: Path) -> None:
    wanted = Query(
        text="event.category:process", tenants=frozenset({"a"}), start=DAY.replace(hour=3), end=DAY.replace(hour=9)
    )
    expected = [n for n in range(1000) if n % 2 == 0 and n % 3 == 0 and 3 <= n % 24 < 9]
    out = tmp_path / "some.ndjson"
    assert exporting.export(filled, wanted, out, "ndjson") == len(expected) > 0
    found = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert sorted(one["host.name"] for one in found) == sorted(f"主机{n}" for n in expected)
    assert {one["organization.id"] for one in found} == {"a"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_nothing_found_is_a_file_with_columns_and_no_rows(filled: FileLog, tmp_path: Path) -> None:
    nothing = tmp_path / "none.parquet"
    assert exporting.export(filled, Query(tenants=frozenset()), nothing, "parquet") == 0
    assert rows(nothing, "select count(*) from FILE") == [(0,)]


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_an_existing_file_is_not_overwritten_and_what_fails_leaves_nothing(
    filled: FileLog, tmp_path: Path, form: exporting.Format
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "x"
    out.write_bytes(b"precious")
    with pytest.raises(UserError, match="exists"):
        exporting.export(filled, EVERYTHING, out, form)
    assert out.read_bytes() == b"precious"
    with pytest.raises(UserError):
        exporting.export(filled, Query(text="a:[", tenants=None), folder / "y", form)
    with pytest.raises(UserError, match="no folder"):
        exporting.export(filled, EVERYTHING, folder / "z" / "y", form)

    def broken(_done: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exporting.export(filled, EVERYTHING, folder / "y", form, broken)
    assert [path.name for path in folder.iterdir()] == ["x"]
