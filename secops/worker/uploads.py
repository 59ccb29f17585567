"""Reads uploaded files into the log, the oldest of each tenant first, a process of its own for each.

A batch of events lies in the log together with how many records of the file that makes; a file that is read anew after a
crash is read from its beginning, and what is there already is passed over.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from monitors.collector import stopped_within, submit_patiently
from monitors.files import frames
from monitors.record import ERRORS, Record
from secops import upload_files, uploads
from secops.errors import UserError
from secops.uploads import Counts, Reading

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from monitors.collector import Counters
    from monitors.record import Sink
    from secops.uploads import UploadRow
    from secops.wiring import Service

LOOK_SECONDS: Final = 0.5
NOTE_SECONDS: Final = 1.0
QUIET_SECONDS: Final = 600.0  # that a reader may take for a batch
BATCH: Final = 500
BATCH_BYTES: Final = 1 << 20
COLLECTOR: Final = "upload"
WHOLE: Final = UserError("upload.whole", "", "")  # a file was read to its end
_AS_RECORDED: Final = {"unclosed": "malformed", "columns": "oversized"}  # reasons that a record has no word for


def position(tenant: str) -> str:
    """The name under which the log keeps how far a tenant's upload is: [its id, records]."""
    return f"upload:{tenant}"


class Uploads:
    """The feeder of the ingest role."""

    def __init__(
        self,
        service: Service,
        sink: Sink,
        positions: Mapping[str, Any],
        counters: Counters,
        *,
        quiet: float = QUIET_SECONDS,
    ) -> None:
        self._quiet = quiet
        self._service, self._sink, self._counters = service, sink, counters
        self._positions = dict(positions)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tidied = False

    async def run(self, stop: asyncio.Event) -> None:
        """Read what is queued until ``stop``; one file of a tenant at a time, of several tenants side by side."""
        try:
            while not await stopped_within(stop, LOOK_SECONDS):
                for tenant in [tenant for tenant, task in self._running.items() if task.done()]:
                    await self._running.pop(tenant)
                found = await asyncio.to_thread(self._waiting)
                for tenant, row_id in found.items():
                    if tenant not in self._running and len(self._running) < self._service.settings.uploads.at_once:
                        self._running[tenant] = asyncio.create_task(self._read(row_id, stop))
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _waiting(self) -> dict[str, int]:
        with self._service.database.read() as tx:
            found = uploads.waiting(tx, self._service.machine)
            needed = set() if self._tidied else uploads.needed(tx, self._service.machine)
        if not self._tidied:  # what a crash left behind; a file that is arriving now is younger than this process
            self._tidied = True
            _tidy(self._service.uploads_dir, needed, time.time() - 3600)
        return found

    async def _read(self, row_id: int, stop: asyncio.Event) -> None:
        row = await asyncio.to_thread(self._begin, row_id)
        if row is None:
            return
        at = self._positions.get(position(row.tenant))
        skip = int(at[1]) if isinstance(at, list) and at[0] == row.id else row.stored
        reader = _Reader(self._service, self._sink, row, skip, self._counters, self._quiet)
        error = await reader.run(stop)
        self._positions[position(row.tenant)] = [row.id, reader.counts.stored]
        if reader.interrupted:
            return
        await asyncio.to_thread(self._finish, row, reader.counts, error)

    def _begin(self, row_id: int) -> UploadRow | None:
        with self._service.database.begin() as tx:
            return uploads.begin(tx, row_id)

    def _finish(self, row: UploadRow, counts: Counts, error: tuple[str, str] | None) -> None:
        with self._service.database.begin() as tx:
            uploads.finish(tx, row.id, counts, error=error, now=self._service.clock())
            needed = uploads.needed(tx, self._service.machine)
        if row.file not in needed:
            (self._service.uploads_dir / row.file).unlink(missing_ok=True)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """End a process and wait for its end, also when told to stop meanwhile."""
    with suppress(ProcessLookupError):
        process.kill()
    waiting, stopped = asyncio.ensure_future(process.communicate()), False
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            stopped = True
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio does so later, or not
    if stopped:
        raise asyncio.CancelledError


def _tidy(folder: Path, needed: set[str], before: float) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path.name not in needed and path.stat().st_mtime < before:
                path.unlink()


