"""Documentation is asserted: what is in the code is in the docs, and what the docs name exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from pydantic import BaseModel

from monitors import collector
from secops.cli.root import COMMANDS
from secops.match import conditions, items, limits, regex, selections, source
from secops.match.modifiers import MODIFIERS
from secops.settings import Settings
from secops.worker import metrics

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "runbooks").glob("*.md")])


def settings_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            found += settings_keys(annotation, f"{prefix}{name}.")
        else:
            found.append(prefix + name)
    return found


def metric_names() -> set[str]:
    registry = CollectorRegistry()
    metrics.ingest(registry)
    metrics.detect(registry)
    metrics.jobs(registry)
    metrics.store(registry)
    metrics.sources(registry)
    for name in ("index", "detect"):
        metrics.consumer(registry, name)
    return {f"{m.name}_total" if m.type == "counter" else m.name for m in registry.collect()}


def test_every_setting_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(settings_keys(Settings))


def test_every_metric_is_documented_and_no_other() -> None:
    rows = re.findall(r"^\| `(secops_[a-z_]+)", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(metric_names())


@pytest.mark.parametrize("path", sorted((ROOT / "dashboards").glob("*.json")), ids=lambda p: p.name)
def test_dashboards_draw_only_metrics_that_exist(path: Path) -> None:
    dashboard = json.loads(path.read_text())
    used = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"secops_[a-z_]+", target["expr"])
    }
    known = metric_names() | {f"{name}_bucket" for name in metric_names()}
    assert used
    assert used <= known


def test_every_command_is_in_the_readme() -> None:
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text()
        missing = [name for name in COMMANDS if f"secops {name}" not in text]
        assert not missing, f"{readme} does not name: {missing}"


def test_every_modifier_is_documented_and_no_other() -> None:
    table = re.findall(
        r"^\| (`[^|]+) \|", (ROOT / "docs" / "sigma.md").read_text().partition("## Modifiers")[2], re.MULTILINE
    )
    other_names = {"ignorecase", "multiline", "dotall"}
    assert sorted(re.findall(r"`(\w+)`", " ".join(table))) == sorted(set(MODIFIERS) - other_names)


def test_bounds_of_rules_are_those_in_the_code() -> None:
    text = (ROOT / "docs" / "sigma.md").read_text().partition("## Bounds")[2]
    for bound in (
        items.MAX_VALUES,
        items.MAX_LENGTH,
        items.MAX_CHARACTERS,
        source.MAX_NODES,
        regex.MAX_PATTERN,
        limits.MAX_RULES,
        limits.MAX_TESTS,
        selections.MAX_TESTS,
    ):
        assert f"{bound:,}" in text
    for bound in (source.MAX_DEPTH, conditions.MAX_DEPTH):
        assert f" {bound}" in text


def test_every_collector_kind_is_documented() -> None:
    text = (ROOT / "docs" / "sources.md").read_text()
    assert [kind for kind in collector.kinds() if f"`{kind}`" not in text] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", path.read_text())
    broken = [target for target in targets if not (path.parent / target).exists()]
    assert not broken


def test_runbooks_are_chinese_first_with_english_beside() -> None:
    for path in (ROOT / "runbooks").glob("*.md"):
        title = path.read_text().splitlines()[0]
        assert re.match(r"# [^/]*[\u4e00-\u9fff][^/]* / .*[A-Za-z]", title), f"{path.name}: {title}"
