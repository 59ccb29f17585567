"""Trying a rule over past events, in a process of its own: matching takes a core for a while, and a login must not wait.

One trial at a time for a person, two for an organisation, a few in all; a person's new one ends the one before. What a
trial found lies in a file in the state folder's ``run`` until the next start.

A trial looks at the clock between two batches of events. What a rule may make of one batch is bounded by the kernel:
processor time and memory of the process, beyond which it is ended.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import secrets
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from secops import wiring
from secops.errors import UserError
from secops.replay import Limits, replay, rule_with_feeders
from secops.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime
    from multiprocessing.process import BaseProcess
    from pathlib import Path


MOST: Final = 4  # trials at once
MOST_OF_ONE: Final = 2  # ... of one organisation
KEPT: Final = 50  # answers
SECONDS: Final = 120.0
NICE: Final = 10
TELL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the kernel lets the process of a trial have."""

    cpu_seconds: int = 180  # a start takes some; SECONDS bound the rest, on the clock
    memory: int = 3 << 30  # bytes of address space, beside what a process that has just begun takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be tried."""

    account_id: str
    organization: str  # the person's
    text: str
    range: str
    tenants: frozenset[str] | None
    start: datetime
    end: datetime


class Previews:
    """The trials of the web role."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:
        self._bounds = bounds
        self._lock = threading.Lock()
        self._trials: dict[str, tuple[Wanted, BaseProcess, Path]] = {}

    def start(self, settings: Settings, wanted: Wanted) -> str:
        """Begin, ending the same person's trial before; give the new one's name.

        Raises:
            UserError: too many people, of this organisation or in all, are trying rules just now.
        """
        job = secrets.token_urlsafe(12)
        answer = settings.state / "run" / f"preview-{job}.json"
        with self._lock:
            self._end_of(wanted.account_id)
            self._admit(wanted.organization)
            process = multiprocessing.get_context("spawn").Process(
                target=run,
                args=(settings.model_dump(), wanted, answer, self._bounds),
                name=f"preview-{job}",
                daemon=True,
            )
            process.start()
            self._trials[job] = (wanted, process, answer)
            self._forget()
        return job

    def read(self, job: str, account_id: str) -> tuple[Wanted, dict[str, Any]] | None:
        """What a person's own trial says: ``state`` (running, done, failed) and what it found so far."""
        found = self._trials.get(job)
        if found is None or found[0].account_id != account_id:
            return None
        wanted, process, answer = found
        alive = process.is_alive()  # asked before the file is read: a trial that ended has written its last word
        try:
            said: dict[str, Any] = orjson.loads(answer.read_bytes())
        except (OSError, ValueError):
            said = {"state": "running"}
        if said["state"] == "running" and not alive:
            said = _ended(process.exitcode)
        return wanted, said

    def close(self) -> None:
        """End every trial."""
        with self._lock:
            for _, process, _ in self._trials.values():
                _end(process)

    def _admit(self, organization: str) -> None:
        running = [wanted.organization for wanted, process, _ in self._trials.values() if process.is_alive()]
        if running.count(organization) >= MOST_OF_ONE:
            raise UserError(
                "preview.busy",
                f"贵单位已有 {MOST_OF_ONE} 条规则在试运行，请等其中一条结束。",
                f"{MOST_OF_ONE} rules of your organisation are being tried just now; wait for one to end.",
            )
        if len(running) >= MOST:
            raise UserError(
                "preview.busy",
                "正在试运行的规则过多，请稍后再试。",
                "Too many rules are being tried just now; try again in a minute.",
            )

    def _end_of(self, account_id: str) -> None:
        for wanted, process, _ in self._trials.values():
            if wanted.account_id == account_id:
                _end(process)

    def _forget(self) -> None:
        while len(self._trials) > KEPT:
            job = next(iter(self._trials))
            _, process, answer = self._trials.pop(job)
            _end(process)
            answer.unlink(missing_ok=True)


def _end(process: BaseProcess) -> None:
    if process.is_alive():
        process.terminate()
    process.join(timeout=2)


def _ended(code: int | None) -> dict[str, Any]:
    """What is said of a trial that ended without a last word."""
    if code is not None and -code in {signal.SIGXCPU, signal.SIGKILL}:
        return {
            "state": "failed",
            "zh": "试运行占用的处理器时间超过上限，已终止：请缩小时间范围，或简化规则。",
            "en": "The trial took more processor time than it may and was ended: try a shorter span, or a simpler rule.",
        }
    return {
        "state": "failed",
        "zh": "试运行意外终止，可能内存不足：请重试，或缩小时间范围。",
        "en": "The trial ended unexpectedly, perhaps for want of memory: try again, or a shorter span.",
    }


def mark(service: wiring.Service) -> int:
    """A number that changes when some trial said something new."""
    total = 0
    for path in service.run_dir.glob("preview-*.json"):
        with suppress(FileNotFoundError):
            total += path.stat().st_mtime_ns
    return total


def run(dumped: dict[str, Any], wanted: Wanted, answer: Path, bounds: Bounds) -> None:
    """The trial's process; it is handed plain settings, since their class is made when they are read."""
    settings = Settings(**dumped)
    os.nice(NICE)
    os.umask(0o077)
    try:
        with wiring.opened(settings) as service:
            _bind(bounds)
            said = _tried(service, wanted, answer)
    except MemoryError:
        said = {
            "state": "failed",
            "zh": "试运行占用的内存超过上限，已终止：请缩小时间范围，或简化规则。",
            "en": "The trial took more memory than it may and was ended: try a shorter span, or a simpler rule.",
        }
    _say(answer, said)


def _bind(bounds: Bounds) -> None:
    """Have the kernel bound this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.cpu_seconds, bounds.cpu_seconds + 5))
    with open("/proc/self/statm", encoding="ascii") as sizes:  # noqa: PTH123 - no file of ours
        taken = int(sizes.read().split()[0]) * resource.getpagesize()
    most = taken + bounds.memory
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _tried(service: wiring.Service, wanted: Wanted, answer: Path) -> dict[str, Any]:
    rule, refused = service.read_draft(wanted.text)
    if rule is None:
        return {"state": "failed", "zh": refused[0].zh, "en": refused[0].en}
    found = replay(
        service,
        rule_with_feeders(service.rules, rule),
        start=wanted.start,
        end=wanted.end,
        tenants=wanted.tenants,
        only=frozenset({rule.id}),
        limits=Limits(seconds=SECONDS),
        progress=_Teller(answer),
    )
    return {"state": "done", "rule_id": rule.id, "found": found}


class _Teller:
    """Says how far it is, at most twice a second."""

    def __init__(self, answer: Path) -> None:
        self._answer, self._last = answer, 0.0

    def __call__(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._last >= TELL_SECONDS:
            self._last = now
            _say(self._answer, {"state": "running", "done": done, "of": of})


def _say(answer: Path, said: dict[str, Any]) -> None:
    draft = answer.with_suffix(".new")
    draft.write_bytes(orjson.dumps(said))
    draft.replace(answer)
