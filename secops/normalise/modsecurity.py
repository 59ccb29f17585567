"""ModSecurity's messages in the error logs of Apache and nginx: ``ModSecurity: Access denied with code 403 ... [id "942100"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise import appliance

if TYPE_CHECKING:
    from secops.records import Event

_MOST: Final = 64  # tags of one message
# The numbering of the OWASP core rule set: the first three digits of a rule's number say what it looks for.
_FAMILIES: Final = {
    "913": "scan", "930": "path_traversal", "931": "path_traversal", "932": "code_execution", "933": "code_execution",
    "934": "code_execution", "941": "xss", "942": "sql_injection", "944": "code_execution", "951": "information_leak",
    "953": "information_leak", "954": "information_leak", "955": "webshell",
}  # fmt: skip


def read(event: Event, message: str) -> bool:
    """Read the message if it is ModSecurity's; say whether it was."""
    before, found, said = message.partition("ModSecurity: ")
    if not found or len(before) > 256:  # noqa: PLR2004 - the error log's own prefix
        return False
    tags = _tags(said)
    decision = appliance.DENY if said.startswith("Access denied") else appliance.ALERT
    kind = _FAMILIES.get(tags.get("id", "")[:3]) or appliance.threat(tags.get("msg", ""))
    appliance.attack(event, decision, kind, appliance.level(tags.get("severity", "")))
    event["event.category"] = ["intrusion_detection", "web"]
    event["observer.vendor"], event["observer.product"], event["observer.type"] = "OWASP", "ModSecurity", "waf"
    appliance.keyword(event, "rule.name", tags.get("msg"))
    appliance.keyword(event, "rule.id", tags.get("id"))
    appliance.keyword(event, "url.domain", tags.get("hostname"))
    appliance.keyword(event, "url.path", tags.get("uri"))
    appliance.keep(event, {f"modsecurity.{name}": value for name, value in tags.items()})
    return True


def _tags(said: str) -> dict[str, str]:
    """The ``[name "value"]`` of the message; of a name that comes twice the first counts."""
    found: dict[str, str] = {}
    for piece in said.split(" [", _MOST)[1:_MOST]:
        name, quote, rest = piece.partition(' "')
        if quote and name.isalpha() and len(name) <= 16:  # noqa: PLR2004 - "unique_id" and its kind
            found.setdefault(name, rest.rpartition('"')[0][:1024])
    return found
