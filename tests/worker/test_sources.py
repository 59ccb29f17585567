"""What came from which source is counted, bounded and stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops import migrations, source_health
from secops.db import Database
from secops.normalise import normalise
from secops.settings import Ingest
from secops.source_health import SourceRow, utc, zone_meant
from secops.worker.source_tally import FLUSH_SECONDS, MOST, SourceTally

AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'state.db'}")
    migrations.upgrade(made)
    yield made
    made.close()


def syslog(host: str, text: str, *, at: datetime = AT, late: float = 0.0, tenant: str = "city") -> Record:
    stamp = (at - timedelta(seconds=late)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Record(f"<38>1 {stamp} {host} app - - - {text}".encode(), at, "syslog", "192.0.2.1:514", tenant, "syslog")


def stored(database: Database, tally: SourceTally, now: float) -> dict[tuple[str, str], SourceRow]:
    taken = tally.take(now)
    if taken is not None:
        with database.begin() as tx:
            source_health.record(tx, *taken)
    with database.read() as tx:
        return {(row.tenant, row.host): row for row in source_health.find(tx, tenants=None)}


def test_a_source_is_known_at_once_and_brought_up_to_date_now_and_then(database: Database) -> None:
    tally = SourceTally(0.0)
    bad = Record(b"\x00\x01\x02\x03", AT, "syslog", "192.0.2.1:514", "city", "syslog")
    tally.add(normalise([syslog("web-1", "hello", late=3), syslog("web-1", "hello", late=90), bad]))
    rows = stored(database, tally, 1.0)
    row = rows["city", "web-1"]
    assert (row.events, row.quarantined, row.unparsed, row.lag_ms, row.least_lag_ms) == (2, 0, 2, 90_000, 3_000)
    assert {sample["kind"] for sample in row.samples} == {"unparsed"}
    assert rows["city", "192.0.2.1"].quarantined == 1
    assert rows["city", "192.0.2.1"].samples[0]["kind"] == "undecodable"
    tally.add(normalise([syslog("web-1", "again", at=AT + timedelta(seconds=10))]))
    assert stored(database, tally, 2.0)["city", "web-1"].events == 2, "a known source is not stored at every look"
    row = stored(database, tally, 1.0 + FLUSH_SECONDS)["city", "web-1"]
    assert (row.events, row.last_seen, row.first_seen) == (3, AT + timedelta(seconds=10), AT)


def test_the_rate_settles_and_falls_when_nothing_comes(database: Database) -> None:
    tally = SourceTally(0.0)
    for tick in range(1, 61):
        at = AT + timedelta(seconds=5 * tick)
        tally.add(normalise([syslog("web-1", "x", at=at)] * 50))
        rows = stored(database, tally, 5.0 * tick)
    row = rows["city", "web-1"]
    assert row.rate_at(at) == pytest.approx(10, rel=0.05)
    assert row.rate_at(at + timedelta(minutes=5)) < 0.1
    assert not row.silent_at(at + timedelta(minutes=59))
    assert row.silent_at(at + timedelta(minutes=61))


def test_a_clock_ahead_is_told_also_when_it_is_not_believed(database: Database) -> None:
    tally = SourceTally(0.0)
    tally.add(normalise([syslog("a", "x", late=-600), syslog("b", "x", late=-3 * 86_400), syslog("c", "x")]))
    rows = stored(database, tally, 1.0)
    assert [rows["city", host].ahead_ms for host in "abc"] == [600_000, 3 * 86_400_000, 0]


def test_times_off_by_whole_hours_look_like_a_zone(database: Database) -> None:
    late = {
        "ahead": -8 * 3600,
        "behind": 8 * 3600 + 40,
        "slow": 7 * 3600 + 1300,
        "right": 5,
        "years": 20 * 365 * 86_400,
    }
    tally = SourceTally(0.0)
    tally.add(normalise([syslog(host, "x", late=seconds) for host, seconds in late.items()]))
    tally.add(normalise([syslog("backlog", "x", late=seconds) for seconds in (3600, 2000, 3)]))
    rows = stored(database, tally, 1.0)
    assert {host: rows["city", host].hours_off for host in (*late, "backlog")} == {
        "ahead": 8, "behind": -8, "slow": 0, "right": 0, "years": 0, "backlog": 0,
    }  # fmt: skip


@given(st.integers(-12, 14), st.integers(-12, 14))
def test_the_zone_named_is_the_one_that_the_device_means(means: int, read_in: int) -> None:
    named = ZoneInfo(zone_meant(means - read_in, timedelta(hours=read_in)))
    assert AT.astimezone(named).utcoffset() == timedelta(hours=means)


def test_offsets_are_written_as_people_do() -> None:
    spans = [timedelta(0), timedelta(hours=8), timedelta(hours=-3, minutes=-30), timedelta(hours=5, minutes=45)]
    assert [utc(one) for one in spans] == ["UTC", "UTC+8", "UTC-3:30", "UTC+5:45"]


def test_a_zone_that_nobody_knows_is_refused_before_the_service_starts() -> None:
    assert Ingest(timezone="Asia/Shanghai").zone(AT) == ZoneInfo("Asia/Shanghai")
    assert AT.astimezone(Ingest().zone(AT)).utcoffset() == AT.astimezone().utcoffset(), "this machine's own"
    for wrong in ("Asia/Nowhere", "../../etc/passwd", "UTC+8"):
        with pytest.raises(ValueError, match="unknown time zone"):
            Ingest(timezone=wrong)


def test_hosts_without_number_share_a_row_and_are_counted(database: Database) -> None:
    tally = SourceTally(0.0)
    extra = 10
    tally.add(normalise([syslog(f"h{n}", "x") for n in range(MOST + extra)]))
    tally.add(normalise([syslog("quiet", "x", tenant="north")]))
    stored(database, tally, 1.0)
    with database.read() as tx:
        assert source_health.mark(tx) == MOST + extra + 1
        count = [row.host for row in tx.query(SourceRow).filter(SourceRow.tenant == "city")]
    assert len(count) == source_health.MOST + 1
    assert "" in count


def test_the_services_own_trail_and_probes_are_no_sources(database: Database) -> None:
    tally = SourceTally(0.0)
    probe = Record(b'{"check": "disk", "outcome": "pass"}', AT, "probe", "", "city", "probe")
    tally.add(normalise([probe]))
    assert stored(database, tally, 10.0) == {}
