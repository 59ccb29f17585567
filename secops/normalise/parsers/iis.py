"""IIS's access log in the W3C extended format with the fields that IIS 7 to 10 write unless told otherwise.

``date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status
sc-substatus sc-win32-status time-taken``. The times are UTC. In a file's line date, time and server stand where a syslog
header's do, so they were taken off before the line comes here; in a syslog message they are still there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance
from secops.normalise.parser import MessageParser
from secops.normalise.schema import address, number, text
from secops.normalise.times import iso

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_METHODS: Final = frozenset(
    {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "TRACE", "MOVE", "COPY", "SEARCH"}
)
_WORDS: Final = 12  # cs-method to time-taken
_LEADING: Final = 3  # date, time, s-ip
_STAMP: Final = 19  # characters of date and time
_BAD_REQUEST: Final = 400


def claims(start: str) -> bool:
    """Whether the message begins with a method and a path, or with date, time, server and these."""
    if start[4:5] == "-" and start[_STAMP : _STAMP + 1] == " ":
        start = start[_STAMP + 1 :].partition(" ")[2]
    method, _, path = start.partition(" ")
    return path[:1] == "/" and method in _METHODS


def parse(event: Event, message: str, desk: Desk) -> None:
    """Read one line; one with other fields keeps its text."""
    words = message.split(" ")
    stamp, server = str(event["event.original"])[:_STAMP], str(event.get("host.name", ""))
    if len(words) == _WORDS + _LEADING:
        stamp, server, words = message[:_STAMP], words[2], words[_LEADING:]
    if len(words) != _WORDS or address(words[5]) is None or (code := number(words[8])) is None:
        return
    method, path, query, port, user, client, agent, referrer = words[:8]
    event["event.module"], event["event.dataset"] = "iis", "iis.access"
    event["event.category"], event["event.type"] = ["web"], ["access"]
    desk.stamp(event, iso(stamp.replace(" ", "T") + "Z", desk.zone))
    event["source.ip"], event["http.request.method"] = address(client), method
    event["url.path"] = text(path)
    event["url.original"] = text(path if query == "-" else f"{path}?{query}")
    if query != "-":
        event["url.query"] = text(query)
    event["http.response.status_code"] = code
    event["event.outcome"] = "success" if code < _BAD_REQUEST else "failure"
    appliance.count(event, "url.port", port)
    appliance.keyword(event, "user.name", user)
    appliance.keyword(event, "user_agent.original", agent.replace("+", " "))
    appliance.keyword(event, "http.request.referrer", referrer)
    appliance.endpoint(event, "destination", server)


PARSERS = (MessageParser(60, claims, parse, "".join(sorted({*"0123456789", *(method[0] for method in _METHODS)}))),)
