"""What each kind of watch promises beside its verdicts: strict settings, bounded state, restarts, lists, silence."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from secops.match.detector import Detector
from secops.match.indicators import read_list
from secops.match.keys import fingerprint
from secops.match.kind import kinds
from secops.match.kinds.spike import unusual
from secops.match.ledger import BUCKETS, Ledger, mixed
from secops.match.load import load_rules
from secops.match.overrides import Overrides, RuleException, Tally, read_exception
from secops.match.rule import RuleSet
from secops.match.stored import decode, encode
from secops.records import Match
from tests.match.conftest import Documents, correlation, rule, watch

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ID = "00000000-0000-4000-8000-000000000700"
BODIES: dict[str, dict[str, Any]] = {
    "absence": {"group-by": "host.name", "for": "10m"},
    "first_seen": {"fields": "v", "learn": "1h", "memory": "1d"},
    "ioc": {"indicator": "ip", "fields": ["v"], "lists": "list.txt"},
    "rare": {"fields": "v", "days": 3, "share": 0.1, "least": 20},
    "spike": {"least": 10},
    "threshold": {"field": "v", "condition": {"gt": 3}},
}


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def event(second: float, number: int = 0, partition: int = 0, **more: Any) -> dict[str, Any]:
    time = at(second).isoformat()
    fields = {"@timestamp": time, "event.ingested": time, "organization.id": "city", "host.name": "x"}
    return {**fields, "event.id": f"{partition}-{number}", **more}


def of(path: Path, kind: str, listed: str = "192.0.2.1\n", **more: Any) -> RuleSet:
    (path / "list.txt").write_text(listed, encoding="utf-8")
    document = watch({"type": kind, **BODIES[kind], **more.pop("body", {})}, **more)
    (path / "rules.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_rules([path])


def hosts(matches: list[Match]) -> list[str]:
    return sorted(dict(match.group)["host.name"] for match in matches)


def test_the_folder_holds_the_kinds_that_are_promised() -> None:
    assert sorted(kinds()) == sorted(BODIES)


@pytest.mark.parametrize("kind", sorted(BODIES))
def test_a_rule_of_each_kind_survives_being_stored(tmp_path: Path, kind: str) -> None:
    found = of(tmp_path, kind)
    assert found.refused == ()
    assert decode(encode(found), found.roots) == found


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        *((kind, {"nonsense": 1}, "unknown watch setting 'nonsense'") for kind in sorted(BODIES)),
        ("absence", {"type": "presence"}, "unknown watch type"),
        ("absence", {"type": ["absence"]}, "unknown watch type"),
        ("absence", {"for": "soon"}, "time span"),
        ("absence", {"for": "0s"}, "time span"),
        ("absence", {"group-by": None}, "group-by: is needed"),
        ("absence", {"expect": ["a"]}, "must name its tenants"),
        ("absence", {"forget": "1m"}, "longer than for"),
        ("first_seen", {"memory": "30m"}, "shorter than learn"),
        ("first_seen", {"learn": None}, "time span"),
        ("first_seen", {"fields": []}, "fields: is needed"),
        ("first_seen", {"fields": [1]}, "text or a list"),
        ("ioc", {"indicator": "email"}, "indicator: one of ip, domain, hash, url"),
        ("ioc", {"lists": "gone.txt"}, "cannot use gone.txt"),
        ("ioc", {"lists": "../list.txt"}, "outside"),
        ("ioc", {"lists": "/etc/hosts.txt"}, "outside"),
        ("ioc", {"lists": "rules.yml"}, "must end in .txt or .csv"),
        ("ioc", {"indicator": "hash"}, "line 1 is no hash"),
        ("rare", {"share": 0}, "share: a number from"),
        ("rare", {"least": 5}, "times share must be more than 1"),
        ("rare", {"days": 1.5}, "whole number"),
        ("rare", {"days": True}, "days: a number"),
        ("spike", {"bucket": "7m"}, "whole number of them"),
        ("spike", {"bucket": "1m"}, "at least 5m"),
        ("spike", {"history": 20}, "more than days"),
        ("threshold", {"condition": {"gt": 1, "lt": 2}}, "write {gt: 90}"),
        ("threshold", {"condition": {"gt": float("nan")}}, "write {gt: 90}"),
        ("threshold", {"aggregate": "avg"}, "window: needed"),
        ("threshold", {"window": "5m"}, "window: needed"),
        ("threshold", {"aggregate": "percentile", "window": "5m"}, "percentile: needed"),
        ("threshold", {"aggregate": ["avg"]}, "aggregate: one of"),
        ("threshold", {"for": {"a": 1}}, "time span"),
    ],
)
def test_settings_are_strict(tmp_path: Path, kind: str, body: dict[str, Any], said: str) -> None:
    found = of(tmp_path, kind, body=body)
    assert found.rules == ()
    [refused] = found.refused
    assert said in refused.en
    assert re.search(r"[\u4e00-\u9fff]", refused.zh)
    assert refused.line > 1
    assert refused.file.endswith("rules.yml")


def test_a_list_may_not_be_reached_by_a_link_that_leads_outside(tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("192.0.2.1\n")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert "outside" in of(folder, "ioc", body={"lists": "link.txt"}).refused[0].en


def test_correlations_see_what_a_watch_says_and_not_what_it_looks_at(load: Documents) -> None:
    found = load(
        watch({"type": "threshold", "field": "v", "condition": {"gt": 3}, "group-by": "host.name"}, name="high"),
        correlation({"type": "event_count", "rules": ["high"], "timespan": "5m", "condition": {"gte": 2}}),
    )
    assert found.refused == ()
    detector = Detector(found)
    assert detector.run([event(0, v=9), event(1, v=9), event(2, v=9)]) == []
    [match] = detector.run([event(3, 7, v=9, **{"host.name": "y"})])
    assert match.event_ids == ("0-0", "0-7")
    assert {key[0][-3:]: tally.hits for key, tally in detector.take_tally().items()} == {"700": 2, "900": 1}


def test_switches_and_exceptions_are_about_what_a_watch_says(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"group-by": "host.name"})
    off = Detector(found, overrides=Overrides(frozenset({("city", ID)})))
    assert off.run([event(0, v=9)]) == []
    assert off.take_tally() == {(ID, "city"): Tally(0, round(START.timestamp() * 1e6), 0, 1)}
    exception = RuleException(1, "", read_exception("host.name: x"))
    excepted = Detector(found, overrides=Overrides(exceptions={ID: (exception,)}))
    assert hosts(excepted.run([event(0, v=9), event(0, v=9, **{"host.name": "y"})])) == ["y"]


def test_a_watch_of_a_tenant_looks_at_no_other(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"group-by": "host.name"}, tenants=["county"])
    matches = Detector(found).run([event(0, v=9), event(0, v=9, **{"organization.id": "county"})])
    assert [match.tenant for match in matches] == ["county"]


def test_filters_narrow_what_a_watch_looks_at(load: Documents) -> None:
    found = load(
        watch({"type": "threshold", "field": "v", "condition": {"gt": 3}}),
        {
            "title": "F",
            "id": "00000000-0000-4000-8000-000000000701",
            "logsource": {"product": "test"},
            "filter": {"rules": [ID], "s": {"host.name": "x"}, "condition": "not s"},
        },
    )
    assert found.refused == ()
    assert Detector(found).run([event(0, v=9)]) == []
    assert Detector(found).run([event(0, v=9, **{"host.name": "y"})])


@pytest.mark.parametrize("kind", [kind for kind in sorted(BODIES) if kind != "ioc"])
def test_state_of_a_watch_that_means_something_else_now_is_deleted(tmp_path: Path, kind: str) -> None:
    before = Detector(of(tmp_path, kind))
    before.run([event(0, v=1)])
    stored = {key: value for key, value in before.take_changes().items() if value is not None}
    assert stored
    assert Detector(of(tmp_path, kind), stored).take_changes() == {}
    changed = {"group-by": ["host.name", "more"]}
    assert Detector(of(tmp_path, kind, body=changed), stored).take_changes() == dict.fromkeys(stored)
    spoilt = dict.fromkeys(stored, b"\xff[")
    assert Detector(of(tmp_path, kind), spoilt).take_changes() == dict.fromkeys(stored)


@pytest.mark.parametrize("kind", sorted(BODIES))
@pytest.mark.parametrize(
    "hostile",
    [
        {"v": "x" * 200_000},
        {"v": {"deep": {"a": 1}}},
        {"v": ["a", None, {"b": 1}]},
        {"v": 10**400},
        {"v": "1e999"},
        {"v": "\ud800"},
        {"host.name": ["a", "b"]},
        {"host.name": "\ud800"},
        {"@timestamp": "9999-12-31T23:59:59Z", "event.ingested": "9999-12-31T23:59:59Z"},
        {"@timestamp": "0001-01-01T00:00:00Z", "event.ingested": "0001-01-01T00:00:00Z"},
        {"@timestamp": None, "event.ingested": None},
        {"organization.id": None},
    ],
    ids=str,
)
def test_hostile_events_stop_no_watch(tmp_path: Path, kind: str, hostile: dict[str, Any]) -> None:
    found = of(tmp_path, kind, body={"group-by": ["host.name"]} if kind != "ioc" else {})
    assert found.refused == ()
    detector = Detector(found)
    detector.run([event(0, v=1), event(1, 1, v=9) | hostile, event(2, 2, v=1)])
    detector.tick(at(60))
    stored = {key: value for key, value in detector.take_changes().items() if value is not None}
    again = Detector(found, stored)
    assert again.take_changes() == {}
    again.run([event(3, 3, v=9)])


# absence


def test_lag_is_no_silence(tmp_path: Path) -> None:
    """One partition is read to its end; the other lags an hour: its hosts are not silent, nor is anybody yet."""
    detector = Detector(of(tmp_path, "absence"))
    behind, ahead = {"host.name": "behind"}, {"host.name": "ahead"}
    detector.run([event(0, **behind)])
    detector.run([event(3600, partition=1, **ahead)])
    assert detector.tick(at(3600)) == []
    detector.run([event(second, second, **behind) for second in range(300, 1800, 300)])
    assert detector.tick(at(3600)) == []
    detector.run([event(second, second, **behind) for second in range(1800, 3600, 257)])
    assert hosts(detector.tick(at(3600))) == []
    assert hosts(detector.tick(at(3600 + 601))) == ["ahead", "behind"]


def test_a_silence_within_a_batch_is_said_once_nothing_can_fill_it(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence"))
    detector.run([event(0, **{"host.name": "a"}), event(1800, 1, **{"host.name": "a"})])
    detector.run([event(600, 1, partition=1, **{"host.name": "a"}), event(1200, 2, partition=1, **{"host.name": "a"})])
    assert detector.tick(at(1801), read_to_end=True) == []
    detector.run([event(3600, 2, **{"host.name": "a"})])
    assert hosts(detector.tick(at(3600), read_to_end=True)) == ["a"]
    assert detector.tick(at(3601), read_to_end=True) == []


def restarted(found: RuleSet, detector: Detector) -> Detector:
    return Detector(found, {key: value for key, value in detector.take_changes().items() if value is not None})


def test_the_time_in_which_the_service_stood_still_is_no_silence(tmp_path: Path) -> None:
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    assert detector.tick(at(60), read_to_end=True) == []
    detector = restarted(found, detector)
    assert detector.tick(at(7200), read_to_end=True) == []
    assert detector.tick(at(7200 + 500), read_to_end=True) == []
    [match] = detector.tick(at(7200 + 541), read_to_end=True)
    assert match.at == at(600 + 7140)
    assert match.fields["absence.since"] == "2026-11-24T08:00:00Z"


def test_silence_while_only_detection_stood_still_is_silence(tmp_path: Path) -> None:
    """Ingestion went on: the log holds the events of others from the time of the stop."""
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    detector.tick(at(60), read_to_end=True)
    detector = restarted(found, detector)
    others = [event(60 * minute, minute, **{"host.name": "other"}) for minute in range(1, 120)]
    detector.run(others)
    assert hosts(detector.tick(at(7200), read_to_end=True)) == ["x"]


def test_a_hole_in_the_whole_log_after_a_restart_is_nobodys_silence(tmp_path: Path) -> None:
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    detector = restarted(found, detector)
    minutes = [*range(1, 5), *range(100, 105)]
    detector.run([event(60 * minute, minute, **{"host.name": "other"}) for minute in minutes])
    assert detector.tick(at(60 * 104), read_to_end=True) == []
    assert hosts(detector.tick(at(60 * 106 + 1), read_to_end=True)) == ["x"]


def test_what_is_expected_and_never_heard_is_silent(tmp_path: Path) -> None:
    found = of(tmp_path, "absence", body={"expect": ["x", "y"]}, tenants=["city", "county"])
    detector = Detector(found)
    detector.run([event(0)])
    detector.tick(at(0), read_to_end=True)
    detector.run([event(400, 1)])
    matches = detector.tick(at(601), read_to_end=True)
    assert [(match.tenant, *hosts([match])) for match in matches] == [("city", "y"), ("county", "x"), ("county", "y")]
    assert all(match.event_ids == () for match in matches)


def test_a_source_long_gone_is_forgotten(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence", body={"forget": "1h"}))
    detector.run([event(0)])
    assert len(detector.tick(at(700), read_to_end=True)) == 1
    [key] = [key for key in detector.take_changes() if not key.endswith(":clock")]
    assert detector.tick(at(3601), read_to_end=True) == []
    assert detector.take_changes()[key] is None


def test_time_that_passes_is_written_twice_a_minute_at_most(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence"))
    detector.run([event(0)])
    detector.tick(at(0))
    detector.take_changes()
    written = 0
    for second in range(120):
        detector.tick(at(second))
        written += bool(detector.take_changes())
    assert 2 <= written <= 4


# first_seen, rare, spike: the ledger


def test_a_ledger_is_bounded_and_counts_what_it_gives_up() -> None:
    ledger = Ledger("r", 1, limit=1000)
    for number in range(40_000):
        ledger.put(mixed(fingerprint(("a",)), number), number % 7, number)
    assert 1000 <= ledger.size <= 1000 + BUCKETS
    assert ledger.evicted == 40_000 - ledger.size


def test_a_ledger_gives_up_the_oldest_of_a_bucket() -> None:
    ledger = Ledger("r", 1, limit=2)
    for age in (5, 3, 4, 9):
        ledger.put(age * BUCKETS, age)
    assert [ledger.get(age * BUCKETS) for age in (3, 4, 5, 9)] == [None, None, (5, 0), (9, 0)]


def test_a_ledger_comes_back_as_it_was() -> None:
    ledger = Ledger("r", 7)
    for number in range(2000):
        ledger.put(mixed(number, 1), number, number * 1000)
    entries = {key: value for key, value in ledger.take_changes() if value is not None}
    assert dict(ledger.take_changes()) == {}
    again = Ledger("r", 7)
    for value in entries.values():
        again.restore(value)
    assert [again.get(mixed(number, 1)) for number in range(2000)] == [(n, n * 1000) for n in range(2000)]
    for other in (Ledger("r", 8), Ledger("r", 7)):
        spoilt = next(iter(entries.values()))
        with pytest.raises(ValueError):  # noqa: PT011 - which of them does not matter to who restores
            other.restore(spoilt if other._meaning == 8 else spoilt[:-1])


def test_a_ledger_forgets_what_is_too_old() -> None:
    ledger = Ledger("r", 1)
    for number in range(100):
        ledger.put(mixed(number, 1), number)
    dict(ledger.take_changes())
    for _ in range(1000):
        ledger.expire(50)
    assert ledger.size == 50
    assert None in dict(ledger.take_changes()).values()


@pytest.mark.parametrize(
    ("count", "earlier", "fires"),
    [
        (5, [0, 0, 0], True),
        (4, [0, 0, 0], False),
        (100, [90, 100, 110], False),
        (160, [90, 100, 110], True),
        (165, [90, 100, 110, 10_000], True),
        (140, [100, 100, 100], False),
        (141, [100, 100, 100], True),
    ],
)
def test_what_is_unusual(count: int, earlier: list[int], *, fires: bool) -> None:
    assert unusual(count, earlier, 4) == fires


def test_late_events_are_counted(tmp_path: Path) -> None:
    for kind in ("threshold", "rare", "spike"):
        detector = Detector(of(tmp_path, kind))
        detector.run([event(1000, v=1), event(700, 1, v=1), event(699.9, 2, v=1)])
        assert detector.statistics()["late"] == 1, kind


def test_a_flood_of_samples_is_bounded_and_counted(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"aggregate": "max", "window": "1h"})
    detector = Detector(found)
    detector.run([event(number / 1000, number, v=1) for number in range(3000)])
    assert detector.statistics()["dropped"] == 3000 - 2048
    assert detector.run([event(4, 4000, v=9)])


# ioc


@pytest.mark.parametrize(
    ("kind", "listed", "hits", "misses"),
    [
        ("ip", "192.0.2.1\n198.51.100.0/24\n2001:db8::/32\n10.0.0.7/8", ["192.0.2.1", "198.51.100.255", "2001:DB8:0::1", "::ffff:192.0.2.1", "10.9.9.9", "fe80::1%eth0, no"], ["192.0.2.2", "198.51.101.0", "2001:db9::", "", "x", "192.0.2.1.example"]),
        ("domain", "bad.example\n*.worse.example\n例子.测试", ["bad.example", "A.B.Bad.Example.", "x.worse.example", "worse.example", "www.例子.测试"], ["notbad.example", "example", "bad.example.org", "", ".", "a..b"]),
        ("hash", "D41D8CD98F00B204E9800998ECF8427E", ["d41d8cd98f00b204e9800998ecf8427e", "SHA1=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709,MD5=D41D8CD98F00B204E9800998ECF8427E"], ["d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427e0"]),
        ("url", "https://Bad.example/a?b=1#c\nhttp://bad.example/", ["http://bad.example/a?b=1", "BAD.example/a?b=1#z", "bad.example", "https://bad.example:443/"], ["bad.example/A?b=1", "bad.example/a", "", "://"]),
    ],
)  # fmt: skip
def test_indicators(tmp_path: Path, kind: str, listed: str, hits: list[str], misses: list[str]) -> None:
    (tmp_path / "l.txt").write_text(listed, encoding="utf-8")
    found = read_list(tmp_path / "l.txt", kind)
    assert found.unreadable == 0
    assert [text for text in hits if found.find(text) is None] == [text for text in hits if text.endswith(", no")]
    assert [text for text in misses if found.find(text) is not None] == []


def test_a_match_says_which_line_of_which_list(tmp_path: Path) -> None:
    listed = "# comment\n\n192.0.2.0/24,net\n192.0.2.7,  the host, named \nrubbish\n"
    found = of(tmp_path, "ioc", listed)
    detector = Detector(found)
    [match] = detector.run([event(0, 5, v=["10.0.0.1", "192.0.2.7"])])
    assert match.fields == {
        "v": "192.0.2.7",
        "host.name": "x",
        "ioc.indicator": "192.0.2.7",
        "ioc.list": "list.txt",
        "ioc.line": 4,
        "ioc.note": "the host, named",
    }
    assert (match.group, match.event_ids) == ((("host.name", "x"),), ("0-5",))
    [net] = detector.run([event(0, v="192.0.2.8")])
    assert net.fields["ioc.indicator"] == "192.0.2.0/24"
    assert detector.statistics()["dropped"] == 1


def test_a_changed_list_is_another_list(tmp_path: Path) -> None:
    assert Detector(of(tmp_path, "ioc", "192.0.2.1\n")).run([event(0, v="192.0.2.2")]) == []
    assert Detector(of(tmp_path, "ioc", "192.0.2.1\n192.0.2.2\n")).run([event(0, v="192.0.2.2")])


def test_a_list_that_went_away_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    found = of(tmp_path, "ioc")
    (tmp_path / "list.txt").unlink()
    detector = Detector(found)
    assert detector.run([event(0, v="192.0.2.1")]) == []
    assert detector.statistics()["dropped"] == 1


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    document = watch({"type": "ioc", **BODIES["ioc"]})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    assert "cannot use list.txt" in load_rules([tmp_path]).refused[0].en


def test_a_hundred_thousand_entries_are_looked_up_without_going_through_them(tmp_path: Path) -> None:
    names = [f"host-{number}.example{number % 97}.net" for number in range(100_000)]
    (tmp_path / "l.txt").write_text("\n".join(names))
    found = read_list(tmp_path / "l.txt", "domain")
    assert found.entries == 100_000
    table = found._table
    steps = 0
    for name in names[::100]:
        wanted, place = table._place(name)
        steps += (place - ((wanted ^ (wanted >> 32)) & (table._size - 1))) % table._size + 1
        assert found.find(f"www.{name}").line == names.index(name) + 1
    assert steps < 1000 * 3


@pytest.mark.parametrize("kind", ["rare", "spike", "threshold"])
def test_one_event_from_the_future_does_not_make_its_key_deaf(tmp_path: Path, kind: str) -> None:
    detector = Detector(of(tmp_path, kind))
    ahead = {"@timestamp": "2199-01-01T00:00:00Z", "event.ingested": at(0).isoformat()}
    detector.run([event(0, v=1) | ahead, *(event(number, number, v=1) for number in range(1, 50))])
    assert detector.statistics()["late"] == 0


def test_nor_a_correlation(load: Documents) -> None:
    base = rule({"s": {"kind": "a"}, "condition": "s"}, 1, name="a")
    body = {"type": "event_count", "rules": ["a"], "timespan": "1m", "group-by": ["host.name"], "condition": {"gte": 3}}
    detector = Detector(load(base, correlation(body)))
    ahead = {"@timestamp": "2199-01-01T00:00:00Z", "event.ingested": at(0).isoformat()}
    assert detector.run([event(0, kind="a") | ahead]) == []
    assert len(detector.run([event(second, second, kind="a") for second in (300, 301, 302)])) == 1
