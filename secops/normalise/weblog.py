"""What the logs of web servers have in common: the access line in the common and combined formats, and the request in it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from secops.normalise.schema import address, number, text
from secops.normalise.times import MONTHS, iso

if TYPE_CHECKING:
    from datetime import tzinfo

    from secops.records import Event

QUOTED: Final = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
# The common log format, with referrer and agent the combined one; read from left to right without a choice to come back to.
_ACCESS = re.compile(
    rf"([0-9A-Za-z.:_-]{{1,255}}) (\S{{1,256}}) ([^\[\]]{{1,256}}) \[([^\]]{{20,32}})\] {QUOTED} (\d{{3}}) (\d{{1,18}}|-)(?: {QUOTED} {QUOTED})?",
    re.ASCII | re.DOTALL,
)
_REQUEST_WORDS: Final = 3
_BAD_REQUEST: Final = 400


class Line(NamedTuple):
    """What of an access line tells who wrote it, and when."""

    time: str  # 24/Nov/2026:15:58:48 +0800
    identity: str  # the second word, which nginx always writes as "-"
    size: str
    combined: bool


def access(event: Event, line: str, module: str) -> Line | None:
    """Fill the event from an access line of ``module``'s; ``None`` when it is no such line, and then nothing is changed."""
    found = _ACCESS.match(line)
    if found is None:
        return None
    peer, identity, user, time, requested, status, size, referrer, agent = found.groups()
    event["event.module"], event["event.dataset"] = module, f"{module}.access"
    event["event.category"], event["event.type"] = ["web"], ["access"]
    code = int(status)
    event["http.response.status_code"] = code
    event["event.outcome"] = "success" if code < _BAD_REQUEST else "failure"
    if (ip := address(peer)) is not None:
        event["source.ip"] = ip
    if user != "-":
        event["user.name"] = user
    if (sent := number(size)) is not None:
        event["http.response.body.bytes"] = sent
    if referrer and referrer != "-":
        event["http.request.referrer"] = referrer
    if agent and agent != "-":
        event["user_agent.original"] = agent
    request(event, requested)
    return Line(time, identity, size, agent is not None)


def request(event: Event, line: str) -> None:
    """Note method, path and query; what is no request line (a TLS hello on the plain port) stays in ``url.original``."""
    words = line.split(" ")
    if len(words) == _REQUEST_WORDS and words[2][:5] == "HTTP/":
        event["http.request.method"] = words[0][:32]
        event["http.version"] = words[2][5:15]
        event["url.original"] = text(words[1])
        path, mark, query = words[1].partition("?")
        event["url.path"] = text(path)
        if mark:
            event["url.query"] = text(query)
    elif line:
        event["url.original"] = text(line)


@lru_cache(maxsize=4096)
def common_time(stamp: str, zone: tzinfo) -> str | None:
    """Read ``24/Nov/2026:15:58:48 +0800``."""
    day, month, rest = stamp[:2], MONTHS.get(stamp[3:6]), stamp[7:]
    year, clock = rest[:4], rest[5:13]
    return iso(f"{year}-{month:02d}-{day}T{clock}{rest[14:]}", zone) if month else None
