from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from waiting import wait_until

from secops.worker.loop import Stop
from secops.worker.supervisor import Supervisor

CHILD = """
import os, pathlib, sys
from secops.supervised import follow_supervisor
follow_supervisor()
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
import threading; threading.Event().wait()
"""


def test_a_killed_child_is_started_again_and_all_end_with_the_supervisor(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    said: list[str] = []
    ended: list[int] = []
    supervisor = Supervisor({"one": [sys.executable, "-c", CHILD, str(pid_file)]}, {}, said.append, ended=ended.append)
    stop = Stop()
    running = threading.Thread(target=supervisor.run, args=(stop, lambda: None))
    running.start()
    try:
        first = int(wait_until(lambda: pid_file.exists() and pid_file.read_text()))
        pid_file.unlink()
        os.kill(first, signal.SIGKILL)
        second = int(wait_until(lambda: pid_file.exists() and pid_file.read_text()))
        assert second != first
        assert ended == [first]
        assert "SIGKILL" in said[0]
    finally:
        stop.set()
        running.join(20)
    assert not running.is_alive()
    wait_until(lambda: not _alive(second))


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "import sys\n"
        "from secops.worker.loop import Stop\n"
        "from secops.worker.supervisor import Supervisor\n"
        f"Supervisor({{'one': [sys.executable, '-c', {CHILD!r}, {str(pid_file)!r}]}}, {{}}, print).run(Stop(), lambda: None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        child = int(wait_until(lambda: pid_file.exists() and pid_file.read_text()))
        parent.kill()
    wait_until(lambda: not _alive(child), what="the child outlived its supervisor")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False
