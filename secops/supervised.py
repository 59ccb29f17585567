"""A child process ends when its supervisor is gone, however that went: it sees the end of its standard input."""

from __future__ import annotations

import os
import signal
import sys
import threading

SUPERVISED = "SECOPS_SUPERVISED"  # set by the supervisor; a role started by hand keeps its terminal


def follow_supervisor() -> None:
    """In a supervised child: send ourselves SIGTERM when the supervisor is gone."""
    if os.environ.get(SUPERVISED):
        end_with_stdin()


def end_with_stdin() -> None:
    """Send ourselves SIGTERM when standard input ends."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # unbuffered: a reader's lock held at exit would abort us
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="supervisor-watch", daemon=True).start()
