"""Every command that a runbook or a readme tells to type exists, with every option that is named."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prometheus_client import CollectorRegistry

from secops.cli.root import build
from secops.worker import metrics

ROOT = Path(__file__).resolve().parents[2]
TEXTS = sorted([*(ROOT / "runbooks").glob("*.md"), *ROOT.glob("README*.md")])
COMMAND = re.compile(r"^ {4,}(?:\$ )?(?:\.venv/bin/)?secops (.+)$|`secops ([^`]+)`", re.MULTILINE)
NAMED = ["alert-noise.md", "slow-rule.md", "silent-source.md"]  # those that issue 4 asks for by name


def commands(path: Path) -> list[str]:
    """What the text tells to type after ``secops``, without comments and brackets around what may be left out."""
    return [(one or other).strip() for one, other in COMMAND.findall(path.read_text())]


def wrong_with(line: str) -> str:
    """What the command line would complain of; placeholders stand for values, so values are not looked at."""
    words = shlex.split(re.sub(r"[\[\]]", "", line), comments=True)
    command: Any = typer.main.get_command(build(None))
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no {name!r}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"there is no {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_exist_with_their_options(path: Path) -> None:
    wrong = {line: said for line in commands(path) if (said := wrong_with(line))}
    assert wrong == {}


def test_a_wrong_command_would_be_found() -> None:
    assert wrong_with("rules shew X")
    assert wrong_with("rules show X --colour red")
    assert not wrong_with("rules disable RULE --reason R [--tenant T]  # off")


@pytest.mark.parametrize("name", NAMED)
def test_the_runbooks_of_detection_say_what_to_type(name: str) -> None:
    assert len(commands(ROOT / "runbooks" / name)) >= 3


def metric_names() -> set[str]:
    registry = CollectorRegistry()
    metrics.ingest(registry)
    metrics.detect(registry)
    metrics.jobs(registry)
    metrics.store(registry)
    for name in ("index", "detect"):
        metrics.consumer(registry, name)
    return {f"{one.name}_total" if one.type == "counter" else one.name for one in registry.collect()}


def test_prometheus_rules_use_metrics_that_exist_and_lead_to_a_runbook_in_both_languages() -> None:
    text = (ROOT / "dashboards" / "detection-alerts.yml").read_text()
    used = set(re.findall(r"secops_[a-z_]+", text))
    assert used
    assert used <= metric_names()
    runbooks = re.findall(r"runbook: (\S+)", text)
    assert len(runbooks) == text.count("- alert: ")
    assert all((ROOT / one).is_file() for one in runbooks)
    for summary in re.findall(r"summary: (.+)", text):
        assert re.search(r"[\u4e00-\u9fff].* / .*[A-Za-z]", summary), summary


@pytest.mark.parametrize("path", sorted((ROOT / "dashboards").glob("*.json")), ids=lambda path: path.name)
def test_panels_are_titled_in_both_languages(path: Path) -> None:
    titles = [panel["title"] for panel in json.loads(path.read_text())["panels"]]
    assert [one for one in titles if not re.search(r"[\u4e00-\u9fff].* / .*[A-Za-z]", one)] == []
