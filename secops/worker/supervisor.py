"""One supervisor, one process a role: a rule storm never slows a login, and a role that dies is started again.

The children read their standard input; when the supervisor goes away, however it goes, they see its end and stop.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from secops.supervised import SUPERVISED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from secops.worker.loop import Stop

POLL_SECONDS = 0.1
STEADY_SECONDS = 10.0  # a child that lived this long starts again at once
FIRST_DELAY, LONGEST_DELAY = 0.2, 5.0
GRACE_SECONDS = 15.0

Say: TypeAlias = "Callable[[str], None]"


@dataclass(slots=True)
class Child:
    """A process that is to run for as long as the supervisor does."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    not_before: float = 0.0
    delay: float = FIRST_DELAY
    restarts: int = 0


@dataclass(slots=True)
class Supervisor:
    """Starts the children, starts again those that end, stops all at the end."""

    commands: Mapping[str, Sequence[str]]
    environment: Mapping[str, str]
    say: Say
    ended: Callable[[int], None] = lambda _pid: None  # told the process id of every child that ended
    monotonic: Callable[[], float] = time.monotonic
    children: list[Child] = field(init=False)

    def __post_init__(self) -> None:
        """Make a child of each command."""
        self.children = [Child(name, command) for name, command in self.commands.items()]

    def run(self, stop: Stop, each_round: Callable[[], None]) -> None:
        """Keep every child running until ``stop`` is set; ``each_round`` is called between looks."""
        try:
            while not stop:
                for child in self.children:
                    self._look_after(child)
                each_round()
                stop.rest(POLL_SECONDS)
        finally:
            self._end()

    def _look_after(self, child: Child) -> None:
        now = self.monotonic()
        if child.process is None:
            if now >= child.not_before:
                self._start(child, now)
        elif (code := child.process.poll()) is not None:
            if now - child.started >= STEADY_SECONDS:
                child.delay = FIRST_DELAY
            _close_stdin(child.process)
            self.ended(child.process.pid)
            child.process, child.not_before = None, now + child.delay
            child.delay = min(child.delay * 2, LONGEST_DELAY)
            child.restarts += 1
            self.say(
                f"进程 {child.name} 已退出（{_ending(code)}），即将重启 / {child.name} ended ({_ending(code)}), starting it again"
            )

    def _start(self, child: Child, now: float) -> None:
        environment = {**os.environ, **self.environment, SUPERVISED: "1"}
        child.process = subprocess.Popen(child.command, stdin=subprocess.PIPE, env=environment, start_new_session=True)  # noqa: S603 - our own commands
        child.started = now

    def _end(self) -> None:
        running = [child.process for child in self.children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = self.monotonic() + GRACE_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - self.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close_stdin(process)


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _ending(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit {code}"
