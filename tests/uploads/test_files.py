"""What people bring: event files, tables, JSON, whole, packed, damaged, hostile."""

from __future__ import annotations

import gzip
import io
import re
import stat
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.files import packed, reading, windows
from monitors.files.packed import Bounds
from monitors.files.piece import FileRefused, Piece, lines
from monitors.files.table import MOST_COLUMNS, Layout
from tests.uploads.evtx_writer import CHUNK, HEADER, evtx

WIDE = Bounds(1 << 30, 1000)
PLAIN = Layout()


def windows_event(number: int) -> dict[str, Any]:
    system = {
        "Provider": {"#attributes": {"Name": "Microsoft-Windows-Sysmon"}},
        "EventID": "1",
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Computer": "主机-7",
        "TimeCreated": {"#attributes": {"SystemTime": f"2026-03-01T00:{number // 60:02}:{number % 60:02}Z"}},
    }
    return {
        "Event": {"System": system, "EventData": {"CommandLine": f"cmd /c <{number}> & echo", "ProcessId": str(number)}}
    }


def parts(
    folder: Path, data: bytes, kind: str = "", layout: Layout = PLAIN, name: str = "", bounds: Bounds = WIDE
) -> list[Piece]:
    path = folder / "brought"
    path.write_bytes(data)
    return [part.piece for part in reading.read(path, kind, layout, bounds, name)]


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def reasons(found: list[Piece]) -> dict[str, int]:
    return dict(Counter({one.error: one.stands_for for one in found if one.error}))


@pytest.fixture(scope="module")
def brought() -> bytes:
    return evtx(map(windows_event, range(300)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: zipped(("logs/Security.evtx", data))])
def test_every_record_of_an_event_file_is_read(tmp_path: Path, brought: bytes, pack: Any) -> None:
    found = parts(tmp_path, pack(brought))
    assert [orjson.loads(one.document) for one in found] == [windows_event(number) for number in range(300)]
    assert {one.error for one in found} == {""}


def test_a_damaged_record_costs_itself_and_is_named(tmp_path: Path, brought: bytes) -> None:
    damaged = bytearray(brought)
    starts = [found.start() for found in re.finditer(rb"\*\*\0\0", brought)]
    damaged[starts[50] + 30 : starts[50] + 60] = b"\xee" * 30
    found = parts(tmp_path, bytes(damaged))
    assert len([one for one in found if not one.error]) == 299
    assert [(one.error, "51" in one.note) for one in found if one.error] == [("damaged", True)]


def test_records_behind_one_of_impossible_size_are_counted(tmp_path: Path, brought: bytes) -> None:
    damaged = bytearray(brought)
    starts = [found.start() for found in re.finditer(rb"\*\*\0\0", brought)]
    damaged[starts[50] + 4 : starts[50] + 8] = b"\xff\xff\xff\x7f"
    found = parts(tmp_path, bytes(damaged))
    good = len([one for one in found if not one.error])
    assert good > 200, "the other chunks are whole"
    assert good + sum(one.stands_for for one in found if one.error) == 300


def test_a_damaged_chunk_costs_itself(tmp_path: Path, brought: bytes) -> None:
    damaged = bytearray(brought)
    damaged[HEADER + CHUNK : HEADER + CHUNK + 8] = b"nonsense"
    found = parts(tmp_path, bytes(damaged))
    assert [(one.at, one.error) for one in found if one.error] == [("chunk 2", "damaged_chunk")]
    assert len(found) > 200


def test_what_a_cut_off_file_still_holds_is_read(tmp_path: Path, brought: bytes) -> None:
    found = parts(tmp_path, brought[: HEADER + CHUNK + CHUNK // 2])
    assert reasons(found)["truncated"] == 0, "it stands for no message, the lost ones are counted by themselves"
    first = len(parts(tmp_path, brought[: HEADER + CHUNK]))
    good = len([one for one in found if not one.error])
    assert first < good < 2 * first


def test_an_event_file_by_name_only_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="not evtx"):
        parts(tmp_path, b"MZ\x90\0 not an event file", "evtx")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(128, HEADER + 2 * CHUNK), st.binary(min_size=1, max_size=64)), max_size=8))
