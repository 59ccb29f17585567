from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.store import evaluate, query
from secops.store.elasticsearch import ElasticIndex
from secops.store.files import FileLog
from secops.store.index import Query, QuerySyntaxError
from secops.store.sqlite import SqliteIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Protocol

    class Engine(Protocol):
        name: str

        def opened(self, folder: Path, log: FileLog, **more: Any) -> AbstractContextManager[Index]: ...


Index: TypeAlias = SqliteIndex | ElasticIndex

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def store(log: FileLog, index: Index, events: list[dict[str, Any]], partition: int = 0) -> None:
    """Append and index ``events``, a second apart unless they say when."""
    first = log.end(partition)
    for number, event in enumerate(events, first):
        moment = (START + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
        event.setdefault("@timestamp", moment)
        event.setdefault("organization.id", "city")
    log.append({partition: events})
    index.add(partition, log.read(partition, index.position(partition), 10**6))


def find(index: Index, text: str, **more: Any) -> list[str]:
    page = index.search(Query(**{"text": text, "tenants": None, **more}))
    return [event["event.id"] for event in page.hits]


SSHD = {
    "message": "Failed password for root from 10.1.2.3 port 22 ssh2",
    "event.original": "<38>Nov 24 08:00:00 web-1 sshd[7]: Failed password for root from 10.1.2.3 port 22 ssh2",
    "user.name": "root",
    "source.ip": "10.1.2.3",
    "host.name": "web-1",
    "http.response.status_code": 404,
    "original": {"EventID": 4625, "TargetUserName": "Administrator"},
    "url.path": "/etc/passwd",
}
OTHER = {
    "message": "Accepted publickey for deploy",
    "user.name": "deploy",
    "source.ip": "fe80::1",
    "tags": ["a", "b c"],
}
CHINESE = {"message": "用户张伟登录失败，来源 １０.1.2.3", "user.name": "张伟"}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Index]:
    """An index of three events, of each engine, for many queries."""
    folder = tmp_path_factory.mktemp("three")
    log = FileLog(folder / "log", writable=True, reserve_bytes=0)
    with engine.opened(folder, log) as index:
        store(log, index, [dict(SSHD), dict(OTHER), dict(CHINESE)])
        yield index
    log.close()


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("", [2, 1, 0]),
        ("*:*", [2, 1, 0]),
        ("failed", [0]),
        ("FAILED password", [0]),
        ("passwor", []),
        ('message:"password for root"', [0]),
        ('message:"for password"', []),
        ("user.name:ROOT", [0]),
        ("user.name:ro", []),
        ("user.name:ro*", [0]),
        ("user.name:*o?", [1, 0]),
        ("*assw*", [0]),
        ("NOT failed", [2, 1]),
        ("-failed", [2, 1]),
        ("failed OR accepted", [1, 0]),
        ("(failed OR accepted) AND NOT user.name:root", [1]),
        ("user.name:(root OR deploy)", [1, 0]),
        ("source.ip:10.0.0.0/8", [0]),
        ("source.ip:10.1.2.3/32", [0]),
        ("source.ip:11.0.0.0/8", []),
        ('source.ip:"fe80::/10"', [1]),
        ('source.ip:"fe80::1"', [1]),
        ("10.1.2.3", [2, 0]),
        ("http.response.status_code:[400 TO 499]", [0]),
        ("http.response.status_code:>404", []),
        ("http.response.status_code:404", [0]),
        ("EventID:4625", [0]),
        ("original.TargetUserName:administrator", [0]),
        ("TargetUserName:admin*", [0]),
        ("_exists_:tags", [1]),
        ("tags:*", [1]),
        ('tags:"b c"', [1]),
        ("url.path:\\/etc\\/passwd", [0]),
        ('url.path:"/etc/passwd"', [0]),
        ("user.name:/r.+t/", [0]),
        ("message:/.*publickey.*/", [1]),
        ("登录失败", [2]),
        ("message:登录失败", [2]),
        ("失败登录", []),
        ("张", [2]),
        ("user.name:张伟", [2]),
        ("user.name:张*", [2]),
        ("message:*登录*", [2]),
        ("message:登录*", [2]),
        ("登录失败 来源", [2]),
        ("@timestamp:[2026-11-24T08:00:01Z TO 2026-11-24T08:00:02Z}", [1]),
        ("@timestamp:>=2026-11-24", [2, 1, 0]),
        ("organization.id:city", [2, 1, 0]),
        ("failed^2", [0]),
    ],
)
def test_query_language(three: Index, text: str, hits: list[int]) -> None:
    assert find(three, text) == [f"0-{number}" for number in hits]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a AND", 5),
        ("(a", 2),
        ("a)", 1),
        ("fe80::1", 5),
        ("a:b:c", 0),
        ('"a', 0),
        ("a~2", 0),
        ('"a b"~3', 0),
        ("x && y", 2),
        ("user.name:/(/", 10),
        ("user.name:/a{1000}{1000}/", 10),
        ("[1 TO 2]", 0),
        ("(" * 30 + "a" + ")" * 30, 20),
        ("a" * 2**20, None),
        (" ".join(["a"] * 1000), 400),
        ("a*b" * 20, 0),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place_in_both_languages(text: str, position: int | None) -> None:
    with pytest.raises(QuerySyntaxError) as refused:
        evaluate.compile_query(query.parse(text))
    assert refused.value.position == position
    assert refused.value.zh != refused.value.en


