"""Events of Keycloak, those of its users and those of its administrators.

They come as the logging listener writes them (``type="LOGIN_ERROR", …``), in the JSON log, or as a listener's JSON.
``original`` has the names of the logging listener in every form. Of a name that comes twice the first counts: what a
visitor typed comes last, so he cannot replace what Keycloak says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.normalise.cloud_fields import name_fields, stamp
from secops.normalise.documents import flatten, load
from secops.normalise.parser import DocumentParser, MessageParser, ProgramParser, UnreadableError, peer_host

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_LOGGER: Final = "org.keycloak.events"
_FIELDS: Final = {
    "user.name": ("username", "auth_username"),
    "user.id": ("userId",),
    "user.domain": ("realmName", "realmId"),
    "source.ip": ("ipAddress",),
    "session.id": ("sessionId", "code_id"),
    "error.code": ("error",),
    "event.reason": ("reason",),
    "service.name": ("clientId",),
    "url.path": ("resourcePath",),
}
_SIGN_IN: Final = ("LOGIN", "LOGOUT", "CODE_TO_TOKEN", "REFRESH_TOKEN", "CLIENT_LOGIN", "TOKEN_EXCHANGE", "IMPERSONATE")
_LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_MOST_PAIRS: Final = 64
_MOST_TEXT: Final = 32_768
_KEY: Final = 80  # characters in which a name and its "=" must be found
_HEAD: Final = 400  # characters before the event: time, level, logger, thread


def pairs(text: str) -> dict[str, Any]:
    """Read ``name="value", name=value, …``."""
    fields: dict[str, Any] = {}
    at = 0
    text = text[:_MOST_TEXT]
    while at < len(text) and len(fields) < _MOST_PAIRS:
        equals = text.find("=", at, at + _KEY)
        if equals < 0:
            break
        quoted = text[equals + 1 : equals + 2] == '"'
        start = equals + 2 if quoted else equals + 1
        end = text.find('", ' if quoted else ", ", start)
        value = text[start:] if end < 0 else text[start:end]
        key = text[at:equals].strip(" ,")
        if key.replace("_", "").replace(".", "").isalnum():
            fields.setdefault(key, value.removesuffix('"') if quoted and end < 0 else value)
        at = len(text) if end < 0 else end + (3 if quoted else 2)
    return fields


def _begin(text: str) -> int:
    """Give where the event begins in a log line, or -1."""
    found = [at for mark in ("type=", "operationType=") if (at := text.find(mark, 0, _HEAD)) >= 0]
    return min(found, default=-1)


def fill(event: Event, flat: dict[str, Any]) -> None:
    """Name what Keycloak says in ECS; ``flat`` becomes ``original``."""
    flat = {name: value for name, value in flat.items() if value not in ("null", None)}
    event["event.module"] = "keycloak"
    event["original"] = flat
    name_fields(event, flat, _FIELDS)
    operation = flat.get("operationType")
    kind = str(flat.get("type", ""))[:100]
    failed = "error" in flat or kind.endswith("_ERROR")
    event["event.outcome"] = "failure" if failed else "success"
    if operation is not None:
        event["event.dataset"] = "keycloak.admin"
        event["event.action"] = f"{operation}_{flat.get('resourceType', 'OTHER')}".lower()[:100]
        event["event.category"] = ["iam"]
        event["event.type"] = [{"CREATE": "creation", "DELETE": "deletion"}.get(str(operation), "change")]
        return
    event["event.dataset"] = "keycloak.event"
    event["event.action"] = kind.lower()
    event["event.category"] = ["authentication" if kind.startswith(_SIGN_IN) else "iam"]
    event["event.type"] = ["end" if kind.startswith("LOGOUT") else "start" if kind.startswith(_SIGN_IN) else "change"]


def parse_program(event: Event, message: str) -> None:
    """Read a line of Keycloak that came by syslog; lines about other things stay text."""
    if message[:1] == "{":
        try:
            document = load(message)
        except UnreadableError:
            return
        if isinstance(document, dict) and claims(document):
            _read(event, document)
        return
    at = _begin(message)
    if at >= 0:
        fill(event, pairs(message[at:]))


def begins(start: str) -> bool:
    """Say whether it is a line of Keycloak's own log that tells of an event."""
    return _LOGGER in start


def parse_message(event: Event, message: str, desk: Desk) -> None:
    """Read such a line; what a syslog reader takes for the host's name is the line's level."""
    if (at := _begin(message)) < 0:
        return
    if event["host.name"] in _LEVELS:
        event["host.name"] = peer_host(event["log.source.address"])
    fill(event, pairs(message[at:]))
    stamp(event, message[:23].replace(",", "."), desk)


def claims(document: dict[str, Any]) -> bool:
    """Say whether it is an event of Keycloak or a line of its JSON log that holds one."""
    if document.get("loggerName") == _LOGGER:
        return isinstance(document.get("message"), str)
    if "operationType" in document:
        return "resourcePath" in document and ("realmId" in document or "authDetails" in document)
    return "realmId" in document and isinstance(document.get("type"), str) and "ipAddress" in document


def parse(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Read one event."""
    _read(event, document)
    stamp(event, document.get("time") or document.get("timestamp"), desk)


def _read(event: Event, document: dict[str, Any]) -> None:
    if document.get("loggerName") == _LOGGER:
        text = str(document["message"])
        host = document.get("hostName")
        if isinstance(host, str) and host:
            event["host.name"] = host
        event["message"] = text
        fill(event, pairs(text[max(_begin(text), 0) :]))
        return
    flat = dict(flatten(document))
    for name, value in list(flat.items()):
        if name.startswith(("details.", "authDetails.")):
            flat.setdefault(name.partition(".")[2], value)
    fill(event, flat)


PARSERS = (
    ProgramParser(("keycloak",), parse_program),
    MessageParser(60, begins, parse_message),
    DocumentParser(30, claims, parse),
)