@dataclass
class _Reader:
    """One file, from the process that reads it to the log."""

    service: Service
    sink: Sink
    row: UploadRow
    skip: int  # records that the log has already
    counters: Counters
    quiet: float  # seconds that a batch may take
    counts: Counts = field(default_factory=Counts)
    interrupted: bool = False
    _batch: list[Record] = field(default_factory=list)
    _size: int = 0
    _noted: float = 0.0

    async def run(self, stop: asyncio.Event) -> tuple[str, str] | None:
        """Read to the end; gives why it was not, in Chinese and English."""
        path = self.service.uploads_dir / self.row.file
        if not path.is_file():
            return ("上传的文件已不在状态目录中", "the file is not in the state folder any more")
        reading = Reading(**self.row.layout)
        asked = upload_files.read_request(path, self.row.name, reading, self.service.settings.uploads)
        process = await asyncio.create_subprocess_exec(
            *upload_files.READER, "read", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(asked)
            process.stdin.close()
            return await self._take_all(process.stdout, stop)
        finally:
            await _ended(process)

    async def _take_all(self, stream: asyncio.StreamReader, stop: asyncio.Event) -> tuple[str, str] | None:
        while not self.interrupted:
            try:
                async with asyncio.timeout(self.quiet):
                    ended = await self._take_batch(stream)
            except TimeoutError:
                ended = upload_files.broken_reader(f"nothing came of it for {self.quiet:g} s")
            await self._submit(stop)
            if ended is not None:
                return None if ended is WHOLE else (ended.zh, ended.en)
        return None

    async def _take_batch(self, stream: asyncio.StreamReader) -> UserError | None:
        """Take a batch; gives why it was the last one, ``WHOLE`` when the file ends."""
        while len(self._batch) < BATCH and self._size < BATCH_BYTES:
            try:
                kind, length = frames.HEAD.unpack(await stream.readexactly(frames.HEAD.size))
                body = await stream.readexactly(length)
            except asyncio.IncompleteReadError:
                return upload_files.broken_reader("memory or time bound, or a damaged file")
            if kind == frames.END:
                return WHOLE
            if kind == frames.REFUSED:
                said = orjson.loads(body)
                return UserError("upload.refused", said["zh"], said["en"])
            self._take(kind, body)
        return None

    def _take(self, kind: int, body: bytes) -> None:
        if kind == frames.GOOD:
            self.counts.read += 1
            wrapped = orjson.dumps({"upload": self.row.sha256, "zone": self.row.layout.get("zone", "")})
            self._put(wrapped[:-1] + b"," + body[1:], "")
            return
        about, _, original = body.partition(b"\n")
        said = orjson.loads(about)
        self.counts.bad(said, kept=kind == frames.KEPT)
        if kind == frames.KEPT:
            error = _AS_RECORDED.get(said["error"], said["error"])
            self._put(original, error if error in ERRORS else "malformed")
        else:
            self.counters.rejected[COLLECTOR] += int(said["count"])

    def _put(self, raw: bytes, error: str) -> None:
        self.counters.received[COLLECTOR] += 1
        peer = f"upload:/{self.row.name}"
        self._batch.append(Record(raw, self.row.received_at, COLLECTOR, peer, self.row.tenant, "upload", None, error))
        self._size += len(raw)

    async def _submit(self, stop: asyncio.Event) -> None:
        """Make what was gathered durable, but for what is so already."""
        passed = min(max(0, self.skip - self.counts.stored), len(self._batch))
        self.counts.stored += passed
        records = self._batch[passed:]
        self._batch, self._size = [], 0
        if records:
            now = self.service.clock()
            durable = self.counts.stored + len(records)
            name = position(self.row.tenant)
            records = [record._replace(received=now) for record in records]
            records[-1] = records[-1]._replace(position=(name, [self.row.id, durable]))
            if not await submit_patiently(self.sink, records, stop):
                self.interrupted = True
                return
            self.counts.stored = durable
        self.interrupted = stop.is_set()
        if time.monotonic() - self._noted >= NOTE_SECONDS:
            self._noted = time.monotonic()
            await asyncio.to_thread(self._note)

    def _note(self) -> None:
        with self.service.database.begin() as tx:
            uploads.note(tx, self.row.id, self.counts)
