"""Dashboards ask for what is exposed, by labels that it has, and lead to runbooks that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from secops.worker import metrics

ROOT = Path(__file__).resolve().parents[2]
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
VALUES = {"tenant": "city", "collector": "syslog", "reason": "late"}


def exposed() -> dict[str, set[str]]:
    """Every series that the roles expose once each metric was used: its name, and its labels."""
    registry = CollectorRegistry()
    made: list[Any] = [metrics.ingest(registry), metrics.detect(registry), metrics.jobs(registry)]
    made += [
        metrics.store(registry),
        metrics.sources(registry),
        *(metrics.consumer(registry, one) for one in ("index", "detect")),
    ]
    for group in made:
        for name in group.__dataclass_fields__:
            metric = getattr(group, name)
            if metric._labelnames:
                metric.labels(*(VALUES[label] for label in metric._labelnames))
    found: dict[str, set[str]] = {}
    for line in generate_latest(registry).decode().splitlines():
        if series := re.match(r"(\w+)(?:\{(.*)\})? ", line):
            found.setdefault(series[1], set()).update(re.findall(r'(\w+)="', series[2] or ""))
    return found


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_asks_for_what_is_exposed(path: Path) -> None:
    known = exposed()
    panels = json.loads(path.read_text())["panels"]
    assert panels
    for panel in panels:
        for target in panel["targets"]:
            names = re.findall(r"secops_\w+", target["expr"])
            assert names, panel["title"]
            assert [name for name in names if name not in known] == [], panel["title"]
            labels = set().union(*(known[name] for name in names))
            asked = re.findall(r"(?:by|without) ?\(([^)]*)\)", target["expr"])
            wanted = {label.strip() for one in asked for label in one.split(",")} | set(
                re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            )
            assert wanted <= labels, f"{panel['title']}: {wanted - labels}"


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_runbooks_that_a_dashboard_names_exist(path: Path) -> None:
    named = re.findall(r"runbooks/([a-z0-9-]+\.md)", path.read_text())
    assert [name for name in named if not (ROOT / "runbooks" / name).is_file()] == []


def test_panels_of_a_dashboard_lie_beside_one_another() -> None:
    for path in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text())["panels"]:
            place = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not taken & cells, f"{path.name}: {panel['title']}"
            assert place["x"] + place["w"] <= 24, f"{path.name}: {panel['title']}"
            taken |= cells
