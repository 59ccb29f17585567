"""A matcher process: reads ranges of the log, finds the rules that hold, and says so; remembers nothing.

Everything that must not be lost or repeated (correlations, alerts, cursors) is the detect role's. So a matcher may die at
any moment; the range is simply matched again.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops.engines import open_log
from secops.match.scan import Databases
from secops.records import EVENT_ID, INGESTED, TENANT, TIMESTAMP, EventId
from secops.settings import Log as LogSettings
from secops.worker.prepared import compiled, read_running

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.match.engine import Found
    from secops.match.tenants import Engines
    from secops.records import Event
    from secops.store.log import Log

_STUB: Final = (EVENT_ID, TIMESTAMP, INGESTED, TENANT)  # what is said of an event that nothing hit


def answer(engine: Engines, log: Log, partition: int, offset: int, limit: int) -> dict[str, Any]:
    """Match ``limit`` events from ``offset`` on: the events that rules hold for, and which rules these are.

    ``events`` holds the others only in stub, one a minute and the last, because they say how time has passed; ``hits``
    are pairs of rule id and position in ``events``. Nothing past the range is touched, even where its events are gone.
    """
    started = time.perf_counter()
    events = read_range(log, partition, offset, limit)
    kept, hits = compact(events, engine.find(events))
    return {
        "following": offset + limit,
        "pid": os.getpid(),
        "count": len(events),
        "events": kept,
        "hits": hits,
        "seconds": time.perf_counter() - started,
    }


def read_range(log: Log, partition: int, offset: int, limit: int) -> list[Event]:
    """The events of ``offset`` to ``offset + limit``; fewer where retention has deleted some.

    Raises:
        LookupError: the log ends before the range does; whoever asked for it has seen events that are not there.
    """
    end = offset + limit
    found: list[Event] = []
    while offset < end:
        events = log.read(partition, offset, end - offset, whole=False)
        if not events:
            raise LookupError(f"partition {partition} of the log ends at {offset}, before {end}")
        offset = EventId.parse(events[-1][EVENT_ID]).offset + 1
        found += [event for event in events if EventId.parse(event[EVENT_ID]).offset < end] if offset > end else events
    return found


def compact(events: Sequence[Event], found: Sequence[Found]) -> tuple[list[Event], list[tuple[str, int]]]:
    """The events that were hit, in stub the first of every minute and the last; and the hits as (rule id, position)."""
    whole = {hit.index for hit in found}
    marks = whole | {len(events) - 1} if events else whole
    minute = ""
    for index, event in enumerate(events):
        received = event.get(INGESTED, "")[:16]
        if received != minute:
            minute = received
            marks.add(index)
    kept: list[Event] = []
    places: dict[int, int] = {}
    for index in sorted(marks):
        places[index] = len(kept)
        event = events[index]
        kept.append(event if index in whole else {str(name): event[name] for name in _STUB if name in event})
    return kept, [(hit.rule.id, places[hit.index]) for hit in found]


def main() -> None:
    """Answer requests on the inherited connection until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the role decides when we end: it closes the connection
    connection = Connection(int(sys.argv[1]))
    said = orjson.loads(connection.recv_bytes())
    log = open_log(LogSettings.model_validate(said["settings"]), Path(said["log"]))
    databases = Databases(Path(said["cache"]))
    running, engine = "", None
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)  # batches of events are no garbage, and have no cycles
    while True:
        try:
            asked = orjson.loads(connection.recv_bytes())
        except EOFError:
            return
        if engine is None or asked["rules"] != running:
            running = asked["rules"]
            engine = compiled(read_running(Path(running)), databases)
        found = answer(engine, log, asked["partition"], asked["offset"], asked["limit"])
        if asked["costs"]:
            found["costs"] = {rule_id: (each.evaluated, each.cpu_us) for rule_id, each in engine.costs().items()}
        connection.send_bytes(orjson.dumps(found))


if __name__ == "__main__":
    main()
