"""A rule of each kind of watch, and events for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from secops.match.detector import Detector
from secops.match.load import load_rules
from secops.match.rule import RuleSet
from secops.records import Match
from tests.match.conftest import watch

START = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
ID = "00000000-0000-4000-8000-000000000700"
BODIES: dict[str, dict[str, Any]] = {
    "absence": {"group-by": "host.name", "for": "10m"},
    "first_seen": {"fields": "v", "learn": "1h", "memory": "1d"},
    "ioc": {"indicator": "ip", "fields": ["v"], "lists": "list.txt"},
    "rare": {"fields": "v", "days": 3, "share": 0.1, "least": 20},
    "spike": {"least": 10},
    "threshold": {"field": "v", "condition": {"gt": 3}},
}


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def event(second: float, number: int = 0, partition: int = 0, **more: Any) -> dict[str, Any]:
    time = at(second).isoformat()
    fields = {"@timestamp": time, "event.ingested": time, "organization.id": "city", "host.name": "x"}
    return {**fields, "event.id": f"{partition}-{number}", **more}


def of(path: Path, kind: str, listed: str = "192.0.2.1\n", **more: Any) -> RuleSet:
    (path / "list.txt").write_text(listed, encoding="utf-8")
    document = watch({"type": kind, **BODIES[kind], **more.pop("body", {})}, **more)
    (path / "rules.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_rules([path])


def hosts(matches: list[Match]) -> list[str]:
    return sorted(dict(match.group)["host.name"] for match in matches)


def restarted(found: RuleSet, detector: Detector) -> Detector:
    return Detector(found, {key: value for key, value in detector.take_changes().items() if value is not None})