def test_ten_thousand_clauses_are_refused_at_once() -> None:
    started = time.monotonic()
    with pytest.raises(QuerySyntaxError):
        query.parse(" OR ".join(f"f{number}:v" for number in range(10_000)))
    assert time.monotonic() - started < 1


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        matches = evaluate.compile_query(query.parse(text))
    except QuerySyntaxError:
        return
    assert matches(dict(SSHD)) in {True, False}


def test_a_boost_that_is_no_number_is_refused() -> None:
    with pytest.raises(QuerySyntaxError):
        query.parse("1^.")


@given(st.text("()[]{}:*?\\/\"'~^+-!&|<>= aANDORTOT登1.@", max_size=40))
def test_any_punctuation_is_a_query_or_refused(text: str) -> None:
    try:
        query.parse(text)
    except QuerySyntaxError:
        return


def test_tenants_see_their_own_only(log: FileLog, index: Index) -> None:
    store(log, index, [{"organization.id": tenant, "message": "x"} for tenant in ("city", "City", "east", "city")])
    for text in ("", "x", "NOT y", "*", "organization.id:city", "message:/x/", "x OR organization.id:east"):
        assert find(index, text, tenants=frozenset({"city"})) == ["0-3", "0-0"], text
        assert find(index, text, tenants=frozenset()) == []
    everyone = Query(text="x", tenants=frozenset({"city", "east"}))
    assert dict(index.facets(everyone, "organization.id", 9)) == {"city": 2, "east": 1}
    assert dict(index.facets(everyone, "message", 9)) == {"x": 3}


def test_hostile_cursor_is_refused(log: FileLog, index: Index) -> None:
    for before in ("x", "1.2", "1.2.3.4.5", "9" * 500, "1.2.3.x"):
        with pytest.raises(QuerySyntaxError):
            find(index, "", before=before)


def test_ties_and_late_events_are_ordered_by_time_then_id(log: FileLog, index: Index) -> None:
    late = START.isoformat()
    for _ in range(3):
        store(log, index, [{"message": "x", "@timestamp": late} for _ in range(5)], partition=1)
        store(log, index, [{"message": "x", "@timestamp": late}], partition=0)
    store(log, index, [{"message": "x", "@timestamp": "2031-01-01T00:00:00Z"}, {"message": "x", "@timestamp": "junk"}])
    expected = ["0-3", *(f"1-{number}" for number in reversed(range(15))), "0-2", "0-1", "0-0", "0-4"]
    found, before = [], None
    while True:
        page = index.search(Query(text="x", tenants=None, limit=4, before=before))
        found += [event["event.id"] for event in page.hits]
        assert (page.total, page.total_exact) == (19 + 1, True)
        if (before := page.next) is None:
            break
    assert found == expected


def test_deadline_stops_and_says_so_and_paging_goes_on(tmp_path: Path, log: FileLog) -> None:
    ticks = iter(range(10**9))
    index = SqliteIndex(
        tmp_path / "index", log, writable=True, page_seconds=6, count_seconds=2, clock=lambda: float(next(ticks))
    )
    store(log, index, [{"message": f"number {number}x"} for number in range(20_000)])
    found, before, cut = [], None, 0
    for _ in range(200):
        page = index.search(Query(text="*7x", tenants=None, limit=500, before=before))
        found += [int(event["event.id"][2:]) for event in page.hits]
        cut += not page.total_exact
        if (before := page.next) is None:
            break
    assert found == [number for number in reversed(range(20_000)) if number % 10 == 7]
    assert cut
    index.close()


def test_counting_many_candidates_stops_but_the_page_is_right(tmp_path: Path, log: FileLog) -> None:
    index = SqliteIndex(tmp_path / "index", log, writable=True, count_seconds=0)
    store(log, index, [{"message": "one two three"} for _ in range(30_000)])
    page = index.search(Query(text='"one two three"', tenants=None, limit=10))
    assert [event["event.id"] for event in page.hits] == [f"0-{number}" for number in range(29_999, 29_989, -1)]
    assert not page.total_exact
    assert 10 <= page.total < 30_000
    index.close()


