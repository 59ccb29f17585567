"""``secops detect`` over raw events with objects inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from secops.cli.detect import detect
from secops.cli.nested import flat
from tests.match.conftest import rule

CLOUD = {
    "eventSource": "iam",
    "userIdentity": {"type": "Root", "ids": [1, 2]},
    "resources": [{"arn": "a"}, {"arn": "b"}],
}
EVTX = {
    "Event": {
        "System": {"Channel": "Security", "EventID": {"#text": 4625}, "Provider": {"#attributes": {"Name": "P"}}},
        "EventData": {"TargetUserName": "root"},
    }
}
WINLOG = {"winlog": {"channel": "Security", "event_id": 4625, "event_data": {"TargetUserName": "root"}}}
LOGON = {"product": "windows", "service": "security"}
RULES = [
    rule(
        {"s": {"userIdentity.type": "root", "userIdentity.ids": 2}, "condition": "s"}, 1, logsource={"product": "aws"}
    ),
    rule({"s": {"resources.arn|all": ["a", "b"]}, "condition": "s"}, 2, logsource={"product": "aws"}),
    rule({"s": {"EventID": 4625, "TargetUserName": "ROOT"}, "condition": "s"}, 3, logsource=LOGON),
]


@pytest.mark.parametrize(("event", "hits"), [(CLOUD, ["1", "2"]), (EVTX, ["3"]), (WINLOG, ["3"]), ({"a": 1}, [])])
def test_fields_inside_objects_are_found(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch, event: Any, hits: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump_all(RULES), encoding="utf-8")
    (tmp_path / "events.jsonl").write_text(json.dumps(event) + "\n", encoding="utf-8")
    detect([tmp_path / "rules.yml"], tmp_path / "events.jsonl", hits=True, as_json=False, cache=True)
    lines = [orjson.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert [line["rule_id"][-1] for line in lines] == hits


def test_flat_events_and_our_own_are_left_alone() -> None:
    for event in ({"a": 1, "b": [1, 2]}, {"event.dataset": "json.generic", "original": {"a.b": 1}}, {}):
        assert flat(event) is event


def test_what_is_nested_too_deeply_stays() -> None:
    event: dict[str, Any] = {}
    for _ in range(200):
        event = {"a": event}
    assert flat(event) is event
