"""Closed sets of values and what they are called: message ids for the catalogue, and the navigation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from identity.principal import Permission

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the navigation."""

    path: str
    text: str  # message id
    icon: str  # a symbol of static/icons.svg
    permission: Permission


def N_(message: str) -> str:  # noqa: N802 - gettext's own name: marks a text for the catalogue, translates nothing
    """Mark a message id where it is written but not yet shown."""
    return message


NAVIGATION: Final = (
    Entry("/", N_("Overview"), "overview", Permission.OVERVIEW_READ),
    Entry("/events", N_("Events"), "events", Permission.EVENTS_READ),
    Entry("/alerts", N_("Alerts"), "alerts", Permission.ALERTS_READ),
    Entry("/tickets", N_("Tickets"), "tickets", Permission.TICKETS_READ),
    Entry("/evidence", N_("Evidence"), "evidence", Permission.EVIDENCE_READ),
    Entry("/rules", N_("Rules"), "rules", Permission.RULES_READ),
    Entry("/sources", N_("Sources"), "sources", Permission.SOURCES_READ),
    Entry("/people", N_("People"), "people", Permission.PEOPLE_READ),
    Entry("/audit", N_("Audit trail"), "audit", Permission.AUDIT_READ),
)

NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "level": {
        "informational": N_("Informational"),
        "low": N_("Low"),
        "medium": N_("Medium"),
        "high": N_("High"),
        "critical": N_("Critical"),
    },
    "status": {"open": N_("Open"), "acknowledged": N_("Acknowledged"), "closed": N_("Closed")},
    "state": {
        "new": N_("New"),
        "assigned": N_("Assigned"),
        "in_progress": N_("In progress"),
        "pending": N_("Paused"),
        "resolved": N_("Resolved"),
        "closed": N_("Closed"),
    },
    "priority": {
        "1": N_("Priority 1"),
        "2": N_("Priority 2"),
        "3": N_("Priority 3"),
        "4": N_("Priority 4"),
    },
    "target": {
        "running": N_("Running"),
        "paused": N_("Clock paused"),
        "met": N_("Met"),
        "breached": N_("Late"),
        "superseded": N_("Superseded"),
    },
    "disposition": {
        "true_positive": N_("True positive"),
        "benign": N_("True but harmless"),
        "false_positive": N_("False positive"),
        "duplicate": N_("Duplicate"),
    },
    "muted": {
        "silence": N_("Silenced"),
        "maintenance": N_("Maintenance"),
        "inhibition": N_("Explained by a graver alert"),
    },
    "order": {
        "newest": N_("Newest first"),
        "severity": N_("Gravest first"),
        "last_seen": N_("Last seen first"),
        "count": N_("Most events first"),
    },
    "repeat": {"once": N_("Once"), "weekly": N_("Every week"), "monthly": N_("Every month")},
    "weekday": {
        "1": N_("Mon"),
        "2": N_("Tue"),
        "3": N_("Wed"),
        "4": N_("Thu"),
        "5": N_("Fri"),
        "6": N_("Sat"),
        "7": N_("Sun"),
    },
    "history": {
        "raised": N_("Raised"),
        "muted": N_("Muted"),
        "unmuted": N_("No longer muted: announced now"),
        "storm": N_("Joined the storm"),
        "joined": N_("More events joined"),
        "acknowledged": N_("Acknowledged"),
        "closed": N_("Closed"),
        "opened": N_("Opened"),
        "assigned": N_("Assigned"),
        "answered": N_("Answered"),
        "on_site": N_("On site"),
        "paused": N_("Clock paused"),
        "resumed": N_("Clock resumed"),
        "priority": N_("Priority changed"),
        "comment": N_("Comment"),
        "reported": N_("Reported to the authority"),
        "resolved": N_("Resolved"),
        "reopened": N_("Reopened"),
    },
    "organisation": {
        "county": N_("County or district"),
        "department": N_("Department"),
        "contractor": N_("Contractor"),
    },
    "person": {"active": N_("Active"), "disabled": N_("Disabled")},
    "certificate": {
        "good": N_("Good"),
        "revoked": N_("Revoked"),
        "expired": N_("Expired"),
        "unsigned": N_("Never signed"),
        "unknown": N_("Unknown"),
    },
    "outcome": {"success": N_("Success"), "failure": N_("Failure"), "unknown": N_("Unknown")},
    "amr": {"pwd": N_("Password"), "otp": N_("One-time code"), "swk": N_("Certificate")},
    "quarantine": {
        "oversized": N_("Too large"),
        "undecodable": N_("Cannot be decoded"),
        "truncated": N_("Cut off"),
        "malformed": N_("Malformed"),
        "too_deep": N_("Nested too deeply"),
    },
    "process": {
        "web": N_("Web"),
        "ingest": N_("Gathering"),
        "index": N_("Index"),
        "detect": N_("Detection"),
        "jobs": N_("Scheduled work"),
    },
    "rule_kind": {
        "detection": N_("Single event"),
        "event_count": N_("Number of hits"),
        "value_count": N_("Number of different values"),
        "temporal": N_("Several rules together"),
        "temporal_ordered": N_("Several rules in order"),
        "value_sum": N_("Sum of a field"),
        "value_avg": N_("Mean of a field"),
        "value_percentile": N_("Percentile of a field"),
        "value_median": N_("Median of a field"),
        "threshold": N_("Metric over a threshold"),
        "absence": N_("Silence"),
        "first_seen": N_("First seen"),
        "rare": N_("Rare value"),
        "spike": N_("Spike against earlier days"),
        "ioc": N_("List of indicators"),
    },
    "rule_state": {
        "off": N_("Switched off for somebody"),
        "excepted": N_("With exceptions"),
        "matched": N_("Has matched"),
        "never": N_("Never matched"),
    },
    "rule_sort": {
        "level": N_("Level"),
        "last": N_("Last hit"),
        "hits": N_("Hits"),
        "cost": N_("Cost"),
        "title": N_("Title"),
    },
    "owner": {
        "security-operations": N_("Security operations"),
        "platform-operations": N_("Platform operations"),
        "host-operations": N_("Host operations"),
        "application-operations": N_("Application operations"),
        "network-operations": N_("Network operations"),
        "database-operations": N_("Database operations"),
        "cloud-operations": N_("Cloud operations"),
    },
    "revocation": {
        "unspecified": N_("No particular reason"),
        "keyCompromise": N_("Lost, or the key is in other hands"),
        "affiliationChanged": N_("Moved to another unit"),
        "superseded": N_("Replaced by a new certificate"),
        "cessationOfOperation": N_("No longer needed"),
    },
}

