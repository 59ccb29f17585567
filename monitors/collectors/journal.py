from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson
from pydantic import Field

from monitors.collector import Collector, CollectorSettings, stopped_within, submit_patiently
from monitors.framing import LineSplitter
from monitors.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from monitors.collector import Surroundings
    from monitors.framing import Line
    from monitors.record import Sink

SOURCE: Final = "journal"
_CHUNK: Final = 1 << 18
_KEPT_COMPLAINT: Final = 300  # characters of what journalctl complains about
_PATIENCE: Final = 5.0  # seconds that journalctl is given to end


class JournalSettings(CollectorSettings):
    """The machine's journal, read by ``journalctl``; ``units`` narrows it."""

    journalctl: str = "journalctl"
    units: tuple[str, ...] = ()
    lines: int = Field(default=200, ge=0, le=100_000)  # older entries taken the first time
    max_message: int = Field(default=262_144, ge=4096, le=1 << 20)  # bytes of an entry as JSON
    retry_seconds: float = Field(default=30.0, gt=0)


class JournalCollector(Collector, kind="journal"):
    """Follows the systemd journal from a cursor that is stored with the events."""

    Settings = JournalSettings

    def __init__(self, settings: JournalSettings, surroundings: Surroundings) -> None:
        super().__init__(settings, surroundings)
        self.settings = settings
        position = surroundings.positions.get(SOURCE)
        self._cursor: str = str(position.get("cursor", "")) if isinstance(position, dict) else ""
        self._complaint = ""

    async def run(self, sink: Sink, *, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        """Run journalctl until ``stop``, and again when it ends; a machine without a journal is a status, not an error."""
        while not stop.is_set():
            try:
                await self._follow(sink, now, stop)
            except OSError as error:
                reason = error.strerror or str(error)
                self.failing(
                    f"无法运行 {self.settings.journalctl}: {reason}", f"cannot run {self.settings.journalctl}: {reason}"
                )
            self.ready.set()
            await stopped_within(stop, self.settings.retry_seconds)
        self.failing("已停止", "stopped")

    def arguments(self) -> list[str]:
        """Give journalctl's arguments: after the cursor if there is one, else the last ``lines`` entries."""
        since = f"--after-cursor={self._cursor}" if self._cursor else f"--lines={self.settings.lines}"
        return [
            "--output=json",
            "--follow",
            "--all",
            "--no-pager",
            since,
            *(f"--unit={unit}" for unit in self.settings.units),
        ]

    async def _follow(self, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event) -> None:
        process = await asyncio.create_subprocess_exec(
            self.settings.journalctl,
            *self.arguments(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_CHUNK,
        )
        self._complaint = ""
        self.running("正在读取系统日志", "reading the journal")
        complaints = asyncio.create_task(self._listen(process))
        entries = asyncio.create_task(self._read(process, sink, now, stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((entries, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            await _end(process)
            await asyncio.wait((entries, complaints))
        self._tell(process.returncode)
        entries.result()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Keep the beginning of what journalctl complains about, and show it while it gives nothing."""
        assert process.stderr is not None
        while text := await process.stderr.read(4096):
            self._complaint = (self._complaint + text.decode("utf-8", "replace"))[:_KEPT_COMPLAINT].strip()
            if "No journal files" in self._complaint:
                self.failing(
                    f"没有可读的系统日志: {self._complaint}", f"no journal that can be read: {self._complaint}"
                )

    def _tell(self, returncode: int | None) -> None:
        detail = self._complaint or f"exit {returncode}"
        self.failing(f"journalctl 已退出: {detail}", f"journalctl ended: {detail}")
        if "cursor" in self._complaint.lower():
            self._cursor = ""  # a cursor that journalctl does not take would fail for ever

    async def _read(
        self, process: asyncio.subprocess.Process, sink: Sink, now: Callable[[], datetime], stop: asyncio.Event
    ) -> None:
        assert process.stdout is not None
        splitter = LineSplitter(self.settings.max_message)
        while chunk := await process.stdout.read(_CHUNK):
            records = self._records(splitter.feed(chunk), now())
            if not records:
                continue
            self.counters.received[self.kind] += len(records)
            self.counters.rejected[self.kind] += sum(1 for record in records if record.error)
            if not await submit_patiently(sink, records, stop):
                return
            self.ready.set()

    def _records(self, lines: list[Line], received: datetime) -> list[Record]:
        """Make records of entries; one that cannot be read has no cursor, so it resumes after the one before it."""
        records = []
        for line in lines:
            self._cursor = _cursor(line.raw) or self._cursor
            position: tuple[str, Any] | None = (SOURCE, {"cursor": self._cursor}) if self._cursor else None
            records.append(
                Record(line.raw, received, self.kind, "journal", self.tenant, "journal", position, line.error)
            )
        return records


def _cursor(raw: bytes) -> str:
    try:
        entry = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ""
    cursor = entry.get("__CURSOR") if isinstance(entry, dict) else None
    return cursor if isinstance(cursor, str) else ""


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask journalctl to end, and make it end if it does not."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _PATIENCE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
