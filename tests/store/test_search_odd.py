"""Events and queries that an index may take for something else: every engine answers what a scan answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from secops.records import EventId
from secops.store import evaluate, fields, query
from secops.store.columns import microseconds
from secops.store.files import FileLog
from secops.store.index import Index, Query

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
LONG = "a" * 9000
WORD = "q" * 119

EVENTS: list[dict[str, Any]] = [
    *({"source.ip": ip} for ip in ("::ffff:10.1.2.3", "10.1.2.3", "fe80::1%eth0", "FE80:0::1", "10.0.foo", "")),
    {"source.ip": ["10.1.2.3", "192.168.0.1"]},
    {"source.ip": ["10.1.2.3", "x"], "destination.ip": "::ffff:c0a8:1"},
    *({"source.ip": ip} for ip in ("１０.1.2.3", "010.1.2.3", "10.1.2.3 ", "10.1.2.3/8", 167838211, None, [], {})),
    *({"user.name": LONG + end, "message": end} for end in ("x", "y")),
    *({"message": f"{WORD}{end} tail"} for end in ("", "r", "rs", "rs" * 60, "rs" * 60 + " " + "z" * 200)),
    {"message": WORD + "r" + " " + "rs"},
    *(
        {"http.response.status_code": code}
        for code in (404, "404", 404.0, "４０４", True, None, [404, "500"], "-5", "4e2", 1e16, 10**18)
    ),
    {"original": {"user.name": "Carol", "EventID": 4625, "deep": {"user": "dave"}}},
    {"original": {"": "x", "a\0b": "nul", "n" * 300: "long name"}},
    {"original": "not a mapping"},
    {"user": {"name": "erin", "agent.type": "hidden"}},
    {"user": "frank", "user.name": "grace"},
    {"": "empty name", ".": 1, "..": 2, "a..b": 3, ".a": 4, "a.": 5},
    {"_id": "9-9", "_source": {"x": 1}, "_index": "other", "_routing": "r", "_doc_count": 7},
    {"micros": "x", "row": -1, "rest": "y", "odd": ["whole", "undated"], "tenant": "z", "text.all": "hidden words"},
    {"folded.user.name": "heidi", "number.event.code": "nan", "text": {"message": "inner"}},
    {"labels": {"agent.type": "filebeat", "@timestamp": "2020-01-01", "x": {"event.kind": "inner kind"}}},
    {"message": ["one two", "three four"], "tags": ["a b", "c d", "", None]},
    {"message": "xfail登录成功 fail登 登fail", "process.name": "登录服务"},
    {"message": "ﬃ" * 100, "user.name": "ﬃ" * 4000},
    {"message": "yfail登录 登失failz"},
    {"message": "nul \x00 in text, emoji 😀 and \U00020000\U00020001 and \ue000"},
    {"message": "İstanbul STRASSE straße ﬁle ǅ"},
    {"message": " \u0301combining", "event.original": "<38>h \u0301combining"},
    {"message": "copy me", "event.original": "<38>h copy me"},
    {"message": "copy me", "event.original": "<38>hcopy me"},
    {"message": "", "event.original": ""},
    {"message": "!!! ???", "user.name": "*?\\"},
    {"message": {"nested": {"words": "in a message"}}},
    {"@timestamp": "2026-11-24T08:00:00"},
    {"@timestamp": "2026-11-24T16:00:00+08:00"},
    {"@timestamp": "2026-11-24T08:00:00.123456789Z"},
    {"@timestamp": "1960-01-01T00:00:00.000001Z"},
    {"@timestamp": "2500-01-01T00:00:00.000001Z"},
    {"@timestamp": "9999-12-31T23:59:59.999999Z"},
    {"@timestamp": "junk", "event.ingested": "2026-11-24T08:00:03.000004Z"},
    {"@timestamp": ["2026-11-24T08:00:01Z", "2026-11-24T08:00:05Z"]},
    {"@timestamp": 1_790_000_000, "event.ingested": 5},
    {"process.pid": 2**63, "source.port": True, "destination.port": "22", "tags": 7, "file.path": {"a": 1}},
    {"event.kind": ["event", ["nested", ["deeper"]]], "event.category": []},
]  # fmt: skip

TERMS = [
    "ffi" * 100, "ffi" * 40, "ﬃ" * 100,
    LONG + "x", "a", "x", WORD, WORD + "r", WORD + "rs", "rs", "rs" * 60, "z" * 200, f"{WORD}rs tail", "r rs", f"{WORD}r rs", "tail zz",
    "404", "４０４", "true", "500", "1e+16", "carol", "grace", "dave", "erin", "4625", "nul", "long name", "9-9", "words", "hidden words",
    "one two", "two three", "a b", "b c", "d", "登", "登录", "fail登", "登 fail", "xfail", "fail", "登录服务", "istanbul", "i̇stanbul", "strasse",
    "straße", "file", "combining", "copy", "copy me", "h copy", "!!!", "!!! ???", "", " ", "*?\\", "in a message", "filebeat", "inner kind",
    "2020", "😀", "\U00020000", "\U00020000\U00020001", "\ue000", "10.1.2.3", "::ffff:10.1.2.3", "fe80::1", "10.1.2.3 ", "frank",
    "hidden", "city", "7", "22", "9223372036854775808", "nested", "-5", "empty name",
]  # fmt: skip
NAMES = [
    None, "message", "user.name", "source.ip", "http.response.status_code", "event.original", "labels.agent.type", "original.EventID",
    "EventID", "tags", "process.name", "agent.type", "text.all", "rest", "odd", "event.kind", "labels.x.event.kind", "user.agent.type",
]  # fmt: skip
WILDS = [
    "ffi*", "*ffiffi*", "*" + "ffi" * 39 + "*", "*i",
    "fail*", "*fail*", "*fail", "fail登*", "*登录", "*登*", "登录*", "失fail*", "*登fail", "f?il登录*", "x*登*", "q*", "*rs", "*rs*", "*qrs*", "*r", f"{WORD}*", f"*{WORD}r*", f"{WORD}r?",
    "a*", "*x", "40?", "*o*e*", "one*two", "*e?t*", "\\*\\?*", "*\\\\", "*!*", "c*y", "*\U00020000*", "?", "*.*", "10.*", "*ﬁl*", "STRA*", "*SS*",
    "＊", "*4*", "carol*", "*in*", "copy?me",
]  # fmt: skip
OTHERS = [
    *(
        f"{field}:{value}"
        for field in ("source.ip", "destination.ip", "message", "host.name", "http.response.status_code", "@timestamp", "user.name")
        for value in ("10.0.0.0/8", "192.168.0.0/16", '"::/0"', '"fe80::/10"', '"::ffff:0:0/96"', '"::ffff:10.0.0.0/104"', "0.0.0.0/0",
                      "10.1.2.3/32", "[400 TO 500]", "{404 TO *]", "<0", ">=1e3", "[a TO m]", "[* TO *]", "*", "/[0-9.]+/", "/(?i)A+.*/",
                      "[2026-11-24 TO 2026-11-25]", "<2000-01-01", ">=2500", "{2026-11-24T08:00:00Z TO 2026-11-24T08:00:00.123457Z}",
                      "<=9999-12-31T23:59:59.999999Z")
    ),
    *(f"_exists_:{name}" for name in ("user.name", "message", "source.ip", "event.category", "tags", "original", "user", "nothing")),
    *("(NOT " * 19 + text + ")" * 19 for text in ("fail", '"two three"', "message:copy", "user.name:grace")),
    "NOT source.ip:10.0.0.0/8 AND NOT message:*rs*", "NOT (copy OR user.name:grace) fail*", "-source.ip:*", "NOT NOT NOT 登",
]  # fmt: skip


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


QUERIES = [
    *(
        quoted(term) if name is None else f"{name}:{quoted(term)}"
        for term in TERMS
        if len(term) < 4000
        for name in NAMES
    ),
    *(wild if name is None else f"{name}:{wild}" for wild in WILDS for name in NAMES[:12]),
    *OTHERS,
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, engine: Any) -> Iterator[tuple[Index, list[dict[str, Any]]]]:
    folder = tmp_path_factory.mktemp("odd")
    log = FileLog(folder / "log", partitions=1, writable=True, reserve_bytes=0)
    stored = []
    for number, event in enumerate(EVENTS):
        moment = (START + timedelta(seconds=number)).isoformat(timespec="microseconds").replace("+00:00", "Z")
        stored.append({"@timestamp": moment, "organization.id": "city", **event})
    stored.append({"organization.id": "city", "message": "no time at all"})
    log.append({0: stored})
    with engine.opened(folder, log) as index:
        index.add(0, log.read(0, 0, 1000))
        yield index, log.read(0, 0, 1000)
    log.close()


def test_events_come_back_as_they_were(odd: tuple[Index, list[dict[str, Any]]]) -> None:
    index, stored = odd
    page = index.search(Query(tenants=None, limit=1000))
    assert sorted(page.hits, key=lambda event: EventId.parse(event["event.id"])) == stored


def test_every_query_finds_what_a_scan_finds(odd: tuple[Index, list[dict[str, Any]]]) -> None:
    index, stored = odd
    by_time = sorted(stored, key=lambda event: (microseconds(event), EventId.parse(event["event.id"])), reverse=True)
    wrong = {}
    for text in QUERIES:
        matches = evaluate.compile_query(query.parse(text))
        expected = [event["event.id"] for event in by_time if matches(event)]
        page = index.search(Query(text=text, tenants=frozenset({"city"}), limit=100))
        found = [event["event.id"] for event in page.hits]
        if (found, page.total) != (expected, len(expected)):
            wrong[text] = (sorted(set(expected) - set(found)), sorted(set(found) - set(expected)), page.total)
    assert wrong == {}


@pytest.mark.parametrize("text", ["", "copy", '"copy me"', "NOT copy", "source.ip:10.0.0.0/8", "*rs*", "message:*登*"])
def test_counts_are_those_of_the_hits(odd: tuple[Index, list[dict[str, Any]]], text: str) -> None:
    index, stored = odd
    matches = evaluate.compile_query(query.parse(text))
    hits = [event for event in stored if matches(event)]
    wanted = Query(text=text, tenants=None)
    for field in (*fields.KEYWORDS, "message", "tags", "original.EventID", "labels.agent.type"):
        counts: dict[str, int] = {}
        for event in hits:
            for value in set(fields.scalars(fields.lookup(event, field))):
                counts[value] = counts.get(value, 0) + 1
        assert dict(index.facets(wanted, field, 1000)) == counts, field
    for buckets in (1, 7, 60):
        assert sum(count for _, count in index.histogram(wanted, buckets)) == len(hits)
    spans = index.histogram(Query(text=text, tenants=None, start=START, end=START + timedelta(seconds=60)), 60)
    seconds = [(microseconds(event) - int(START.timestamp() * 1e6)) // 1_000_000 for event in hits]
    assert [count for _, count in spans] == [seconds.count(number) for number in range(60)]
