"""A process that works on its share of the partitions and stores what it did with its cursor, until told to end."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime

import sqlalchemy as sa

from secops import lease, progress
from secops.db import Database
from secops.lease import LeaseLost
from secops.records import EventId
from secops.store.kafka import KafkaLog
from secops.store.kafka_client import Place
from secops.store.kafka_group import Member
from secops.worker.loop import Stop
from secops.worker.shares import Shared

CONSUMER = "test"


def main(topic: str, brokers: str, url: str, holder: str) -> None:
    stop = Stop().on_signals()
    place = Place(topic, 4, {"bootstrap.servers": brokers})
    log, database = KafkaLog(place), Database(url)
    shares = Shared(Member(place, CONSUMER, session_ms=3000), database, CONSUMER, holder, lambda: datetime.now(UTC))
    while not stop:
        done = 0
        for partition, held in shares.mine().items():
            assert held is not None
            with database.read() as tx:
                cursor = progress.cursor(tx, CONSUMER, partition)
            events = log.read(partition, cursor, 50)
            if not events:
                continue
            try:
                with database.begin() as tx:
                    lease.keep(tx, held, datetime.now(UTC))
                    for event in events:
                        row = {"id": event["event.id"], "holder": holder}
                        tx.execute(sa.text("INSERT INTO done (id, holder) VALUES (:id, :holder)"), row)
                    progress.advance(tx, CONSUMER, partition, EventId.parse(events[-1]["event.id"]).offset + 1)
            except (LeaseLost, sa.exc.DBAPIError):  # frozen in a transaction: the database has ended it
                break
            done += len(events)
        if not done:
            stop.rest(0.05)
    shares.close()
    log.close()
    database.close()


signal.signal(signal.SIGINT, signal.SIG_IGN)
main(*sys.argv[1:])
