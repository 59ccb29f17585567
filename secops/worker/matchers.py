"""Matcher processes, each with a thread of the detect role that hands it one range after the other.

A matcher that dies or stays silent is started again and given the range again; nothing else has to be done about it,
since it remembers nothing.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import Pipe
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection

SILENCE_SECONDS: Final = 120.0  # a matcher that has said nothing for so long hangs; loading new rules takes a few
TRIES: Final = 5  # deaths over one range before the role itself gives up, loudly


@dataclass(frozen=True, slots=True)
class Job:
    """A range to match, and where the answer goes."""

    request: Mapping[str, Any]
    answer: Future[dict[str, Any]] = field(default_factory=Future)


class MatcherLost(RuntimeError):  # noqa: N818 - what happened, not what kind of error
    """A range has cost several matchers their lives."""


class Matchers:
    """``count`` matcher processes behind one queue; whoever is free takes the next range."""

    def __init__(self, count: int, greeting: Mapping[str, Any]) -> None:
        """``greeting`` is told each process when it starts: folder and partitions of the log, cache folder."""
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._greeting = orjson.dumps(dict(greeting))
        self._matchers = [Matcher(self._jobs, self._greeting) for _ in range(count)]
        for matcher in self._matchers:
            matcher.start()

    @property
    def restarts(self) -> int:
        """How often a matcher had to be started again."""
        return sum(matcher.restarts for matcher in self._matchers)

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [each.pid for matcher in self._matchers if (each := matcher.process) is not None]

    def ask(self, request: Mapping[str, Any]) -> Future[dict[str, Any]]:
        """Hand a range out; the answer comes when it comes."""
        job = Job(request)
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """End every process; what is asked and not yet answered stays so."""
        for matcher in self._matchers:
            matcher.stop()
            self._jobs.put(None)
        for matcher in self._matchers:
            matcher.join()


class Matcher(threading.Thread):
    """One process and the thread that talks to it."""

    def __init__(self, jobs: queue.SimpleQueue[Job | None], greeting: bytes) -> None:
        super().__init__(name="matcher", daemon=True)
        self.restarts = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._jobs = jobs
        self._greeting = greeting
        self._connection: Connection | None = None
        self._stopping = False

    def run(self) -> None:
        """Take ranges until told to end."""
        while (job := self._jobs.get()) is not None and not self._stopping:
            if job.answer.set_running_or_notify_cancel():
                self._answer(job)
        self._end()

    def stop(self) -> None:
        """End after the range in hand, or at once when its process hangs."""
        self._stopping = True
        if (process := self.process) is not None:
            process.kill()

    def _answer(self, job: Job) -> None:
        for _ in range(TRIES):
            try:
                job.answer.set_result(self._ask(orjson.dumps(dict(job.request))))
            except (OSError, EOFError):
                self._end()
                if self._stopping:
                    break
                self.restarts += 1
            else:
                return
        place = f"{job.request.get('partition')}-{job.request.get('offset')}"
        job.answer.set_exception(MatcherLost(f"matching the events from {place} on ended {TRIES} matcher processes"))

    def _ask(self, request: bytes) -> dict[str, Any]:
        if self._connection is None:
            self._connection = self._start()
        self._connection.send_bytes(request)
        if not self._connection.poll(SILENCE_SECONDS):
            raise TimeoutError("the matcher hangs")
        return dict(orjson.loads(self._connection.recv_bytes()))

    def _start(self) -> Connection:
        ours, theirs = Pipe()
        command = [sys.executable, "-m", "secops.worker.matcher", str(theirs.fileno())]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])  # noqa: S603 - our own command
        theirs.close()
        ours.send_bytes(self._greeting)
        return ours

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
