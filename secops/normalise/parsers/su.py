from __future__ import annotations

import re
from typing import TYPE_CHECKING

from secops.normalise.pam import read_pam
from secops.normalise.parser import ProgramParser

if TYPE_CHECKING:
    from secops.records import Event

# util-linux: "(to root) alice on pts/0", "FAILED SU (to root) alice on pts/0"
_TO = re.compile(r"(FAILED SU )?\(to ([^\s)]{1,256})\) (\S{1,256}) on (\S{1,64})")
# shadow: "Successful su for root by alice", "FAILED su for root by alice"
_FOR = re.compile(r"(FAILED|Successful) su for (\S{1,256}) by (\S{1,256})")


def parse(event: Event, message: str) -> None:
    """Read su of util-linux and of shadow."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.su"
    if read_pam(event, message):
        return
    if found := _TO.match(message):
        _switch(event, actor=found[3], target=found[2], failed=found[1] is not None)
    elif found := _FOR.match(message):
        _switch(event, actor=found[3], target=found[2], failed=found[1] == "FAILED")


def _switch(event: Event, *, actor: str, target: str, failed: bool) -> None:
    event["event.category"] = ["authentication"]
    event["event.type"] = ["start"]
    event["event.action"] = "su"
    event["event.outcome"] = "failure" if failed else "success"
    event["user.name"] = actor
    event["user.target.name"] = target


PARSERS = (ProgramParser(("su", "su-l"), parse),)
