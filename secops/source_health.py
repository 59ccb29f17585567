"""How each source is doing: a row for every (tenant, collector, host) that events name, brought up to date once a batch or so.

The ingest role counts in memory (``Window``) and stores the sums every few seconds. A tenant has at most ``MOST`` rows; what
comes from further hosts is counted together in one row without collector and host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, defer, mapped_column

from secops import audit
from secops.db import Base
from secops.errors import UserError
from secops.records import DATASET, HOST, INGESTED, KIND, PIPELINE_ERROR, RAW, TENANT, TIMESTAMP, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Key: TypeAlias = tuple[str, str, str]  # tenant, collector, host

MOST: Final = 2000  # sources of one tenant that have a row of their own
HOST_LENGTH: Final = 255
SAMPLES: Final = 5
SAMPLE_LENGTH: Final = 500  # characters of a message that is shown as a sample
SMOOTHING: Final = 60.0  # seconds over which the rate is averaged
SHANGHAI: Final = timedelta(hours=8)
SILENT: Final = timedelta(hours=1)  # as the rule rules/watch/silent-source.yml
UNPARSED: Final = frozenset(
    {"syslog.generic", "json.generic"}
)  # datasets of what no parser knew: kept, searchable, no fields
HOUR: Final = 3_600_000  # milliseconds
NEAR_HOUR: Final = 120_000  # milliseconds from a whole number of hours within which a wrong zone is the likely reason
MOST_HOURS: Final = 14  # zones lie between UTC-12 and UTC+14
IN_STEP: Final = 2_000  # milliseconds by which a clock may run ahead before it is worth a word
_OTHERS: Final = ("", "")
_ASKED_AT_ONCE: Final = 300
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


class SourceRow(Base):
    """One source and what is known of it."""

    __tablename__ = "sources"
    __table_args__ = (sa.UniqueConstraint("tenant", "collector", "host"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(_BIG, primary_key=True)
    tenant: Mapped[str] = mapped_column(sa.String(100))
    collector: Mapped[str] = mapped_column(sa.String(100))  # kind; "" with host "": all hosts beyond the bound
    host: Mapped[str] = mapped_column(sa.String(HOST_LENGTH))
    first_seen: Mapped[datetime]  # receipt of its first event
    last_seen: Mapped[datetime]  # receipt of its newest
    events: Mapped[int] = mapped_column(sa.BigInteger)
    quarantined: Mapped[int] = mapped_column(sa.BigInteger)
    unparsed: Mapped[int] = mapped_column(sa.BigInteger)
    rate: Mapped[float] = mapped_column(sa.Double)  # events a second at ``last_seen``
    lag_ms: Mapped[int] = mapped_column(sa.BigInteger)  # receipt minus event time: the greatest lately
    least_lag_ms: Mapped[int] = mapped_column(sa.BigInteger)  # and the smallest; below zero: its clock is ahead
    samples: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON)  # newest failures: at, kind, text

    def rate_at(self, now: datetime) -> float:
        """Events a second, which falls while nothing comes."""
        return self.rate * math.exp(-max(0.0, (now - self.last_seen).total_seconds()) / SMOOTHING)

    def silent_at(self, now: datetime) -> bool:
        """Whether it has been silent as long as the watch for silent sources allows."""
        return now - self.last_seen > SILENT

    @property
    def ahead_ms(self) -> int:
        """By how many milliseconds its clock runs ahead of ours at least; 0 when nothing shows that it does."""
        return -self.least_lag_ms if self.least_lag_ms < -IN_STEP else 0

    @property
    def hours_off(self) -> int:
        """By how many whole hours its times run ahead of receipt (below zero: behind), all of them lately; else 0.

        A clock is seldom wrong by just that: a zone is, of a device whose times name none.
        """
        hours = {round(-lag / HOUR) for lag in (self.lag_ms, self.least_lag_ms)}
        near = all(abs(lag + round(-lag / HOUR) * HOUR) <= NEAR_HOUR for lag in (self.lag_ms, self.least_lag_ms))
        return hours.pop() if near and len(hours) == 1 and all(abs(one) <= MOST_HOURS for one in hours) else 0


def utc(offset: timedelta) -> str:
    """An offset as people write it: UTC, UTC+8, UTC+5:30."""
    minutes = round(abs(offset) / timedelta(minutes=1))
    rest = f":{minutes % 60:02d}" if minutes % 60 else ""
    return f"UTC{'-' if offset < timedelta(0) else '+'}{minutes // 60}{rest}" if minutes else "UTC"


def zone_meant(hours_off: int, read_in: timedelta) -> str:
    """The zone that a device means whose times, read in the offset ``read_in``, come out ``hours_off`` hours ahead."""
    offset = read_in + timedelta(hours=hours_off)
    if offset == SHANGHAI:
        return "Asia/Shanghai"
    hours = round(offset / timedelta(hours=1))
    return f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC"  # POSIX counts them the other way round


@dataclass(slots=True)
class Window:
    """What came from one source since the last look."""

    events: int = 0
    quarantined: int = 0
    unparsed: int = 0
    received: str = ""  # receipt of the newest
    newest: str = ""  # latest and earliest event time, and when the events of the batch were received
    oldest: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Count one event."""
        self.events += 1
        self.received = event[INGESTED]
        at = _claimed(event)
        self.newest = max(self.newest, at)
        if not self.oldest or at < self.oldest:
            self.oldest = at
        if event[KIND] == PIPELINE_ERROR:
            self.quarantined += 1
            self._keep(event, str(event.get("error.type", "")))
        elif event[DATASET] in UNPARSED:
            self.unparsed += 1
            self._keep(event, "unparsed")

    def _keep(self, event: Event, kind: str) -> None:
        if len(self.samples) < SAMPLES:
            self.samples.append({"at": event[INGESTED], "kind": kind, "text": plain(event[RAW], SAMPLE_LENGTH)})


