from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.parser import LineParser, ProgramParser
from secops.normalise.times import iso

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

# Verb -> event.action
_VERBS: Final = {
    "Installed": "package_installed", "Install": "package_installed", "install": "package_installed",
    "Updated": "package_updated", "Upgraded": "package_updated", "Upgrade": "package_updated",
    "upgrade": "package_updated", "Erased": "package_removed", "Removed": "package_removed",
    "remove": "package_removed", "purge": "package_removed", "Reinstalled": "package_installed",
    "Downgraded": "package_downgraded", "Downgrade": "package_downgraded",
}  # fmt: skip
_TYPES: Final = {"package_installed": "installation", "package_removed": "deletion"}
_SUBDEBUG: Final = frozenset({"SUBDEBUG", "INFO", "DEBUG"})


def parse(event: Event, message: str) -> None:
    """Read yum's, dnf's and rpm's lines in syslog: ``Installed: nmap-3:7.92-1.x86_64``."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.packages"
    verb, colon, package = message.partition(":")
    if colon and verb.strip() in _VERBS:
        _note(event, verb.strip(), package)


def parse_line(event: Event, line: str, desk: Desk) -> bool:
    """Read a line of ``dnf.rpm.log`` (``TIME SUBDEBUG Installed: P``) or of ``dpkg.log`` (``DATE TIME install P OLD NEW``)."""
    if line[:2] != "20":
        return False
    if line[10:11] == "T":
        stamp, _, rest = line.partition(" ")
        level, _, rest = rest.partition(" ")
        verb, colon, package = rest.partition(": ")
        if level not in _SUBDEBUG or not colon or verb not in _VERBS:
            return False
    else:
        stamp, rest = line[:19], line[20:]
        verb, _, package = rest.partition(" ")
        if verb not in _VERBS or package.count(" ") != 2:  # noqa: PLR2004 - name, old version, new version
            return False
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.packages"
    desk.stamp(event, iso(stamp, desk.zone))
    event["message"] = rest
    _note(event, verb, package)
    return True


def _note(event: Event, verb: str, package: str) -> None:
    action = _VERBS[verb]
    event["event.category"] = ["package"]
    event["event.type"] = [_TYPES.get(action, "change")]
    event["event.action"], event["event.outcome"] = action, "success"
    words = package.split()
    if words:
        event["package.name"] = words[0][:256]
        if len(words) == 3:  # noqa: PLR2004 - name, old version, new version
            event["package.version"] = words[2][:256]


PARSERS = (ProgramParser(("yum", "dnf", "rpm"), parse), LineParser(4, parse_line))
