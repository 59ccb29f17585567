"""auditd's records complete one another; databases and hosts are read in bounded time, whatever they are sent."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops.match.route import Signature, covers, signature_of, view_of
from secops.match.rule import LogSource
from secops.normalise import normalise
from secops.normalise.audit_fields import MAX_WORDS, split_fields, unhex
from secops.normalise.sql import one_line, operation_of

RECEIVED = datetime(2026, 11, 24, 9, 0, 0, tzinfo=UTC)
CALL = 'type=SYSCALL msg=audit(1795507200.123:{n}): arch=c000003e syscall=59 success=yes exit=0 a0=55d4 ppid=2211 pid=2300 auid=1001 uid=0 euid=33 tty=pts0 ses=7 comm="curl" exe="/usr/bin/curl" key="exec" AUID="liwei"'
PROGRAM = 'type=EXECVE msg=audit(1795507200.123:{n}): argc=3 a0="curl" a1="-o" a2=2F746D702F6120622E7368'
FOLDER = 'type=CWD msg=audit(1795507200.123:{n}): cwd="/root"'


def read(*lines: str, form: str = "line", peer: str = "192.0.2.7:514") -> list[dict[str, Any]]:
    return normalise([Record(line.encode(), RECEIVED, "file", peer, "city", form) for line in lines])


def test_records_of_one_event_complete_one_another_in_any_order() -> None:
    lines = [text.format(n=1) for text in (PROGRAM, CALL, FOLDER)]
    for order in (lines, lines[::-1]):
        events = {event["original"]["type"]: event for event in read(*order)}
        program, call = events["EXECVE"], events["SYSCALL"]
        assert program["process.executable"] == "/usr/bin/curl"
        assert program["process.parent.pid"] == 2211
        assert program["user.name"] == "liwei"
        assert program["event.outcome"] == "success"
        assert program["original"]["a0"] == "curl"  # its own, not the register of the system call
        assert call["original"]["a0"] == "55d4"
        assert call["process.command_line"] == program["process.command_line"] == "curl -o /tmp/a b.sh"
        assert {event["process.working_directory"] for event in events.values()} == {"/root"}


def test_records_from_the_journal_are_joined_by_the_number_beside_them() -> None:
    frame = '{{"_TRANSPORT": "audit", "SYSLOG_IDENTIFIER": "audit", "_AUDIT_ID": "77", "_HOSTNAME": "db-01", "_SOURCE_REALTIME_TIMESTAMP": "1795507200123000", "MESSAGE": "{}"}}'
    call = 'SYSCALL arch=c000003e syscall=59 success=yes pid=2300 uid=0 auid=0 comm=\\"id\\" exe=\\"/usr/bin/id\\"'
    program = 'EXECVE argc=2 a0=\\"id\\" a1=\\"-u\\"'
    _, started = read(frame.format(call), frame.format(program), form="journal")
    assert started["event.dataset"] == "linux.process"
    assert started["process.command_line"] == "id -u"
    assert started["process.executable"] == "/usr/bin/id"


def test_records_of_other_events_hosts_and_senders_stay_apart() -> None:
    events = read(PROGRAM.format(n=1), CALL.format(n=2), "node=other " + CALL.format(n=1))
    assert "process.pid" not in events[0]
    assert "process.command_line" not in events[2]
    forged = '{"event.dataset": "linux.auditd", "audit_id": "1795507200.123:1", "type": "SYSCALL", "process.executable": "/x"}'
    program, _ = read(PROGRAM.format(n=1), peer="192.0.2.7:514") + read(forged, form="json", peer="192.0.2.8:514")
    assert "process.executable" not in program


@pytest.mark.parametrize("identity", ["[1]", "{}", '"x"', "7", "null"])
def test_json_that_claims_to_be_an_audit_record_stops_nothing(identity: str) -> None:
    forged = f'{{"event.dataset": "linux.auditd", "audit_id": {identity}, "type": {identity}}}'
    events = normalise(
        [Record(forged.encode(), RECEIVED, "push", "192.0.2.7:514", "city", "json")] * 2
        + [Record(CALL.format(n=1).encode(), RECEIVED, "file", "192.0.2.7:514", "city", "line")]
    )
    assert [event["event.kind"] for event in events] == ["event"] * 3


def test_a_name_cannot_pass_for_the_enrichment() -> None:
    """``\\x1d`` inside quotes is part of somebody's file name; auditd's separator stands outside them."""
    fields = split_fields('uid=1001 exe="/tmp/a\\x1dUID=root" key=(null)')
    assert fields == {"uid": "1001", "exe": "/tmp/a\\x1dUID=root", "key": "(null)"}
    assert split_fields('uid=0 key="k"\\x1dUID="root"') == {"uid": "0", "key": "k", "UID": "root"}


def test_hexadecimal_shows_controls_and_keeps_chinese() -> None:
    assert unhex("1b5b33316d") == "\\x1b[31m"
    assert unhex("中文".encode().hex().upper()) == "中文"
    assert unhex("6c73002d6c00") == "ls -l"
    assert unhex("ff41") == "\\xffA"
    assert [unhex(word) for word in ("abc", "", "zz", "1")] == ["abc", "", "zz", "1"]


@pytest.mark.parametrize(
    ("sql", "operation"),
    [
        ("drop table if exists t", "DROP TABLE"),
        ("/* x */ -- y\n GRANT dba TO app", "GRANT"),
        ("CREATE OR REPLACE FUNCTION f()", "CREATE FUNCTION"),
        ("dr/**/op table t", "DR"),
        ("drop/**/table t", "DROP TABLE"),
        ("/*!50003 DROP*/ TABLE t", "DROP TABLE"),
        ("truncate t", "TRUNCATE T"),
        ("  ;( select 1", "SELECT"),
        ("", ""),
        ("/* grant", ""),
    ],
)
def test_the_operation_of_a_statement(sql: str, operation: str) -> None:
    assert operation_of(sql) == operation


def test_a_statement_is_kept_as_it_acts() -> None:
    assert one_line("GRANT/**/DBA\n  to /* nobody */ x") == "GRANT DBA to x"
    assert one_line("SELECT /*!40001 SQL_NO_CACHE */ * FROM t") == "SELECT /*!40001 SQL_NO_CACHE */ * FROM t"
    assert one_line("SELECT /* " + "a" * 10_000) == "SELECT"


HOSTILE = [
    'type=EXECVE msg=audit(1.1:1): argc=99999999 a0[0]="' + "A" * 900_000,
    "type=SYSCALL msg=audit(1.1:1): " + "a=1 " * 250_000,
    "type=SYSCALL msg=audit(1.1:1): " + '"' * 900_000,
    "type=X msg=audit(1.1:1): " + "msg='" * 180_000,
    "type=PROCTITLE msg=audit(1.1:1): proctitle=" + "41" * 450_000,
    "2026-11-24 16:00:00.123 CST [1] LOG:  statement: " + "/*" * 400_000,
    "2026-11-24 16:00:00.123 CST [1] LOG:  statement: " + "/**/" * 200_000,
    "2026-11-24 16:00:00.123 CST," + '"' * 900_000,
    "2026-11-24 16:00:00.123 CST," + "," * 900_000,
    "2026-11-24T08:00:00.123456Z\t" + "1" * 900_000,
    "20261124 16:00:00," + "," * 900_000,
    "2026-11-24 16:00:00.123 (EP[0] " + "user:x " * 120_000,
    "<30>Nov 24 16:00:00 n dockerd[1]: time=" + '"\\' * 450_000,
    '<30>Nov 24 16:00:00 n dockerd[1]: time="' + "\\" * 900_000 + '"',
    "<29>Nov 24 16:00:00 n chronyd[1]: System clock wrong by " + "1 " * 450_000,
]


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: line[:40])
def test_a_megabyte_of_anything_takes_bounded_time(line: str) -> None:
    started = time.process_time()
    (event,) = read(line)
    assert time.process_time() - started < 1.0
    assert event["event.kind"] == "event"
    assert len(event.get("original", {})) <= MAX_WORDS + 8


@given(st.sampled_from(HOSTILE), st.text(max_size=60), st.integers(0, 60))
def test_nothing_a_sender_writes_stops_the_parsers(line: str, noise: str, at: int) -> None:
    short = line[:80]
    (event, *_) = read(short[:at] + noise + short[at:])
    assert event["event.original"] is not None
    assert event["organization.id"] == "city"


@pytest.mark.parametrize(
    ("source", "dataset", "covered"),
    [
        (LogSource("linux", "", "auditd"), "linux.auditd", True),
        (LogSource("linux", "", "auditd"), "linux.process", True),
        (LogSource("linux", "process_creation", ""), "linux.process", True),
        (LogSource("linux", "process_creation", ""), "linux.auditd", False),
        (LogSource("dm", "database", ""), "dm.audit", True),
        (LogSource("", "database", ""), "kingbase.log", True),
        (LogSource("mysql", "database", ""), "dm.audit", False),
        (LogSource("postgresql", "database", ""), "postgresql.log", True),
    ],
)
def test_log_sources_mean_these_datasets(source: LogSource, dataset: str, *, covered: bool) -> None:
    assert covers(source, Signature(dataset, "", "")) is covered


def test_sigma_names_of_a_started_program_are_found() -> None:
    _, program = read(CALL.format(n=1), PROGRAM.format(n=1))
    view = view_of(program)
    assert covers(LogSource("linux", "process_creation", ""), signature_of(program))
    assert (view["Image"], view["CommandLine"], view["User"]) == ("/usr/bin/curl", "curl -o /tmp/a b.sh", "liwei")