def key_of(event: Event) -> Key:
    """The source that an event came from."""
    return event[TENANT], str(event.get("agent.type") or ""), plain(str(event.get(HOST) or ""), HOST_LENGTH)


def record(tx: Session, windows: Mapping[Key, Window], seconds: float) -> None:
    """Add what came in the last ``seconds`` to the rows of its sources."""
    known = _rows(tx, list(windows))
    rooms: dict[str, int] = {}
    for key, window in windows.items():
        row = known.get(key) or _new(tx, key, window, known, rooms)
        _add(row, window, seconds)


def find(tx: Session, *, tenants: frozenset[str] | None, since: datetime | None = None) -> Sequence[SourceRow]:
    """The sources of ``tenants`` (None: everybody's), the newest word first; with ``since`` those heard from then on."""
    query = sa.select(SourceRow).order_by(SourceRow.last_seen.desc(), SourceRow.id).limit(MOST)
    if tenants is not None:
        query = query.where(SourceRow.tenant.in_(tenants))
    if since is not None:
        query = query.where(SourceRow.last_seen >= since)
    return tx.scalars(query).all()


def every(tx: Session) -> Iterator[SourceRow]:
    """All sources of all tenants, without their samples, a thousand at a time."""
    query = sa.select(SourceRow).options(defer(SourceRow.samples)).execution_options(yield_per=1000)
    yield from tx.scalars(query)


def get(tx: Session, source_id: int, *, tenants: frozenset[str] | None) -> SourceRow:
    """One source.

    Raises:
        UserError: there is none with this number among those of ``tenants``.
    """
    row = tx.get(SourceRow, source_id)
    if row is None or (tenants is not None and row.tenant not in tenants):
        raise UserError(
            "source.unknown",
            f"没有编号为 {source_id} 的来源；请在“来源”页查看。",
            f"No source {source_id}; see the Sources page or secops source list --health.",
        )
    return row


