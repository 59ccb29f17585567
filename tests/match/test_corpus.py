"""Other people's rules and events: SigmaHQ's rules and regression samples, OTRF's Windows events."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from secops.match.engine import Engine
from secops.match.load import load_rules
from secops.match.rule import Detection, RuleSet
from secops.match.scan import Databases
from tests.match import naive
from tests.match.corpus import CORPUS, sigmahq, windows_events

pytestmark = pytest.mark.timeout(900)  # forty thousand events through a naive evaluator


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sigmahq(tmp_path_factory.mktemp("sigmahq"))


@pytest.fixture(scope="module")
def rules(folder: Path) -> RuleSet:
    return load_rules(sorted(folder.glob("rules*")))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("databases"))


def test_every_rule_runs_or_is_refused_with_a_reason(rules: RuleSet) -> None:
    assert rules.files == len(rules.rules) + len(rules.refused) == 3757
    assert {refused.en.partition(":")[0] for refused in rules.refused} == {"placeholder %known_cdcs% has no values"}


def test_with_placeholders_every_rule_runs(folder: Path) -> None:
    found = load_rules(sorted(folder.glob("rules*")), placeholders={"known_cdcs": ("dc01",)})
    assert (len(found.rules), found.refused) == (3757, ())


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """A sample of the regression data, which is an EVTX record as JSON, with its fields side by side."""
    root = event.get("Event")
    if root is None:
        return event
    system = root["System"]
    event_id = system["EventID"]
    found = {
        **system,
        "EventID": event_id["#text"] if isinstance(event_id, dict) else event_id,
        "Provider_Name": system.get("Provider", {}).get("#attributes", {}).get("Name"),
    }
    found.update(root.get("EventData") or {})
    for part in (root.get("UserData") or {}).values():
        found.update(part if isinstance(part, dict) else {})
    return found


def test_regression_samples(folder: Path, rules: RuleSet, databases: Databases) -> None:
    """Each sample must make its rule hold."""
    engine = Engine(rules.rules, databases=databases)
    passed, failed = 0, []
    for info in sorted((folder / "regression_data").rglob("info.yml")):
        about = yaml.safe_load(info.read_text(encoding="utf-8"))
        wanted = about["rule_metadata"][0]["id"]
        events = [flat(event) for path in info.parent.glob("*.json") for event in samples(path)]
        if not events:
            continue
        if any(hit.rule_id == wanted for hit in engine.match(events)):
            passed += 1
        else:
            failed.append(info.parent.name)
    assert (passed, failed) == (202, [])


def samples(path: Path) -> list[dict[str, Any]]:
    """Events of a file: one document, a list, or several documents one after the other."""
    text, found = path.read_text(encoding="utf-8-sig").strip(), []
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found += value if isinstance(value, list) else [value]
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def race_tables() -> Any:
    """The tables of the race's script: which channel and event ids a Windows log source means."""
    path = CORPUS.parent / "tools" / "race_rsigma.py"
    if not path.is_file():
        pytest.skip(f"no {path}")
    spec = importlib.util.spec_from_file_location("race", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def windows_rules(rules: RuleSet) -> RuleSet:
    tables = race_tables()
    return RuleSet(
        tuple(
            rule
            for rule in rules.rules
            if isinstance(rule.body, Detection)
            and rule.body.logsource.product == "windows"
            and (rule.body.logsource.category in tables.CATEGORY or rule.body.logsource.service in tables.SERVICE)
        )
    )


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in windows_events()]


def hits_of(engine: Engine, events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [
        (start + hit.index, hit.rule_id)
        for start in range(0, len(events), 1000)
        for hit in engine.match(events[start : start + 1000])
    ]


def naive_hits(rules: RuleSet, events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Every rule over every event that its log source means, by the naive evaluator and the race's tables."""
    tables = race_tables()
    routed: dict[tuple[str, str], list[tuple[int, str, naive.Check]]] = {}
    checks = []
    for position, rule in enumerate(rules.rules):
        document = yaml.safe_load(Path(rule.info.source).read_text(encoding="utf-8"))
        checks.append((position, rule.id, document["logsource"], naive.rule_check(document["detection"])))
    found = []
    for index, event in enumerate(events):
        key = (str(event["Channel"]).lower(), str(event["EventID"]))
        if key not in routed:
            routed[key] = [
                (at, identity, check) for at, identity, source, check in checks if _means(tables, source, *key)
            ]
        found += [(index, at, identity) for at, identity, check in routed[key] if check(event)]
    return [(index, identity) for index, _, identity in sorted(found)]


def _means(tables: Any, source: dict[str, str], channel: str, event_id: str) -> bool:
    if category := source.get("category"):
        of, ids = tables.CATEGORY[category]
        if channel != of.lower() or int(event_id) not in ids:
            return False
    if service := source.get("service"):
        channels = tables.SERVICE[service]
        return channel in [each.lower() for each in ([channels] if isinstance(channels, str) else channels)]
    return True


@pytest.mark.timeout(900)
def test_the_hits_are_those_of_the_naive_evaluator(
    windows_rules: RuleSet, events: list[dict[str, Any]], databases: Databases
) -> None:
    expected = naive_hits(windows_rules, events)
    assert (len(expected), len({identity for _, identity in expected})) == (457, 53)
    assert hits_of(Engine(windows_rules.rules, databases=databases), events) == expected
    assert hits_of(Engine(windows_rules.rules, databases=databases, cached=False), events) == expected
    assert hits_of(Engine(windows_rules.rules, databases=Databases(vector=False)), events) == expected


def test_normalised_events_give_the_same_hits(windows_rules: RuleSet, databases: Databases) -> None:
    """What the service sees, the fields among ``original``, is matched as raw events are."""
    lines = windows_events()[::10]
    raw = [orjson.loads(line) for line in lines]
    normalised = [
        {"event.dataset": "windows.other", "event.module": "windows", "original": event, "event.original": ""}
        for event in raw
    ]
    engine = Engine(windows_rules.rules, databases=databases)
    assert Counter(hits_of(engine, normalised)) == Counter(hits_of(engine, raw))
