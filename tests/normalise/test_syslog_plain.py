"""The short way through RFC 3164 ends where the long one does."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from monitors.record import Record
from secops.normalise.parser import Desk
from secops.normalise.parsers import syslog
from secops.normalise.registry import registry
from secops.normalise.times import SHANGHAI

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
PRIORITIES = st.sampled_from(["<38>", "<0>", "<191>", "<192>", "<038>", "<1234>", "", "<38> "])
STAMPS = st.sampled_from(
    ["Nov 24 08:00:00", "Nov  4 08:00:00", "Feb 29 08:00:00", "Feb 30 08:00:00", "Nov 24 25:00:00", "Nov 04 08:00:00",
     "nov 24 08:00:00", "Nov 24 2026 08:00:00", "Nov 26 08:00:00", "2026-11-24T08:00:00Z"]
)  # fmt: skip
HOSTS = st.sampled_from(
    ["web01", "10.0.0.1", "2026", "2019", "20ab", "*", "-", "%LINK", "a=b", "h:", "h", "fe80::1", ""]
)
TAGS = st.sampled_from(
    ["sshd[7]:", "sshd:", "CEF:", "CEF:0|a|", "LEEF:", "CRON[99999999999]:", "a/b/sshd[1]:", "sshd[]:", "sshd[x]:", "[7]:", "7:",
     "*x:", "sshd", "kernel:", "SSHD[3]:", "sudo:", "%%01IFNET/4/X(l)[1]:", "x" * 90 + ":", "message", "中文:", ""]
)  # fmt: skip
MESSAGES = st.sampled_from(
    ["Failed password for root from 192.0.2.1 port 22 ssh2", " two spaces", "", '{"a": 1}', "0|V|P|1|c|n|5|src=1.2.3.4",
     "message repeated 3 times: [ Failed password for root from 192.0.2.1 port 22 ssh2]", "last : colon"]
)  # fmt: skip
GAPS = st.sampled_from([" ", "", "  "])


def desk() -> Desk:
    known = registry()
    made = Desk(known.programs, known.documents, known.lines, known.messages, SHANGHAI)
    made.receive(AT)
    return made


@given(st.tuples(PRIORITIES, STAMPS, GAPS, HOSTS, GAPS, TAGS, GAPS, MESSAGES | st.text(max_size=20)))
def test_both_ways_give_the_same(pieces: tuple[str, ...]) -> None:
    text = "".join(pieces)
    record = Record(text.encode(), AT, "syslog", "192.0.2.7:514", "city", "syslog")
    short, long = syslog.parse(record, text, desk()), syslog.read_rfc3164(record, text, desk())
    assert [list(event.items()) for event in short] == [list(event.items()) for event in long]


def test_the_usual_form_takes_the_short_way() -> None:
    assert syslog.PLAIN.match("<38>Nov 24 08:00:00 web01 sshd[7]: Failed password")
