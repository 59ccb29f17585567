"""The event log: every event, once, in order within its partition; durable before it is acknowledged.

Kept apart from its engines (``files`` embedded, Apache Kafka later), so that the stages know only this shape.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from secops.records import Event, EventId


class LogFull(UserError):  # noqa: N818 - a state of the disk, named as the callers say it
    """The disk is full or its reserve is reached: nothing of the batch was stored, and nothing may be acknowledged."""

    def __init__(self, place: str, free_bytes: int, reserve_bytes: int) -> None:
        free, reserve = free_bytes // 2**20, reserve_bytes // 2**20
        super().__init__(
            "log.full",
            f"事件日志所在磁盘已满：{place} 剩余 {free} MiB，须保留 {reserve} MiB；请扩容或清理后自动恢复接收",
            f"the event log's disk is full: {place} has {free} MiB left of a reserve of {reserve} MiB; "
            "free some space and gathering resumes by itself",
        )


class LogBusy(UserError):  # noqa: N818 - as above
    """Another process already writes this log."""

    def __init__(self, place: str) -> None:
        super().__init__(
            "log.busy",
            f"另一进程正在写入事件日志 {place}；同一日志只允许一个写入进程",
            f"another process writes the event log {place}; a log has one writer at a time",
        )


class LogCorrupt(UserError):  # noqa: N818 - as above
    """A frame that was once whole no longer is; the log never cuts what lies behind it."""

    def __init__(self, place: str, at: int, why: str) -> None:
        super().__init__(
            "log.corrupt",
            f"事件日志 {place} 在第 {at} 字节处损坏（{why}）；请按 runbooks/store-torn.md 处理：secops store check、secops store repair",
            f"the event log {place} is damaged at byte {at} ({why}); "
            "see runbooks/store-torn.md: secops store check, then secops store repair",
        )
        self.place, self.at, self.why = place, at, why


@dataclass(frozen=True, slots=True)
class Look:
    """A test of stored JSON, of one line or of many, that says no only where no event in it is wanted.

    ``barren`` remembers the frames it turned down, by partition and offsets: candidates come back to them.
    """

    test: Callable[[bytes], bool]
    barren: set[tuple[int, int, int]] = field(default_factory=set)


class Log(Protocol):
    """An ordered, durable store of events in a fixed number of partitions.

    Offsets count from 0 within a partition, without gaps. One process appends; any number read, each seeing whole
    batches only. ``event.id`` is ``<partition>-<offset>`` and is set on what is read, never stored.
    """

    partitions: int

    def append(self, batches: Mapping[int, Sequence[Event]], positions: Mapping[str, Any] | None = None) -> None:
        """Store ``{partition: events}`` and the sources' ``positions`` as one; durable when it returns.

        ``positions`` (source name -> JSON value) replace the earlier ones of those sources. After a crash, either all
        of a call's events and positions are there or none.

        Raises:
            LogFull: nothing was stored; the same call may be made again later.
        """
        ...

    def read(self, partition: int, offset: int, limit: int, *, whole: bool = True) -> list[Event]:
        """Up to ``limit`` events from ``offset`` on (from the oldest kept one, if that is later); empty at the end.

        Of an event that is not to be ``whole``, ``event.original`` may be ``true`` (``secops.verbatim``).
        """
        ...

    def get(self, ids: Sequence[EventId]) -> list[Event]:
        """The events of ``ids`` in that order; ids that are not (or no longer) stored are left out."""
        ...

    def lines(self, ids: Iterable[EventId], look: Look | None = None) -> dict[EventId, bytes]:
        """The stored JSON of ``ids`` (without ``event.id``), unparsed: for filters that look before they parse.

        Every word of an event's text stands in it, be the text itself left out (``secops.verbatim``).
        Events that ``look`` turns down may be left out, and need not be; it is not asked of every one.
        """
        ...

    def end(self, partition: int) -> int:
        """The offset that the next event of ``partition`` will get; cheap, for polling."""
        ...

    def first(self, partition: int) -> int:
        """The oldest offset of ``partition`` that is still kept."""
        ...

    def positions(self) -> dict[str, Any]:
        """The sources' positions as of the last append."""
        ...

    def commit(self, consumer: str, partition: int, offset: int) -> None:
        """Remember durably that ``consumer`` has done everything below ``offset``."""
        ...

    def committed(self, consumer: str, partition: int) -> int:
        """What ``commit`` last stored; 0 for a new consumer."""
        ...

    def close(self) -> None:
        """Release files and the writer's lock."""
        ...


def partition_of(tenant: str, host: str, partitions: int) -> int:
    """Stable partition of a tenant's host, so that what is correlated by host stays in order."""
    return zlib.crc32(f"{tenant}\0{host}".encode("utf-8", "surrogatepass")) % partitions