def forget(tx: Session, row: SourceRow, *, actor: str, now: datetime) -> None:
    """Take a source off the list, as one that was put out of service; its events stay, and it returns with the next one."""
    name = f"{row.collector}/{row.host}"
    audit.record(tx, at=now, actor=actor, action="source.forgotten", target=name, tenant=row.tenant)
    tx.delete(row)


def summary(row: SourceRow, now: datetime) -> dict[str, Any]:
    """A source as JSON: times in UTC, spans in seconds."""
    return {
        "id": row.id,
        "tenant": row.tenant,
        "collector": row.collector,
        "host": row.host,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "silent": row.silent_at(now),
        "events": row.events,
        "events_per_second": round(row.rate_at(now), 3),
        "lag_seconds": max(0, row.lag_ms) / 1000,
        "clock_ahead_seconds": row.ahead_ms / 1000,
        "clock_off_hours": row.hours_off,
        "quarantined": row.quarantined,
        "unparsed": row.unparsed,
    }


def mark(tx: Session) -> int:
    """A number that grows with every event that was counted."""
    return int(tx.scalar(sa.select(sa.func.sum(SourceRow.events))) or 0)


def plain(text: str, limit: int) -> str:
    """The beginning of a text as both databases store it: PostgreSQL takes no NUL."""
    return text[:limit].replace("\x00", "\ufffd")


def _rows(tx: Session, keys: list[Key]) -> dict[Key, SourceRow]:
    found: dict[Key, SourceRow] = {}
    named = sa.tuple_(SourceRow.tenant, SourceRow.collector, SourceRow.host)
    for start in range(0, len(keys), _ASKED_AT_ONCE):
        asked = keys[start : start + _ASKED_AT_ONCE]
        for row in tx.scalars(sa.select(SourceRow).where(named.in_(asked))):
            found[row.tenant, row.collector, row.host] = row
    return found


def _new(tx: Session, key: Key, window: Window, known: dict[Key, SourceRow], rooms: dict[str, int]) -> SourceRow:
    """The row for a source that is not known: its own, or, when the tenant has too many, that of all further ones."""
    tenant = key[0]
    if tenant not in rooms:
        count = sa.select(sa.func.count()).select_from(SourceRow).where(SourceRow.tenant == tenant)
        rooms[tenant] = MOST - (tx.scalar(count) or 0)
    if rooms[tenant] <= 0 and key[1:] != _OTHERS:
        others = (tenant, *_OTHERS)
        if others not in known:
            known.update(_rows(tx, [others]))
        return known.get(others) or _new(tx, others, window, known, rooms)
    rooms[tenant] -= 1
    at = _moment(window.received)
    row = SourceRow(
        tenant=tenant, collector=key[1][:100], host=key[2], first_seen=at, last_seen=at, events=0, quarantined=0,
        unparsed=0, rate=0.0, lag_ms=0, least_lag_ms=0, samples=[],
    )  # fmt: skip
    tx.add(row)
    known[key] = row
    return row


def _add(row: SourceRow, window: Window, seconds: float) -> None:
    at = _moment(window.received)
    share = -math.expm1(-seconds / SMOOTHING)
    row.rate = row.rate_at(at - timedelta(seconds=seconds)) * (1 - share) + window.events / seconds * share
    row.last_seen = max(row.last_seen, at)
    row.events += window.events
    row.quarantined += window.quarantined
    row.unparsed += window.unparsed
    row.lag_ms = _milliseconds(at - _moment(window.oldest))
    row.least_lag_ms = _milliseconds(at - _moment(window.newest))
    if window.samples:
        row.samples = [*window.samples, *row.samples][:SAMPLES]


def _claimed(event: Event) -> str:
    """The time that the sender said, also when it was too far off to be believed."""
    labels = event.get("labels")
    claimed = labels.get("claimed_time") if labels else None
    return claimed if isinstance(claimed, str) and claimed else str(event[TIMESTAMP])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _milliseconds(span: timedelta) -> int:
    return int(span / timedelta(milliseconds=1))
