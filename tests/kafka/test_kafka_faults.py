"""Kafka and its clients killed, frozen, restarted: nothing acknowledged is lost, nothing is there twice."""

from __future__ import annotations

import random
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import kafka_server
import pytest
import sqlalchemy as sa
from waiting import wait_until

from secops.db import Database, create_all
from secops.migrations.metadata import METADATAS
from secops.records import EventId
from secops.store.kafka import KafkaLog
from secops.store.kafka_client import LogAway, LogUnsettled, Place
from secops.store.kafka_topics import make_topics

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("kafka"), pytest.mark.timeout(240)]
Opened = Callable[..., KafkaLog]
HERE = Path(__file__).parent


def stored(log: KafkaLog) -> list[int]:
    found: list[int] = []
    for partition in range(log.partitions):
        offset = 0
        while events := log.read(partition, offset, 5000):
            found += [event["number"] for event in events]
            offset = EventId.parse(events[-1]["event.id"]).offset + 1
    return found


def test_kill_nine_in_a_transaction_loses_and_repeats_nothing(
    opened: Opened, place: Place, kafka: kafka_server.Broker
) -> None:
    draw, acknowledged = random.Random(5), 0
    for seed in range(8):
        command = [sys.executable, str(HERE / "appender.py"), place.topic, kafka.address, str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child, selectors.DefaultSelector() as selector:
            assert child.stdout is not None
            selector.register(child.stdout, selectors.EVENT_READ)
            assert selector.select(timeout=60), "the child never acknowledged anything"
            threading.Event().wait(draw.uniform(0, 0.2))  # when the child dies is drawn, not waited for
            child.kill()
            lines = child.stdout.read().split(b"\n")[:-1]
        acknowledged = max(acknowledged, int(lines[-1]))
    log = opened("appender")  # ends what the last one left open
    position = log.positions()["source"]
    assert position >= acknowledged > 0
    wait_until(lambda: sorted(stored(log)) == list(range(position)), what="each number of the source once")


def test_a_broker_that_is_restarted_is_waited_for_and_one_that_stays_away_is_said(tmp_path: Path) -> None:
    with kafka_server.broker() as own:
        place = Place("restarted", 4, {"bootstrap.servers": own.address})
        make_topics(place, replication=1, retention_days=200)
        log, acknowledged, stop = KafkaLog(place, writer="a"), [0], threading.Event()

        def send() -> None:
            number = 0
            while not stop.is_set():
                log.append({number % 4: [{"number": number}]}, {"source": number + 1})
                number += 1
                acknowledged[0] = number

        sender = threading.Thread(target=send)
        sender.start()
        for kill in (False, True):
            before = acknowledged[0]
            wait_until(lambda before=before: acknowledged[0] > before + 20, timeout=60, what="events before")
            own.stop(kill=kill)
            own.start()
            before = acknowledged[0]
            wait_until(lambda before=before: acknowledged[0] > before + 20, timeout=90, what="events after")
        stop.set()
        sender.join(60)
        reader = KafkaLog(place)
        wait_until(lambda: sorted(stored(reader)) == list(range(acknowledged[0])), what="each once")
        reader.close()
        log.close()
        hasty = KafkaLog(place, writer="b", settle_seconds=2)
        own.stop()
        started = time.monotonic()
        with pytest.raises((LogAway, LogUnsettled)):
            hasty.append({0: [{"number": -1}]})
        assert time.monotonic() - started < 30
        own.start()
        again = KafkaLog(place, writer="b")  # settles what was open
        again.append({0: [{"number": -2}]})
        wait_until(lambda: -2 in stored(again), what="the log to go on")
        assert stored(again).count(-1) <= 1
        hasty.close()
        again.close()


def test_shares_move_between_processes_under_load_and_every_event_is_done_once(
    opened: Opened, place: Place, kafka: kafka_server.Broker, postgres_url: str
) -> None:
    database = Database(postgres_url)
    create_all(database, METADATAS)
    with database.begin() as tx:  # no key: a repeated event would be a second row
        tx.execute(sa.text("CREATE TABLE done (id text NOT NULL, holder text NOT NULL)"))

    def rows(sql: str) -> int:
        with database.read() as tx:
            return int(tx.scalar(sa.text(sql)) or 0)

    def join(holder: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(HERE / "sharer.py"), place.topic, kafka.address, postgres_url, holder]
        )

    log, sent, stop = opened("a"), [0], threading.Event()

    def send() -> None:
        while not stop.is_set() and sent[0] < 60_000:
            log.append({partition: [{"number": sent[0]}] * 50 for partition in range(4)})
            sent[0] += 200

    sender = threading.Thread(target=send)
    first = join("first")
    members = [first]
    try:
        sender.start()
        wait_until(lambda: rows("SELECT count(*) FROM done") > 500, timeout=60, what="the first to work")
        members.append(join("second"))
        wait_until(lambda: rows("SELECT count(*) FROM done WHERE holder = 'second'") > 200, timeout=60, what="a share")
        first.send_signal(signal.SIGSTOP)  # frozen: the group gives its partitions away
        held = "SELECT count(*) FROM leases WHERE holder = 'second'"
        wait_until(lambda: rows(held) == 4, timeout=60, what="the second to have all")
        first.send_signal(signal.SIGCONT)  # it wakes with batches in hand, and takes part again
        wait_until(lambda: 0 < rows(held) < 4, timeout=60, what="the first to have a share again")
        members[1].kill()
        wait_until(lambda: rows(held) == 0, timeout=60, what="the first to have all")
        stop.set()
        sender.join(60)
        wait_until(lambda: rows("SELECT count(*) FROM done") >= sent[0], timeout=90, what="everything done")
        assert rows("SELECT count(DISTINCT id) FROM done") == rows("SELECT count(*) FROM done") == sent[0]
    finally:
        stop.set()
        sender.join(60)
        for each in members:
            each.kill()
            each.wait(30)
        database.close()
