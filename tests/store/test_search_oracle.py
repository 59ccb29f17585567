"""The index answers exactly what a scan over all events answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.records import EventId
from secops.store import evaluate, fields, query
from secops.store.columns import microseconds
from secops.store.files import FileLog
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex

START = datetime(2026, 11, 24, tzinfo=UTC)
WORDS = [
    "failed",
    "Password",
    "root",
    "登录失败",
    "登录",
    "失败",
    "登",
    "ＦＡＩＬＥＤ",
    "10.0.0.5",
    "10.0.0",
    "a_b",
    "Straße",
    "e\u0301",
    "é",
    "42",
    "x",
]
VALUES = st.one_of(
    st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
    st.lists(st.sampled_from(WORDS), max_size=3).map("".join),
    st.sampled_from(["10.0.0.5", "10.0.1.5", "192.168.1.1", "fe80::1", "10.0.foo"]),
    st.integers(-5, 500),
    st.booleans(),
    st.floats(allow_nan=False, width=32),
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.text(max_size=6),
)
FIELDS = [
    "message",
    "user.name",
    "source.ip",
    "event.original",
    "event.category",
    "custom",
    "http.response.status_code",
]
TENANTS = ["city", "City", "县", "east"]


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    event = draw(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=5))
    nested = draw(st.dictionaries(st.sampled_from([*FIELDS, "EventID"]), VALUES, max_size=2))
    if nested:
        event[draw(st.sampled_from(["original", "labels", "user"]))] = nested
    event["organization.id"] = draw(st.sampled_from(TENANTS))
    moment = START + timedelta(seconds=draw(st.integers(0, 30)), microseconds=draw(st.sampled_from([0, 1, 999_999])))
    event["@timestamp"] = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    if "message" in event and "event.original" not in event and draw(st.booleans()):
        event["event.original"] = f"<38>{draw(st.sampled_from(['h ', 'h', '登']))}{event['message']}"
    return event


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


NAMES = st.sampled_from(
    [*FIELDS, "EventID", "original.EventID", "labels.message", "organization.id", "@timestamp", "nothing"]
)
TERMS = st.one_of(
    st.sampled_from(WORDS), st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), st.text(max_size=4)
).map(quoted)
WILDS = st.sampled_from(
    [
        "fail*",
        "*ail*",
        "*ED",
        "登*",
        "*录*",
        "登录*",
        "f?iled",
        "10.*",
        "10.0*5",
        "*",
        "r*t",
        "é*",
        "4?",
        "ro*",
        "10.0.0*",
        "*登",
        "a_*",
    ]
)
CIDRS = st.sampled_from(["10.0.0.0/8", "10.0.0.0/23", '"fe80::/10"', "192.168.1.1/32", "0.0.0.0/0"])
RANGES = st.sampled_from(["[1 TO 42]", "{1 TO *]", ">=42", "<10", "[a TO m]", "[2026-11-24 TO 2026-11-25}", "[* TO *]"])
REGEXES = st.sampled_from(["/fa.*/", "/.*登录.*/", "/[0-9]+/", "/R.*/"])
LEAVES = st.one_of(
    TERMS,
    WILDS,
    st.tuples(NAMES, st.one_of(TERMS, TERMS, WILDS, CIDRS, RANGES, REGEXES)).map(":".join),
    NAMES.map(lambda name: f"_exists_:{name}"),
    REGEXES,
)
QUERIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR ", " "]), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map(lambda item: f"(NOT {item})"),
    ),
    max_leaves=4,
)


def naive(stored: list[dict[str, Any]], wanted: Query) -> list[str]:
    """Ids of the hits, newest first, by looking at every event."""
    matches = evaluate.compile_query(query.parse(wanted.text))
    hits = [
        event
        for event in stored
        if (wanted.tenants is None or event["organization.id"] in wanted.tenants)
        and (wanted.start is None or datetime.fromisoformat(event["@timestamp"]) >= wanted.start)
        and (wanted.end is None or datetime.fromisoformat(event["@timestamp"]) < wanted.end)
        and matches(event)
    ]
    hits.sort(key=lambda event: (microseconds(event), EventId.parse(event["event.id"])), reverse=True)
    return [event["event.id"] for event in hits]


def pages(index: SqliteIndex, wanted: Query) -> list[str]:
    found, before = [], None
    while True:
        page = index.search(Query(**{**as_dict(wanted), "before": before}))
        found += [event["event.id"] for event in page.hits]
        before = page.next
        if before is None:
            return found


def as_dict(wanted: Query) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Query.__dataclass_fields__}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    stored=st.lists(st.lists(st.tuples(st.integers(0, 1), events()), max_size=12), max_size=4),
    texts=st.lists(QUERIES, min_size=1, max_size=8),
    tenants=st.one_of(st.none(), st.frozensets(st.sampled_from(TENANTS))),
    bounds=st.tuples(st.none() | st.integers(0, 30), st.none() | st.integers(0, 30)),
    limit=st.integers(1, 7),
    shard_events=st.sampled_from([3, 1000]),
)
def test_index_and_scan_agree(
    tmp_path_factory: pytest.TempPathFactory,
    stored: list[list[tuple[int, dict[str, Any]]]],
    texts: list[str],
    tenants: frozenset[str] | None,
    bounds: tuple[int | None, int | None],
    limit: int,
    shard_events: int,
) -> None:
    directory = tmp_path_factory.mktemp("oracle")
    log = FileLog(directory / "log", partitions=2, writable=True, reserve_bytes=0)
    index = SqliteIndex(directory / "index", log, writable=True, shard_events=shard_events)
    try:
        for batch in stored:
            log.append({partition: [event for place, event in batch if place == partition] for partition in (0, 1)})
            for partition in (0, 1):
                index.add(partition, log.read(partition, index.position(partition), 100))
        everything = [event for partition in (0, 1) for event in log.read(partition, 0, 1000)]
        start, end = (None if second is None else START + timedelta(seconds=second) for second in bounds)
        for text in texts:
            wanted = Query(text=text, tenants=tenants, start=start, end=end, limit=limit)
            agree(index, everything, wanted)
    finally:
        index.close()
        log.close()


def agree(index: SqliteIndex, everything: list[dict[str, Any]], wanted: Query) -> None:
    expected = naive(everything, wanted)
    page = index.search(wanted)
    assert [event["event.id"] for event in page.hits] == expected[: wanted.limit], wanted.text
    assert (page.total, page.total_exact) == (len(expected), True), wanted.text
    assert pages(index, wanted) == expected, wanted.text
    hits = [event for event in everything if event["event.id"] in set(expected)]
    for field in ("user.name", "event.category", "custom"):
        assert dict(index.facets(wanted, field, 100)) == values(hits, field), wanted.text
    assert sum(count for _, count in index.histogram(wanted, 5)) == len(expected), wanted.text


def values(hits: list[dict[str, Any]], field: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for event in hits:
        for value in set(fields.scalars(fields.lookup(event, field))):
            counts[value] = counts.get(value, 0) + 1
    return counts
