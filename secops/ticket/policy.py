"""Which alert becomes a ticket, at which service, with which priority: ordered rules from rules/ticket/*.yaml.

The first rule whose every condition holds decides; the default decides for what no rule names. A rule that gives no
service leaves it to the detection rule's own, then to the default; one that gives no priority leaves it to the alert's severity.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from secops.errors import UserError
from secops.records import Level
from secops.ticket.targets import PRIORITIES, Duty, amount
from secops.yamlfile import read, yaml_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from secops.records import Alert
    from secops.ticket.services import Catalogue
    from secops.yamlfile import Node

CODE: Final = "policy.file"
PRIORITY_OF: Final[dict[Level, int | None]] = {
    Level.CRITICAL: 1,
    Level.HIGH: 2,
    Level.MEDIUM: 3,
    Level.LOW: 4,
    Level.INFORMATIONAL: None,  # opens no ticket
}


class Opening(StrEnum):
    """Whether a rule opens a ticket."""

    OPEN = "open"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """Conditions (empty: any) and what follows; rule ids, tags and tenants may hold ``*`` and ``?``."""

    name: str
    rule_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    tenants: tuple[str, ...] = ()
    services: tuple[str, ...] = ()  # what the detection rule asked for
    ticket: Opening = Opening.OPEN
    service: str = ""
    priority: int | None = None
    duties: tuple[str, ...] = ()

    def holds(self, alert: Alert) -> bool:
        """Say whether every condition holds."""
        return (
            _any(self.rule_ids, (alert.rule_id,))
            and _any(self.tags, alert.tags)
            and (not self.levels or alert.level in self.levels)
            and _any(self.tenants, (alert.tenant,))
            and _any(self.services, (alert.service,))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the policy says about an alert, and which of its rules said so."""

    service: str
    priority: int
    rule: str  # the policy rule's name, or "default"
    duties: tuple[Duty, ...] = ()  # statutory duties that begin with the ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Ordered rules over a catalogue."""

    catalogue: Catalogue
    rules: tuple[PolicyRule, ...]
    default_service: str
    duties: Mapping[str, Duty]

    def decide(self, alert: Alert) -> Decision | None:
        """Give the first rule's answer; None when the alert opens no ticket."""
        rule = next((rule for rule in self.rules if rule.holds(alert)), PolicyRule(name="default"))
        priority = rule.priority or PRIORITY_OF[alert.severity or alert.level]
        if rule.ticket is Opening.NONE or priority is None:
            return None
        asked = alert.service if alert.service in self.catalogue.services else ""
        return Decision(
            service=rule.service or asked or self.default_service,
            priority=priority,
            rule=rule.name,
            duties=tuple(self.duties[name] for name in rule.duties),
        )


def load_policy(paths: Sequence[Path], catalogue: Catalogue) -> Policy:
    """Read policy files in the order of their names.

    Raises:
        UserError: ``policy.file``: the text names file, line and reason.
    """
    optional = ("rules", "duties", "default_service")
    roots = [read(file, CODE).fields((), optional) for _, file in yaml_files(paths, CODE)]
    duties: dict[str, Duty] = {}
    for root in roots:
        for name, node in (root["duties"].fields(optional=None) if "duties" in root else {}).items():
            if name in duties:
                node.fail(f"“{name}”重复", f"{name!r} is given twice")
            duties[name] = _duty(name, node)
    defaults = [root["default_service"] for root in roots if "default_service" in root]
    if not defaults:
        raise UserError(CODE, "工单策略缺少 default_service", "the ticket policy has no default_service")
    nodes = [node for root in roots if "rules" in root for node in root["rules"].items()]
    return Policy(
        catalogue=catalogue,
        rules=tuple(_rule(node, catalogue, duties) for node in nodes),
        default_service=_service(defaults[-1], catalogue),
        duties=duties,
    )


def _any(patterns: Sequence[str], values: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value, pattern) for pattern in patterns for value in values)


def _rule(node: Node, catalogue: Catalogue, duties: Mapping[str, Duty]) -> PolicyRule:
    fields = node.fields(("name", "when"), ("ticket", "service", "priority", "duties"))
    when = fields["when"].fields((), ("rule_id", "tag", "level", "tenant", "service"))
    levels = when["level"].items() if "level" in when else []
    return PolicyRule(
        name=fields["name"].text(),
        rule_ids=_texts(when, "rule_id"),
        tags=_texts(when, "tag"),
        levels=tuple(level.choice(Level) for level in levels),
        tenants=_texts(when, "tenant"),
        services=_texts(when, "service"),
        ticket=fields["ticket"].choice(Opening) if "ticket" in fields else Opening.OPEN,
        service=_service(fields["service"], catalogue) if "service" in fields else "",
        priority=_priority(fields["priority"]) if "priority" in fields else None,
        duties=tuple(_known(item, duties) for item in fields["duties"].items()) if "duties" in fields else (),
    )


def _texts(when: Mapping[str, Node], name: str) -> tuple[str, ...]:
    return when[name].texts() if name in when else ()


def _service(node: Node, catalogue: Catalogue) -> str:
    if node.text() not in catalogue.services:
        known = ", ".join(catalogue.services)
        node.fail(
            f"服务目录中没有“{node.text()}”，可用的有：{known}", f"no service {node.text()!r}; there are: {known}"
        )
    return node.text()


def _priority(node: Node) -> int:
    if node.whole() not in PRIORITIES:
        node.fail("优先级为 1 到 4", "a priority is 1 to 4")
    return node.whole()


def _known(node: Node, duties: Mapping[str, Duty]) -> str:
    if node.text() not in duties:
        node.fail(f"没有法定义务“{node.text()}”", f"there is no duty {node.text()!r}")
    return node.text()


def _duty(name: str, node: Node) -> Duty:
    fields = node.fields(("zh", "en", "within", "source"))
    try:
        within = amount(fields["within"].text())
    except ValueError as error:
        fields["within"].fail(f"时长应写作 4 h：{error}", str(error))
    if within.working_days:
        fields["within"].fail("法定时限按自然时间计", "a statutory limit is wall time")
    return Duty(
        id=name, zh=fields["zh"].text(), en=fields["en"].text(), within=within.time, source=fields["source"].text()
    )