def test_no_damage_upsets_the_reader_or_makes_more_records(brought: bytes, damage: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(brought)
    for at, data in damage:
        damaged[at : at + len(data)] = data
    found = list(windows.read(io.BytesIO(bytes(damaged[: HEADER + 2 * CHUNK]))))
    assert len([one for one in found if not one.error]) <= 300
    assert all(one.note for one in found if one.error)


def test_json_lines_arrays_and_spread_documents_are_read_alike(tmp_path: Path) -> None:
    documents = [{"n": number, "text": '{"[\\"', "deep": {"list": [1, {"a": "]"}]}} for number in range(50)]
    forms = [
        b"\n".join(map(orjson.dumps, documents)),
        b"\xef\xbb\xbf" + b"\r\n\r\n".join(map(orjson.dumps, documents)) + b"\r\n",
        orjson.dumps(documents),
        orjson.dumps(documents, option=orjson.OPT_INDENT_2),
        b"\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in documents),
    ]
    for form in forms:
        found = parts(tmp_path, form)
        assert [orjson.loads(one.document) for one in found] == documents
        assert reasons(found) == {}


def test_what_is_no_document_is_kept_and_says_why(tmp_path: Path) -> None:
    text = (
        b'{"a": 1}\n{bad\n7\n\xff\xfe\xff\n'
        + b'{"d":' * 2000
        + b"\n"
        + b"x" * 300_000
        + b"\n"
        + '{"b": "局"}'.encode("gb18030")
    )
    found = parts(tmp_path, text, "json")
    assert [one.error for one in found] == ["", "malformed", "malformed", "undecodable", "too_deep", "oversized", ""]
    assert all(one.original for one in found if one.error)
    assert orjson.loads(found[-1].document) == {"b": "局"}


def test_an_object_that_never_ends_costs_itself(tmp_path: Path) -> None:
    text = b'[\n{"a": [\n' + b'"x",\n' * 100_000 + b'\n{"b": 1},\n{"c": 2}\n'
    found = parts(tmp_path, text, "json")
    assert [orjson.loads(one.document) for one in found if not one.error][-2:] == [{"b": 1}, {"c": 2}]
    assert "oversized" in reasons(found)


TABLE = (
    '时间,主机,内容,=1+1\n2026-03-01 08:00:00,h1,"第一行\n第二行, ""引""",\n2026/3/1 8:01,h2,=cmd|\' /C calc\'!A0,x\n'
)


@pytest.mark.parametrize("charset", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_table_is_read_in_the_charsets_that_spreadsheets_write(tmp_path: Path, charset: str) -> None:
    layout = Layout({"@timestamp": "时间", "host.name": "主机", "message": "内容"})
    found = [orjson.loads(one.document) for one in parts(tmp_path, TABLE.encode(charset), layout=layout, name="t.csv")]
    assert found == [
        {"@timestamp": "2026-03-01 08:00:00", "host.name": "h1", "message": '第一行\n第二行, "引"'},
        {"@timestamp": "2026/3/1 8:01", "host.name": "h2", "message": "=cmd|' /C calc'!A0", "=1+1": "x"},
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_first_row(tmp_path: Path, delimiter: str) -> None:
    rows = [["a", "b", "", "a"], ["1", "2", "3", "4", "5"]]
    found = parts(tmp_path, "\n".join(delimiter.join(row) for row in rows).encode(), "csv")
    assert orjson.loads(found[0].document) == {"a": "1", "b": "2", "column 3": "3", "a 2": "4", "column 5": "5"}


def test_a_quote_that_is_never_closed_costs_its_line(tmp_path: Path) -> None:
    rows = [b"a,b", b'1,"open', *(b"%d,x" % number for number in range(2, 1000))]
    found = parts(tmp_path, b"\n".join(rows), "csv")
    assert [one.at for one in found if one.error == "unclosed"] == ["line 2"]
    assert len([one for one in found if not one.error]) == 998


def test_nul_and_endless_lines_in_a_table(tmp_path: Path) -> None:
    found = parts(tmp_path, b"a,b\n\0\0,x\n" + b"y" * 1_000_000 + b"\nlast,row\n", "csv")
    assert [one.error for one in found] == ["", "oversized", ""]
    assert orjson.loads(found[2].document) == {"a": "last", "b": "row"}


def test_too_many_columns_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=f"at most {MOST_COLUMNS}"):
        parts(tmp_path, b",".join(b"c%d" % number for number in range(10_000)) + b"\n1,2\n", "csv")


def test_a_chosen_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="no such columns: when"):
        parts(tmp_path, b"a,b\n1,2\n", "csv", Layout({"@timestamp": "when"}))


def test_members_that_no_archive_of_logs_has_are_refused_by_themselves(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    members = [
        ("good.json", b'{"a": 1}'),
        ("../../etc/cron.d/x.json", b'{"a": 2}'),
        ("..\\up.json", b'{"a": 3}'),
        ("/abs.json", b'{"a": 4}'),
        ("C:\\win.json", b'{"a": 5}'),
        (link, b"/etc/passwd"),
        ("inner.zip", zipped(("x", b"y"))),
        ("inner.gz", gzip.compress(b"{}")),
    ]
    found = parts(tmp_path, zipped(*members))
    assert [one.error for one in found] == ["", *["unsafe_name"] * 4, "link", "nested", "nested"]
    assert [path.name for path in tmp_path.iterdir()] == ["brought"], "nothing is ever unpacked onto the disk"


def test_an_archive_in_gzip_is_refused(tmp_path: Path) -> None:
    assert reasons(parts(tmp_path, gzip.compress(zipped(("a.json", b"{}"))))) == {"nested": 1}


@pytest.mark.parametrize("pack", [gzip.compress, lambda data: zipped(("a.json", data))])
def test_a_bomb_ends_at_the_bound(tmp_path: Path, pack: Any) -> None:
    bomb = pack(b'{"a": 1}\n' * 10_000_000)  # 90 MB in a few hundred kB
    with pytest.raises(FileRefused, match="bomb"):
        parts(tmp_path, bomb, bounds=Bounds(1 << 40, 100))
    with pytest.raises(FileRefused, match="1,000,000"):
        parts(tmp_path, bomb, bounds=Bounds(1_000_000, 1000))


def test_too_many_members_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="more than"):
        parts(tmp_path, zipped(*((f"{number}.json", b"{}") for number in range(packed.MOST_MEMBERS + 1))))


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_damaged_archives_say_so(tmp_path: Path, cut: float) -> None:
    data = b"\n".join(b'{"n": %d}' % number for number in range(100_000))
    for packed_data in (gzip.compress(data), zipped(("a.json", data))):
        with pytest.raises(FileRefused, match=r"damaged|ends in the middle"):
            parts(tmp_path, packed_data[: int(len(packed_data) * cut)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3000), st.sampled_from(["", "csv", "json", "evtx"]), st.sampled_from(["", "a.csv", "a.json"]))
def test_no_bytes_upset_the_readers(tmp_path: Path, data: bytes, kind: str, name: str) -> None:
    try:
        found = parts(tmp_path, data, kind, name=name)
    except FileRefused:
        return
    assert all(isinstance(orjson.loads(one.document), dict) for one in found if not one.error)


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_lines_are_those_of_the_text_and_bounded(data: bytes, most: int) -> None:
    found = list(lines(io.BytesIO(data), most))
    whole = data.split(b"\n")
    whole = whole[:-1] if not whole[-1] else whole
    assert [one.number for one in found] == list(range(1, len(whole) + 1))
    for one, line in zip(found, whole, strict=True):
        assert one.text == line[:most].removesuffix(b"\r")
        assert one.long == (len(line) > most)
