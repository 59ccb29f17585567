"""The sentence as code: collect -> normalise -> store -> match -> alert -> ticket -> evidence.

Each step takes what it works on as arguments; who runs it, and how often, is the roles' business (``secops.worker``).
Three commits make it safe to pull the plug anywhere: an event is durable before it is acknowledged; an alert is stored
with the matcher's cursor and the outbox row that announces it; a ticket is stored with the outbox row that it consumes.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import orjson

from secops import progress
from secops.alert.group import raise_alerts
from secops.normalise import normalise
from secops.records import EVENT_ID, HOST, KIND, PIPELINE_ERROR, TENANT, Event, EventId, Exhibit
from secops.store.log import partition_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from monitors.record import Record
    from secops.db import Database
    from secops.match.detector import Detector
    from secops.records import RuleInfo
    from secops.store.index import Index
    from secops.store.log import Log

DETECT = "detect"  # the matcher's name among the log's consumers


def ingest(records: Sequence[Record], log: Log) -> tuple[int, int]:
    """Collect -> normalise -> store: durable when it returns.

    Gives how many events were stored and how many of them are quarantined messages.

    Raises:
        LogFull: nothing was stored.
    """
    events = normalise(records)
    batches: dict[int, list[Event]] = defaultdict(list)
    quarantined = 0
    for event in events:
        batches[partition_of(event[TENANT], event.get(HOST) or "", log.partitions)].append(event)
        quarantined += event[KIND] == PIPELINE_ERROR
    log.append(batches, positions_of(records))
    return len(events), quarantined


def positions_of(records: Sequence[Record]) -> dict[str, Any]:
    """Give the last position of each source among ``records``."""
    return dict(record.position for record in records if record.position is not None)


def index_next(log: Log, index: Index, partition: int, limit: int) -> int:
    """Store -> index: add the next events of ``partition``; the index keeps its own place. Gives how many."""
    events = log.read(partition, index.position(partition), limit)
    if events:
        index.add(partition, events)
    return len(events)


def detect_next(
    log: Log,
    database: Database,
    detector: Detector,
    rules: Mapping[str, RuleInfo],
    partition: int,
    *,
    offset: int,
    limit: int,
    now: datetime,
) -> tuple[int, int]:
    """Store -> match -> alert: match the next events; alerts, state and cursor are one commit.

    Gives the next offset and the number of matches. After an error the detector's memory is ahead of what is stored:
    throw it away and make a new one from the stored state.
    """
    events = log.read(partition, offset, limit)
    if not events:
        return offset, 0
    matches = detector.run(events)
    changes = detector.take_changes()
    next_offset = EventId.parse(events[-1][EVENT_ID]).offset + 1  # not offset + len: retention may have moved the start
    with database.begin() as tx:
        if matches:
            raise_alerts(tx, matches, rules, now)
        if changes:
            progress.save_state(tx, DETECT, changes)
        progress.advance(tx, DETECT, partition, next_offset)
    return next_offset, len(matches)


def events_exhibit(tenant: str, events: Sequence[Event]) -> Exhibit:
    """Give the events of a case as one file of JSON lines, in the order given."""
    lines = [orjson.dumps(event, option=orjson.OPT_SORT_KEYS) for event in events]
    return Exhibit(tenant=tenant, path="events/events.jsonl", media_type="application/jsonl", content=b"\n".join([*lines, b""]))
