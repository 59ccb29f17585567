from __future__ import annotations

import socket
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from secops.normalise.times import epoch, iso

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

MAX_RAW: Final = 1 << 20  # bytes of one message
MAX_DEPTH: Final = 32  # containers inside one another
MAX_KEYS: Final = 1000  # fields and list items of one document
MAX_NAME: Final = 1024  # characters of the name of what holds further fields
MAX_VALUE: Final = 32_768  # characters of one value; the whole stays in event.original
MAX_KEYWORD: Final = 8_192  # characters of a keyword field

SENDERS_MAY_NOT_SET: Final = frozenset(
    {
        "organization.id",
        "event.id",
        "event.ingested",
        "event.original",
        "agent.type",
        "log.source.address",
        "error.type",
    }
)
"""What says whose an event is and how it reached us; a document that carries one keeps it in ``original``."""

# ECS 8 names that a document may bring along, by type. What is not here stays in ``original``.
_KEYWORDS = """
agent.id agent.name agent.version client.domain cloud.account.id cloud.instance.id cloud.provider cloud.region
cloud.service.name container.id container.image.name container.name destination.domain dns.question.name dns.question.type
dns.response_code ecs.version error.code event.action event.code event.dataset event.hash event.kind event.module
event.outcome event.provider event.reason event.reference event.timezone event.url file.directory file.extension
file.hash.md5 file.hash.sha1 file.hash.sha256 file.name file.owner file.path file.type group.id group.name
host.architecture host.hostname host.id host.name host.os.family host.os.name host.os.platform host.os.version
host.type http.request.id http.request.method http.request.referrer http.version log.file.path log.level log.logger
log.syslog.facility.name log.syslog.hostname log.syslog.msgid log.syslog.severity.name network.application
network.community_id network.direction network.name network.protocol network.transport network.type observer.hostname
observer.name observer.product observer.type observer.vendor observer.version organization.name
orchestrator.api_version orchestrator.cluster.name orchestrator.namespace orchestrator.resource.name
orchestrator.resource.type orchestrator.type package.name
package.version process.args process.command_line process.entity_id process.executable process.hash.md5
process.hash.sha1 process.hash.sha256 process.name process.parent.command_line process.parent.executable
process.parent.name process.user.name process.working_directory registry.data.strings registry.hive registry.key
registry.path registry.value related.hash related.hosts related.user rule.category rule.id rule.name rule.ruleset
server.domain service.id service.name service.type service.version session.id source.domain source.mac
source.user.name threat.technique.id tls.cipher tls.client.issuer tls.client.server_name tls.client.subject tls.server.issuer
tls.server.subject tls.version trace.id transaction.id url.domain url.extension url.fragment url.full url.original
url.path url.query url.scheme user.domain user.effective.name user.email user.full_name user.group.name user.id
user.name user.roles user.target.domain user.target.id user.target.name user_agent.name user_agent.original
user_agent.version vulnerability.id
"""
_LONGS = """
client.bytes client.port destination.bytes destination.packets destination.port event.duration event.sequence
event.severity file.size http.request.body.bytes http.request.bytes http.response.body.bytes http.response.bytes
http.response.status_code log.syslog.facility.code log.syslog.priority log.syslog.severity.code network.bytes
network.packets process.exit_code process.parent.pid process.pid server.bytes server.port source.bytes source.packets
source.port url.port
"""
_ADDRESSES = (
    "client.ip destination.ip host.ip observer.ip related.ip server.ip source.ip destination.nat.ip source.nat.ip"
)
_LISTS = "event.category event.type tags"
_DATES = "event.created event.start event.end"
_TEXTS = "message error.message error.stack_trace"


def text(value: object) -> str | None:
    """Give a bounded text for a scalar; ``None`` for anything else."""
    if isinstance(value, str):
        return value[:MAX_VALUE]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else None


def keyword(value: object) -> str | list[str] | None:
    """Give a bounded keyword, or a list of them for a list of scalars; ``None`` when it is empty or nested."""
    if isinstance(value, list):
        return [word for item in value if (word := text(item))] or None
    word = text(value)
    return word[:MAX_KEYWORD] if word else None


def words(value: object) -> list[str] | None:
    """Give a list of keywords for one or many."""
    word = keyword(value)
    return [word] if isinstance(word, str) else word


def number(value: object) -> int | None:
    """Give a 64-bit integer for an integer, a whole float or decimal digits."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= 18 else None  # noqa: PLR2004 - below 2**63
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 2**53 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


@lru_cache(maxsize=65_536)
def address(value: str) -> str | None:
    """Give the canonical form of an IP address (RFC 5952; IPv4-mapped becomes IPv4), ``None`` if it is none."""
    try:
        socket.inet_pton(socket.AF_INET, value)
    except (OSError, ValueError):  # ValueError: an embedded NUL or a character outside ASCII
        return _address6(value)
    return value


def _address6(value: str) -> str | None:
    try:
        packed = socket.inet_pton(socket.AF_INET6, value.partition("%")[0])
    except (OSError, ValueError):
        return None
    canonical = socket.inet_ntop(socket.AF_INET6, packed)
    mapped = canonical.removeprefix("::ffff:")
    return mapped if "." in mapped and ":" not in mapped else canonical


def addresses(value: object) -> str | list[str] | None:
    """Give one canonical address or a list of them."""
    if isinstance(value, list):
        return [found for item in value if isinstance(item, str) and (found := address(item))] or None
    return address(value) if isinstance(value, str) else None


def date(value: object, zone: tzinfo) -> str | None:
    """Give a canonical timestamp for an ISO 8601 text or a number of (milli-, micro-, nano-)seconds."""
    if isinstance(value, str):
        return iso(value, zone)
    return epoch(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


DATES: Final = frozenset(_DATES.split())

FIELDS: Final[dict[str, Callable[[object], Any]]] = {
    **dict.fromkeys(_KEYWORDS.split(), keyword),
    **dict.fromkeys(_LONGS.split(), number),
    **dict.fromkeys(_ADDRESSES.split(), addresses),
    **dict.fromkeys(_LISTS.split(), words),
    **dict.fromkeys(_TEXTS.split(), text),
}
"""ECS field -> how a value is coerced to its type; ``None`` means that it does not fit."""
