"""Looks whether the rules changed, and has a changed set compiled beside the running one, which it replaces whole.

A set in which a rule that runs now would be refused keeps the whole last good set running: half a set would be a blind
spot that nobody asked for. New rules that are refused are listed with the set and hold up nothing.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from secops import rule_source
from secops.worker.prepared import Prepared, make_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from secops.match.rule import Refusal, RuleSet
    from secops.settings import Settings

SHOWN: Final = 20


@dataclass(slots=True)
class Compiling:
    """A changed set on its way: first a process compiles it, then a thread loads what that left in the cache."""

    process: subprocess.Popen[bytes]
    started: float
    thread: threading.Thread | None = None
    made: Prepared | None = None
    error: str = ""


@dataclass(slots=True)
class RuleWatch:
    """The running rules, and whether the folders hold others by now."""

    settings: Settings
    now: Callable[[], float] = time.monotonic
    running: Prepared = field(init=False)
    broken: list[str] = field(default_factory=list)  # what is wrong with the folders as they are now
    lost: list[Refusal] = field(default_factory=list)  # rules that ran and are refused in the folders as they are now
    reload_seconds: float = 0.0  # how long the last change took to be in force
    _print: rule_source.RulesPrint = field(init=False)
    _looked: float = 0.0
    _compiling: Compiling | None = None

    def __post_init__(self) -> None:
        """Read and compile what there is; nothing runs before that."""
        self._print = rule_source.rules_print(self.settings)
        self.running = make_ready(self.settings)

    def changed(self) -> Prepared | None:
        """A changed set that is ready to run from now on; None as long as there is none. Never waits."""
        now = self.now()
        if self._compiling is not None:
            return self._look_after(self._compiling, now)
        if now - self._looked >= self.settings.detect.reload_seconds:
            self._looked = now
            seen = rule_source.rules_print(self.settings)
            if seen != self._print:
                self._print = seen
                self._compiling = Compiling(start_compiling(self.settings), now)
        return None

    def close(self) -> None:
        """End what is under way."""
        if self._compiling is not None:
            _end(self._compiling.process)
            if self._compiling.thread is not None:
                self._compiling.thread.join()
            self._compiling = None

    def _look_after(self, compiling: Compiling, now: float) -> Prepared | None:
        if compiling.thread is None:
            self._wait_for_process(compiling, now)
            return None
        if compiling.thread.is_alive():
            return None
        self._compiling = None
        if compiling.made is None:
            self._keep(compiling.error)
            return None
        self.lost = lost(self.running.rules, compiling.made.rules)
        if self.lost:
            self._keep(*(f"{each.file}:{each.line}: {each.zh} / {each.en}" for each in self.lost))
            return None
        self.running, self.broken = compiling.made, []
        self.reload_seconds = now - compiling.started
        return self.running

    def _wait_for_process(self, compiling: Compiling, now: float) -> None:
        code = compiling.process.poll()
        if code is None:
            if now - compiling.started <= self.settings.detect.compile_seconds:
                return
            self._compiling = None
            self._keep(
                f"新规则编译超过 {self.settings.detect.compile_seconds:g} 秒（detect.compile_seconds）"
                f" / the new rules took longer than {self.settings.detect.compile_seconds:g} s (detect.compile_seconds)"
            )
        _end(compiling.process)
        if code == 0:
            compiling.thread = threading.Thread(target=self._load, args=(compiling,), name="rules")
            compiling.thread.start()
        elif code is not None:
            self._compiling = None
            self._keep(f"编译新规则的进程异常退出（{code}）/ the process that compiled the new rules ended with {code}")

    def _load(self, compiling: Compiling) -> None:
        try:
            compiling.made = make_ready(self.settings)
        except OSError as error:
            compiling.error = f"规则目录无法读取 / a rule folder cannot be read: {error}"

    def _keep(self, *reasons: str) -> None:
        """Say why the last good set goes on."""
        self.broken = [f"沿用上一版规则 / the last good set runs: {reason}" for reason in reasons[:SHOWN]]


def lost(before: RuleSet, after: RuleSet) -> list[Refusal]:
    """What is refused in ``after`` although it ran in ``before``: by its id, or, where that cannot be read, by its file."""
    runs_on = {rule.id for rule in after.rules}
    gone = {rule.id: rule.info.source for rule in before.rules if rule.id not in runs_on}
    if not gone:
        return []
    files = set(gone.values())
    return [each for each in after.refused if each.rule_id in gone or (not each.rule_id and each.file in files)]


def start_compiling(settings: Settings) -> subprocess.Popen[bytes]:
    """Start the process that compiles; it ends with us. Settings may hold a password, so no argument holds them."""
    command = [sys.executable, "-m", "secops.worker.compiling"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)  # noqa: S603 - our own command
    assert process.stdin is not None
    process.stdin.write(settings.model_dump_json().encode() + b"\n")
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
