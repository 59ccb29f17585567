"""SigmaHQ's regression samples as event files: uploaded, they give the very hits that the samples give as they are."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from monitors.files import reading
from monitors.files.packed import Bounds
from monitors.files.table import Layout
from monitors.record import Record
from secops.match.engine import Engine
from secops.match.load import load_rules
from secops.match.rule import RuleSet
from secops.match.scan import Databases
from secops.normalise import normalise
from secops.records import Event
from tests.match.corpus import sigmahq
from tests.match.test_corpus import samples
from tests.uploads.evtx_writer import evtx

pytestmark = pytest.mark.timeout(900)
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sigmahq(tmp_path_factory.mktemp("sigmahq"))


@pytest.fixture(scope="module")
def rules(folder: Path) -> RuleSet:
    return load_rules(sorted(folder.glob("rules*")))


def events(documents: list[bytes], form: str) -> list[Event]:
    return normalise([Record(raw, NOW, "upload", "upload:/sample", "city", form) for raw in documents])


def uploaded(path: Path, data: bytes, kind: str) -> list[Event]:
    path.write_bytes(data)
    found = [part.piece for part in reading.read(path, kind, Layout(), Bounds(1 << 30, 1000))]
    assert not [piece for piece in found if piece.error]
    wrapped = [
        b'{"file":"sample","at":"' + piece.at.encode() + b'","document":' + piece.document + b"}" for piece in found
    ]
    return events(wrapped, "upload")


def test_samples_hit_as_files_of_events_and_of_json(folder: Path, rules: RuleSet, tmp_path: Path) -> None:
    engine = Engine(rules.rules, databases=Databases(tmp_path / "databases"))
    tried, apart, missed = 0, [], []
    for info in sorted((folder / "regression_data").rglob("info.yml")):
        wanted = yaml.safe_load(info.read_text(encoding="utf-8"))["rule_metadata"][0]["id"]
        documents: list[dict[str, Any]] = [one for path in info.parent.glob("*.json") for one in samples(path)]
        whole = [one for one in documents if "Event" in one]
        if not whole:
            continue
        tried += 1
        plain = events([orjson.dumps(one) for one in whole], "json")
        by_json = uploaded(
            tmp_path / "sample", b"\n".join(orjson.dumps(one, option=orjson.OPT_INDENT_2) for one in whole), "json"
        )
        by_evtx = uploaded(tmp_path / "sample", evtx(whole), "evtx")
        hits = [sorted((hit.rule_id, hit.index) for hit in engine.match(each)) for each in (plain, by_json, by_evtx)]
        if not hits[0] == hits[1] == hits[2]:
            apart.append((info.parent.name, hits))
        if wanted not in {rule_id for rule_id, _ in hits[2]}:
            missed.append(info.parent.name)
    assert (tried, apart, missed) == (202, [], [])
