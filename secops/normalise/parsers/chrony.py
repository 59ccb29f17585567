from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.parser import ProgramParser
from secops.normalise.schema import address

if TYPE_CHECKING:
    from secops.records import Event

# How a line begins -> (event.action, event.outcome); chrony's sources (main.c, local.c, sources.c) and ntpd's.
_MEANINGS: Final = (
    ("System clock wrong by", "clock_wrong", "failure"), ("System clock was stepped", "clock_stepped", "success"),
    ("Backward time jump detected", "clock_jumped", "failure"), ("Forward time jump detected", "clock_jumped", "failure"),
    ("Can't synchronise", "clock_unsynchronised", "failure"), ("Selected source", "clock_source", "success"),
    ("chronyd exiting", "clock_service_stopped", "success"), ("chronyd version", "clock_service_started", "success"),
    ("time reset", "clock_stepped", "success"), ("step time server", "clock_stepped", "success"),
    ("no servers reachable", "clock_unsynchronised", "failure"), ("no server suitable", "clock_unsynchronised", "failure"),
    ("System clock TAI", "clock_note", "success"),
)  # fmt: skip


_LOOKED_AT: Final = 200


def parse(event: Event, message: str) -> None:
    """Read the lines of the time services chronyd and ntpd."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.chrony"
    for beginning, action, outcome in _MEANINGS:
        if message.startswith(beginning):
            event["event.category"] = ["configuration"]
            event["event.type"] = ["change" if "stepped" in action else "info"]
            event["event.action"], event["event.outcome"] = action, outcome
            _details(event, message[len(beginning) : _LOOKED_AT])
            return


def _details(event: Event, rest: str) -> None:
    """``by 1.234 seconds``, or the address of a source."""
    words = rest.split()
    for before, word in zip(["", *words], words, strict=False):
        if (found := address(word)) is not None:
            event["source.ip"] = found
        elif before in {"by", "reset", "offset"} or (not before and word.lstrip("-+")[:1].isdigit()):
            event["original"] = {"offset_seconds": word}


PARSERS = (ProgramParser(("chronyd", "ntpd", "ntpdate", "systemd-timesyncd"), parse),)