RANGES: Final[Mapping[str, tuple[str, int]]] = {  # key -> message id, minutes; 0: no limit
    "15m": (N_("Last 15 minutes"), 15),
    "1h": (N_("Last hour"), 60),
    "24h": (N_("Last 24 hours"), 1440),
    "7d": (N_("Last 7 days"), 7 * 1440),
    "30d": (N_("Last 30 days"), 30 * 1440),
    "all": (N_("All time"), 0),
}

DONE: Final[Mapping[str, str]] = {
    "search-kept": N_("The search is saved."),
    "search-gone": N_("The search is deleted."),
    "parser": N_("The parsers are up to date; they hold within a second."),
    "quota": N_("The quota holds within a second."),
    "token-revoked": N_("The token is revoked; senders that use it are refused."),
    "upload": N_("The file has arrived whole; what is read of it is durable as soon as it is counted as stored."),
    "upload-known": N_("This very file was brought before; nothing is stored twice."),
    "upload-mapped": N_("The table is read so, as are the next ones with the same columns."),
    "upload-discarded": N_("The file is discarded."),
    "source-forgotten": N_("The source is off the list."),
    "acknowledged": N_("The alert is acknowledged."),
    "closed": N_("The alert is closed."),
    "silenced": N_("The silence is made."),
    "unsilenced": N_("The silence is over."),
    "announced": N_("The maintenance window is announced."),
    "window-over": N_("The maintenance window is over."),
    "ticket": N_("The ticket is up to date."),
    "person": N_("The account is up to date."),
    "rule": N_("Your decision about the rule is in force within seconds."),
    "rule_published": N_("The rule is in force within seconds."),
    "rule_withdrawn": N_("The rule is out of force; its versions stay."),
    "revoked": N_("The certificate is revoked; sessions opened with it have ended."),
    "pack": N_("The evidence pack is built."),
    "out": N_("You are logged out."),
    "ready": N_("Your login is set up. Log in now."),
    "sessions": N_("All your sessions have ended."),
}


def as_json(value: object) -> str:
    """JSON as people read it: no escapes where none are needed."""
    return json.dumps(value, ensure_ascii=False, default=str)


UNITS: Final = (N_("d"), N_("h"), N_("min"), N_("s"))  # of rendering.span
