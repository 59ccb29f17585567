"""What came from which source is counted, bounded and stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitors.record import Record
from secops import migrations, source_health
from secops.db import Database
from secops.normalise import normalise
from secops.source_health import SourceRow
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