def test_adding_again_changes_nothing_and_a_trickle_joins_into_runs(log: FileLog, index: Index) -> None:
    for number in range(50):
        store(log, index, [{"message": f"m{number}", "user.name": f"u{number % 3}"}])
    index.add(0, log.read(0, 0, 1000))
    assert index.position(0) == 50
    everything = Query(text="", tenants=None)
    assert index.search(everything).total == 50
    assert index.facets(everything, "user.name", 2) == [("u0", 17), ("u1", 17)]
    assert [count for _, count in index.histogram(everything, 5)] == [10] * 5
    if isinstance(index, SqliteIndex):
        assert len(index._list()[0].chunks()) == 1


def test_histogram_has_equal_spans_between_the_bounds(log: FileLog, index: Index) -> None:
    store(log, index, [{"message": "x"} for _ in range(120)])
    spans = index.histogram(Query(text="", tenants=None, start=START, end=START + timedelta(minutes=3)), 3)
    assert spans == [(START, 60), (START + timedelta(minutes=1), 60), (START + timedelta(minutes=2), 0)]
    assert index.histogram(Query(text="nothing", tenants=None), 3) == []


def test_shards_leave_whole_and_a_rebuild_finds_everything_again(tmp_path: Path, log: FileLog) -> None:
    index = SqliteIndex(tmp_path / "index", log, writable=True, shard_events=10)
    reader = SqliteIndex(tmp_path / "index", log)
    for _ in range(5):
        store(log, index, [{"message": "x"} for _ in range(10)])
    assert reader.search(Query(text="x", tenants=None)).total == 50
    assert index.drop({0: 19}) == 1
    assert index.drop({0: 25}) == 1
    assert reader.search(Query(text="x", tenants=None)).total == 30
    assert index.position(0) == 50
    index.rebuild()
    assert reader.search(Query(text="x", tenants=None)).total == 0
    assert reader.position(0) == 0
    index.add(0, log.read(0, 0, 1000))
    assert reader.search(Query(text="x", tenants=None)).total == 50
    reader.close()
    index.close()


def test_index_of_another_schema_is_built_anew(tmp_path: Path, log: FileLog) -> None:
    index = SqliteIndex(tmp_path / "index", log, writable=True)
    store(log, index, [{"message": "x"}])
    with index._list()[0].connection() as connection:
        connection.execute("pragma user_version = 99")
    index.close()
    index = SqliteIndex(tmp_path / "index", log, writable=True)
    assert index.position(0) == 0
    index.close()


def test_gap_in_the_log_is_no_gap_in_the_index(log: FileLog, index: Index) -> None:
    events = [{"message": "x", "@timestamp": START.isoformat(), "event.id": f"0-{number}"} for number in (5, 6, 9)]
    index.add(0, events)
    assert index.position(0) == 10
    assert index.search(Query(text="x", tenants=None)).total == 3


def test_bounds_hold_their_start_and_not_their_end(log: FileLog, index: Index) -> None:
    store(log, index, [{"message": "x"} for _ in range(5)])
    for text in ("x", '"x"', "*x*", ""):
        assert find(index, text, start=START + timedelta(seconds=1), end=START + timedelta(seconds=3)) == ["0-2", "0-1"]
        assert find(index, text, start=START, end=START + timedelta(seconds=4)) == ["0-3", "0-2", "0-1", "0-0"]


def test_long_and_strange_keyword_values_are_told_apart(log: FileLog, index: Index) -> None:
    names = ["a" * 128 + "b", "a" * 128 + "c", "a.b", "a\ue02eb", "ａ.b", "a=b", "é"]
    store(log, index, [{"message": "m", "user.name": name} for name in names])
    for number, name in enumerate(names):
        expected = ["0-4", "0-2"] if name in {"a.b", "ａ.b"} else [f"0-{number}"]
        assert find(index, f'user.name:"{name}"') == expected


def test_index_that_is_written_is_searched_by_another_process(tmp_path: Path, log: FileLog) -> None:
    index = SqliteIndex(tmp_path / "index", log, writable=True)
    store(log, index, [{"message": "登录失败"}])
    script = (
        "import sys; from pathlib import Path; from secops.store.files import FileLog; "
        "from secops.store.index import Query; from secops.store.sqlite import SqliteIndex; "
        "index = SqliteIndex(Path(sys.argv[1]) / 'index', FileLog(Path(sys.argv[1]) / 'log')); "
        "print(index.search(Query(text='登录失败', tenants=None)).hits[0]['event.id'])"
    )
    found = subprocess.run([sys.executable, "-c", script, tmp_path], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "0-0"
    index.close()
