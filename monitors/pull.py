"""Gathering an audit trail by asking for it: one loop for every cloud, which brings its requests and reads its answers."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path  # noqa: TC003 - pydantic reads it when the settings are made
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from pydantic import Field

from monitors.collector import CollectorSettings, stopped_within, submit_patiently
from monitors.pull_cursor import Cursor, Item, Window
from monitors.pull_http import Asker, Reading, StoppedError, open_client
from monitors.pull_key import read_key
from monitors.pull_trouble import Trouble, delay
from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from datetime import datetime

    from httpx import AsyncClient

    from monitors.collector import Collector
    from monitors.record import Sink

_TAKE: Final = 500  # entries in one submission, so that the position is not stored with every small page
_MOST_PAGES: Final = 20_000  # of one span: an interface that never says that it is done
_HOST: Final = re.compile(r"https://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?)")


class PullSettings(CollectorSettings):
    """What every pull can be told."""

    key_file: Path  # mode 0600; the secret itself never stands in the settings
    poll_seconds: float = Field(default=60.0, ge=1, le=86_400)  # between two looks once all is read
    late_minutes: float = Field(default=15.0, ge=1, le=1440)  # how late an entry may arrive and is found still
    history_hours: float = Field(default=24.0, ge=0, le=2160)  # how far back the first look goes
    requests_per_second: float = Field(default=1.0, gt=0, le=100)  # of all pulls in one account's name
    ca_file: Path | None = None
    proxy: str = Field(default="", pattern=r"^(https?://[A-Za-z0-9.\[\]:-]+)?$")  # without a password: it is shown
    max_message: int = Field(default=1 << 20, ge=480, le=16 << 20)  # bytes of an entry; what is longer is kept in part


class Trail(Protocol):
    """What a cloud brings: how its trail is asked for and read. ``pages`` yields entries as they come."""

    name: str  # account or project, and region: the place is kept under it, and people are shown it
    needed: tuple[str, ...]  # names in the key file
    optional: tuple[str, ...]
    kept: timedelta  # how long the far end keeps entries
    reading: Reading

    def account(self, key: dict[str, str]) -> str:
        """In whose name requests are counted."""
        ...

    def pages(self, asker: Asker, window: Window, key: dict[str, str]) -> AsyncGenerator[Sequence[Item], None]:
        """Ask for everything of ``window``, page by page.

        Raises:
            Trouble: it cannot be had now.
        """
        ...


class Pull:
    """The work of a collector that pulls ``trail``: everything from the place that the log knows, once."""

    def __init__(self, collector: Collector, settings: PullSettings, trail: Trail) -> None:
        self._collector, self._settings, self._trail = collector, settings, trail
        self._late = timedelta(minutes=settings.late_minutes)
        self._source = f"{collector.kind}:{collector.tenant}:{trail.name}"
        self._place: object = collector.surroundings.positions.get(self._source)  # as durable

    async def run(self, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Follow the trail until ``stop``."""
        begin = now() - timedelta(hours=self._settings.history_hours)
        self._sink, self._now, self._stop = sink, now, stop
        self._cursor = Cursor.load(self._place, begin)
        try:
            await self._go_on()
        finally:
            self._collector.failing("已停止", "stopped")

    async def _go_on(self) -> None:
        """Look again and again; what goes wrong is told and tried again later."""
        client: AsyncClient | None = None
        attempt = 0
        try:
            while not self._stop.is_set():
                wait = self._settings.poll_seconds
                try:
                    if client is None:
                        client = await asyncio.to_thread(open_client, self._settings.ca_file, self._settings.proxy)
                    more, attempt = await self._look(client), 0
                    wait = 0.0 if more else wait
                except StoppedError:
                    return
                except Trouble as trouble:
                    attempt += 1
                    wait = delay(trouble, attempt, self._source)
                    self._collector.failing(
                        f"{self._trail.name}：{trouble.zh}；{wait:.0f} 秒后重试",
                        f"{self._trail.name}: {trouble.en}; next try in {wait:.0f} s",
                    )
                self._collector.ready.set()
                await stopped_within(self._stop, wait)
        finally:
            if client is not None:
                await client.aclose()

    async def _look(self, client: AsyncClient) -> bool:
        """Take one span; say whether the next is due at once.

        Raises:
            Trouble: it could not be had whole; what was had is stored.
        """
        trail, settings = self._trail, self._settings
        key = await asyncio.to_thread(read_key, settings.key_file, trail.needed, trail.optional)
        account = f"{self._collector.kind}:{trail.account(key)}"
        budget = self._collector.surroundings.budgets.of(account)
        asker = Asker(client, budget, settings.requests_per_second, trail.reading, self._now, self._stop)
        at = self._now()
        await self._skip_what_is_gone(at)
        window = self._cursor.window(at, self._late)
        pages, stored = await self._take(asker, window, key)
        more = self._cursor.finish(window, at, self._late, pages)
        self._collector.running(
            f"{trail.name}：已读到 {window.end:%Y-%m-%d %H:%M:%S} UTC，新增 {stored} 条",
            f"{trail.name}: read up to {window.end:%Y-%m-%d %H:%M:%S} UTC, {stored} new",
        )
        return more

    async def _take(self, asker: Asker, window: Window, key: dict[str, str]) -> tuple[int, int]:
        """Store what is new in ``window``; give how many pages it had and how many entries were new."""
        pages, stored, waiting = 0, 0, dict[bytes, tuple[int, Item]]()
        try:
            async with aclosing(self._trail.pages(asker, window, key)) as found:
                async for items in found:
                    pages += 1
                    _must_end(pages)
                    waiting |= {d: i for d, i in self._cursor.fresh(items, window).items() if d not in waiting}
                    if len(waiting) >= _TAKE:
                        stored += await self._store(waiting)
                        waiting = {}
        except Trouble:
            await self._store(waiting)
            raise
        return pages, stored + await self._store(waiting)

    async def _store(self, fresh: dict[bytes, tuple[int, Item]]) -> int:
        """Make ``fresh`` and the place behind it durable as one.

        Raises:
            StoppedError: ``stop`` came first, and nothing was taken.
        """
        if not fresh:
            return 0
        digests = {digest: second for digest, (second, _) in fresh.items()}
        place = self._cursor.dump(digests)
        records = [self._record(item) for _, item in fresh.values()]
        records[-1] = records[-1]._replace(position=(self._source, place))
        await self._submit(records)
        self._cursor.add(digests)
        self._place = place
        return len(records)

    async def _submit(self, records: list[Record]) -> None:
        kind = self._collector.kind
        if not await submit_patiently(self._sink, records, self._stop):
            raise StoppedError
        self._collector.counters.received[kind] += len(records)
        self._collector.counters.rejected[kind] += sum(1 for record in records if record.error)

    def _record(self, item: Item) -> Record:
        most = self._settings.max_message
        error = "oversized" if len(item.raw) > most else ""
        kind, tenant = self._collector.kind, self._collector.tenant
        return Record(item.raw[:most], self._now(), kind, self._trail.name, tenant, "json", None, error)

    async def _skip_what_is_gone(self, at: datetime) -> None:
        """Go on where the far end still has something, and leave a quarantined event that names the gap."""
        oldest = at - self._trail.kept
        if self._cursor.start >= oldest:
            return
        gap = {"source": self._source, "from": self._cursor.start.isoformat(), "to": oldest.isoformat()}
        text = {"message": "云审计日志缺口：对方已不再保存 / gap in a cloud's trail: no longer kept there", **gap}
        record = self._record(Item("", None, orjson.dumps(text)))._replace(error="truncated")
        moved = Cursor(oldest)
        place = moved.dump({})
        await self._submit([record._replace(position=(self._source, place))])
        self._cursor, self._place = moved, place
        self._collector.counters.dropped[self._collector.kind] += 1


def host_of(endpoint: str, allowed: frozenset[str]) -> str:
    """The host (with its port) of an endpoint of one's own cloud, which the service's settings must allow.

    Raises:
        ValueError: it is no plain HTTPS address, or is not allowed.
    """
    found = _HOST.fullmatch(endpoint)
    if found is None:
        raise ValueError(f"endpoint {endpoint[:200]!r} 不是 https://主机[:端口] / is not https://host[:port]")
    if found["host"] not in allowed:
        raise ValueError(
            f"{found['host']} 不在 ingest.pull_endpoints 中，请由管理员加入 / is not in ingest.pull_endpoints; add it there"
        )
    return found["host"]


def known_region(region: str, regions: str) -> str:
    """Give ``region`` back if it is one of ``regions`` (parted by spaces), of which a host name is made.

    Raises:
        ValueError: it is none of them.
    """
    if region not in regions.split():
        raise ValueError(f"region {region!r}: 未知地域，可用 / unknown region, there are: {regions}")
    return region


def _must_end(pages: int) -> None:
    if pages > _MOST_PAGES:
        raise Trouble("malformed", f"> {_MOST_PAGES} pages")
