"""Reading the log: by partition and offset, and by ids, in bounded memory; in the writer's process or any other."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from secops.records import EVENT_ID
from secops.store import ends, frames, segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from secops.records import Event, EventId
    from secops.store.log import Look

OPEN_SEGMENTS: Final = 128
CACHE_BYTES: Final = 64 * 2**20
PARALLEL: Final = 4096  # ids looked up at a time


class Reader:
    """What ``FileLog`` reads with; safe to use from several threads."""

    def __init__(self, directory: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._ends: ends.Ends | None = None
        self._firsts: dict[int, list[int]] = {}  # partition -> first offsets of its segments
        self._segments: OrderedDict[tuple[int, int], segment.Segment] = OrderedDict()
        self._cache: OrderedDict[tuple[int, int, int], list[bytes]] = OrderedDict()
        self._cached, self._cache_bytes = 0, cache_bytes

    def end(self, partition: int) -> int:
        """The durable end of ``partition``; 0 while there is no log."""
        if self._ends is None:
            self._ends = ends.look(self._directory)
        return 0 if self._ends is None else self._ends.get(partition)

    def first(self, partition: int) -> int:
        """The oldest offset still kept."""
        with self._lock:
            firsts = self._firsts.get(partition)
            if not firsts or not segment.path_of(self._directory, partition, firsts[0]).exists():
                firsts = self._relist(partition)
        return firsts[0] if firsts else 0

    def read(self, partition: int, offset: int, limit: int, *, whole: bool = True) -> list[Event]:
        """See ``Log.read``."""
        found: list[Event] = []
        end = self.end(partition)
        while offset < end and len(found) < limit:
            with self._lock:
                base, lines = self._frame(partition, offset, end)
            offset = max(offset, base)
            part = lines[offset - base : offset - base + limit - len(found)]
            found += frames.to_events(part, partition, offset, whole=whole)
            offset += len(part)
        return found

    def get(self, ids: Sequence[EventId]) -> list[Event]:
        """See ``Log.get``."""
        lines = self.lines(ids)
        present = [place for place in ids if place in lines]
        events = frames.to_events([lines[place] for place in present], 0, 0)
        for place, event in zip(present, events, strict=True):
            event[EVENT_ID] = str(place)
        return events

    def lines(self, ids: Iterable[EventId], look: Look | None = None) -> dict[EventId, bytes]:
        """The stored JSON of ``ids``, without parsing it; frames are visited once each, without those ``look`` turns down."""
        found: dict[EventId, bytes] = {}
        current, end, base, following, lines = -1, 0, 0, 0, list[bytes]()
        for place in sorted(set(ids)):
            partition, offset = place
            if partition != current:
                current, following, end = partition, 0, self.end(partition)
            if not 0 <= offset < end:
                continue
            if offset >= following:
                with self._lock:
                    base, following, lines = self._promising(partition, offset, end, look)
            if lines and offset >= base:
                found[place] = lines[offset - base]
        return found

    def close(self) -> None:
        """Release all files."""
        with self._lock:
            while self._segments:
                self._segments.popitem()[1].close()
            self._cache.clear()
            if self._ends is not None:
                self._ends.close()
                self._ends = None

    def _frame(self, partition: int, offset: int, end: int) -> tuple[int, list[bytes]]:
        """``(first offset, lines)`` of the frame with ``offset``, or of the oldest frame when that is gone."""
        base, _, lines = self._promising(partition, offset, end, None)
        return base, lines

    def _promising(self, partition: int, offset: int, end: int, look: Look | None) -> tuple[int, int, list[bytes]]:
        """The same with the offset behind the frame; no lines when ``look`` turns the frame down."""
        part = self._segment(partition, offset, end)
        number, base = part.base_of(max(offset, part.first))
        following = part.following(number)
        key = (partition, base, following)  # a segment may be packed anew into other frames
        lines = self._cache.get(key)
        if lines is not None:
            self._cache.move_to_end(key)
        elif look is None:
            lines = self._remember(key, part.lines(number))
        elif key in look.barren:
            return base, following, []
        else:
            text = part.text(number)
            if not look.test(text):
                look.barren.add(key)
                return base, following, []
            lines = self._remember(key, part.split(number, text))
        return base, following, lines

    def _remember(self, key: tuple[int, int, int], lines: list[bytes]) -> list[bytes]:
        self._cache[key] = lines
        self._cached += _weight(lines)
        while self._cached > self._cache_bytes and len(self._cache) > 1:
            self._cached -= _weight(self._cache.popitem(last=False)[1])
        return lines

    def _segment(self, partition: int, offset: int, end: int) -> segment.Segment:
        firsts = self._firsts.get(partition) or self._relist(partition)
        part = self._open(partition, firsts[max(bisect_right(firsts, offset) - 1, 0)])
        part.extend(end)
        if offset >= part.end:  # the log has gone on in a newer segment, or old ones were removed
            firsts = self._relist(partition)
            part = self._open(partition, firsts[max(bisect_right(firsts, offset) - 1, 0)])
            part.extend(end)
        return part

    def _relist(self, partition: int) -> list[int]:
        paths = segment.list_segments(self._directory, partition)
        self._firsts[partition] = [int(path.stem) for path in paths]
        return self._firsts[partition]

    def _open(self, partition: int, first: int) -> segment.Segment:
        key = (partition, first)
        if key in self._segments:
            self._segments.move_to_end(key)
            return self._segments[key]
        try:
            part = segment.Segment(segment.path_of(self._directory, partition, first))
        except FileNotFoundError:  # expired since it was listed: go on with the oldest one left
            first = self._relist(partition)[0]
            part = segment.Segment(segment.path_of(self._directory, partition, first))
        self._segments[partition, first] = part
        if len(self._segments) > OPEN_SEGMENTS:
            self._segments.popitem(last=False)[1].close()
        return part


def _weight(lines: list[bytes]) -> int:
    return sum(map(len, lines)) + 50 * len(lines)
