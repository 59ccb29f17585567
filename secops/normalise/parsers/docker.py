from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.parser import ProgramParser

if TYPE_CHECKING:
    from secops.records import Event

_MOST: Final = 64  # pairs of one line


def parse(event: Event, message: str) -> None:
    """Read the lines of dockerd, containerd and CRI-O: ``time="…" level=warning msg="…" container=…`` (logfmt)."""
    event["event.module"] = "linux"
    event["event.dataset"] = "linux.docker"
    if message[:5] != "time=" and " msg=" not in message[:256]:
        return
    fields = logfmt(message)
    event["original"] = fields
    if level := fields.get("level"):
        event["log.level"] = level[:16]
    if said := fields.get("msg"):
        event["message"] = said
    container = fields.get("container") or fields.get("containerID") or fields.get("id") or ""
    if container:
        event["container.id"] = container[:64]
    if level in {"error", "fatal", "warning"}:
        event["event.outcome"] = "failure"


def logfmt(line: str) -> dict[str, str]:
    r"""Read ``name=value name="va\"lue"``; at most ``_MOST`` pairs."""
    fields: dict[str, str] = {}
    position = 0
    while position < len(line) and len(fields) < _MOST:
        equals = line.find("=", position)
        if equals < 0:
            break
        name = line[position:equals].strip()[-64:]
        if line[equals + 1 : equals + 2] == '"':
            end = _closing(line, equals + 2)
            fields[name] = line[equals + 2 : end].replace('\\"', '"')
            position = end + 1
        else:
            end = line.find(" ", equals)
            end = len(line) if end < 0 else end
            fields[name] = line[equals + 1 : end]
            position = end
    return fields


def _closing(line: str, start: int) -> int:
    """Find the quote that closes, past what backslashes escape; each character is looked at once or twice."""
    quote, position = line.find('"', start), start
    while quote >= 0:
        slash = line.find("\\", position, quote)
        if slash < 0:
            return quote
        position = slash + 2
        if position > quote:
            quote = line.find('"', position)
    return len(line)


PARSERS = (ProgramParser(("dockerd", "containerd", "crio", "docker"), parse),)
