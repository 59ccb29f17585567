"""Real rsyslog to a real ingest process: what it sent is stored, whoever is killed or restarted in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from senders import receiving, rsyslog
from senders.receiving import NO_ROOM, Receiver
from senders.rsyslog import Sender
from waiting import wait_until

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(bool(rsyslog.missing()), reason=f"not installed: {rsyslog.missing()}"),
]
EVERY = ("udp", "tcp", "tls-gtls", "tls-openssl", "relp", "relp-tls", "omelasticsearch")
ACKNOWLEDGED = ("relp", "relp-tls", "omelasticsearch")
COUNT = 3000


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    found = receiving.prepared(tmp_path_factory.mktemp("receiver") / "var")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def sender(request: pytest.FixtureRequest, receiver: Receiver, tmp_path: Path) -> Iterator[Sender]:
    made = Sender.made(tmp_path, request.param, receiver)
    yield made
    made.stop()


def lines(kind: str, phase: str, count: int = COUNT) -> list[str]:
    return [f"{kind} {phase} {n:06d}" for n in range(count)]


def arrived(receiver: Receiver, sender: Sender, prefix: str, wanted: list[str]) -> int:
    """Wait until everything of ``wanted`` is stored; give how many messages came more than once."""
    patience = 40.0
    with suppress(AssertionError):
        wait_until(lambda: receiver.stored(prefix).keys() >= set(wanted), timeout=patience, interval=0.3)
    found = receiver.stored(prefix)
    absent = sorted(set(wanted) - found.keys())
    assert not absent, f"{len(absent)} of {len(wanted)} are missing: {absent[:3]}, {absent[-3:]}; {sender.said()}"
    assert found.keys() == set(wanted)
    return found.total() - len(found)


@pytest.mark.parametrize(("sender", "kind"), [(kind, kind) for kind in EVERY], indirect=["sender"])
def test_what_is_sent_is_stored_once(receiver: Receiver, sender: Sender, kind: str) -> None:
    wanted = lines(kind, "plain")
    sender.write(wanted)
    sender.start()
    assert arrived(receiver, sender, f"{kind} plain", wanted) == 0
    events = [one for one in receiver.events() if str(one["message"]).strip().startswith(f"{kind} plain")]
    assert {one["organization.id"] for one in events} == {"county"}
    assert {one["process.name"] for one in events} == {"app"}
    assert {one["host.name"] for one in events} == {"web01.example.test"}


@pytest.mark.parametrize(("sender", "kind"), [(kind, kind) for kind in ACKNOWLEDGED], indirect=["sender"])
def test_nothing_is_lost_when_the_receiver_is_killed_and_the_sender_restarted(
    receiver: Receiver, sender: Sender, kind: str, record_property: pytest.RecordProperty
) -> None:
    prefix, wanted = f"{kind} killed", []
    sender.start()
    for part in range(3):
        piece = [f"{prefix} {part} {n:06d}" for n in range(COUNT)]
        wanted += piece
        before = len(receiver.stored(prefix))
        sender.write(piece)
        wait_until(lambda seen=before: len(receiver.stored(prefix)) > seen, timeout=60, what=sender.said())
        receiver.kill()
        sender.write(extra := [f"{prefix} {part} away {n:06d}" for n in range(COUNT)])
        wanted += extra
        receiver.start()
        if part == 1:
            sender.stop()
            sender.start()
    record_property("duplicates", arrived(receiver, sender, prefix, wanted))


@pytest.mark.parametrize(("sender", "kind"), [(kind, kind) for kind in ACKNOWLEDGED], indirect=["sender"])
def test_a_full_disk_is_waited_out(receiver: Receiver, sender: Sender, kind: str) -> None:
    prefix = f"{kind} full"
    receiver.stop()
    receiver.start(SECOPS_LOG__RESERVE_BYTES=NO_ROOM)
    wanted = lines(kind, "full", 500)
    sender.write(wanted)
    sender.start()
    wait_until(receiver.refuses, timeout=60, what="a receiver that has found its disk full")
    assert not receiver.stored(prefix)
    receiver.kill()
    receiver.start()
    assert arrived(receiver, sender, prefix, wanted) == 0
