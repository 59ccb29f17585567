"""Stored rules are the rules; what is spoilt, foreign or out of date is not used."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from secops.match.load import load_rules
from secops.match.rule import RuleSet
from secops.match.stored import decode, encode, load_stored
from tests.match.conftest import correlation, rule
from tests.match.corpus import sigmahq
from tests.match.test_engine import CASES, PLACEHOLDERS, detections

ROOT = Path(__file__).resolve().parents[2]


def again(found: RuleSet) -> RuleSet:
    return decode(encode(found), found.roots)


def written(folder: Path, *documents: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump_all(documents, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def test_our_own_rules_come_back_as_they_were() -> None:
    found = load_rules([ROOT / "rules" / "detection", ROOT / "rules" / "correlation"])
    assert len(found.rules) >= 20
    assert again(found) == found


def test_sigmahq_comes_back_as_it_was(tmp_path: Path) -> None:
    found = load_rules(sorted(sigmahq(tmp_path).glob("rules*")))
    assert again(found) == found


@pytest.mark.parametrize("item", [case[0] for case in CASES])
def test_every_kind_of_test_comes_back(tmp_path: Path, item: dict[str, Any]) -> None:
    path = written(tmp_path, rule({"a": item, "condition": "not a"}))
    found = load_rules([path], placeholders=PLACEHOLDERS)
    assert found.rules
    assert again(found) == found


def test_correlations_come_back(tmp_path: Path) -> None:
    base = rule({"a": {"f": "x"}, "condition": "a"}, name="base")
    upper = correlation(
        {
            "type": "value_percentile",
            "rules": ["base"],
            "timespan": "5m",
            "group-by": ["who"],
            "aliases": {"who": {"base": "user"}},
            "condition": {"field": "v", "percentile": 95, "gte": 5},
            "generate": True,
        }
    )
    found = load_rules([written(tmp_path, base, upper)])
    assert len(found.rules) == 2
    assert again(found) == found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(detection=detections())
def test_made_up_rules_come_back(tmp_path: Path, detection: dict[str, Any]) -> None:
    found = load_rules([written(tmp_path, rule(detection))])
    assert again(found) == found


def one(value: str) -> dict[str, Any]:
    return rule({"a": {"f": value}, "condition": "a"})


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path, store = written(tmp_path / "rules", one("x")), tmp_path / "store"
    first = load_stored([path.parent], store)
    assert load_stored([path.parent], store) == first == load_rules([path.parent])
    written(tmp_path / "rules", one("y"))
    assert load_stored([path.parent], store) == load_rules([path.parent]) != first
    (path.parent / "more.yml").write_text("{", encoding="utf-8")
    assert len(load_stored([path.parent], store).refused) == 1


def test_placeholders_are_part_of_what_is_stored(tmp_path: Path) -> None:
    path = written(tmp_path / "rules", rule({"a": {"f|expand": "%x%"}, "condition": "a"}))
    assert load_stored([path], tmp_path / "store").refused
    assert load_stored([path], tmp_path / "store", placeholders={"x": ("1",)}).rules
    assert load_stored([path], tmp_path / "store", placeholders={"x": ("2",)}) != load_stored(
        [path], tmp_path / "store", placeholders={"x": ("1",)}
    )


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"rules": [{}], "refused": [], "files": 1}', b"\x00\xff"])
def test_a_spoilt_store_is_read_anew_and_put_right(tmp_path: Path, data: bytes) -> None:
    path, store = written(tmp_path / "rules", one("x")), tmp_path / "store"
    good = load_stored([path], store)
    [stored] = store.glob("*.rules")
    right = stored.read_bytes()
    stored.write_bytes(data)
    assert load_stored([path], store) == good
    assert stored.read_bytes() == right


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_store_that_somebody_else_wrote_is_not_used(tmp_path: Path) -> None:
    path, store = written(tmp_path / "rules", one("x")), tmp_path / "store"
    load_stored([path], store)
    [stored] = store.glob("*.rules")
    stored.write_bytes(encode(RuleSet()))
    os.chown(stored, 65534, 65534)
    assert len(load_stored([path], store).rules) == 1


def test_a_store_that_cannot_be_written_is_no_loss(tmp_path: Path) -> None:
    path = written(tmp_path / "rules", one("x"))
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    assert len(load_stored([path], tmp_path / "file" / "store").rules) == 1


def test_reading_thousands_of_rules_does_not_wait_for_the_garbage_collector(tmp_path: Path) -> None:
    source = Path(__file__).parents[2] / "rules" / "detection"
    collected: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collected.append(info["generation"]) if phase == "start" else None

    load_stored([source], tmp_path)
    gc.collect()
    gc.callbacks.append(note)
    try:
        found = load_stored([source], tmp_path)
    finally:
        gc.callbacks.remove(note)
    assert len(found.rules) > 150
    assert len(collected) < 5  # before and after; there were dozens
    assert gc.isenabled()
