"""docs/rule-formats.md says what the loader does: its examples load, and it names every key of every kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from secops.cli.rule_examples import run_examples
from secops.match.kind import Keys, Place, kinds
from secops.match.load import load_rules
from secops.match.source import Block

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "rule-formats.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: re.search(r"title: (.*)", example)[1])
def test_every_example_of_the_page_loads_and_holds(tmp_path: Path, example: str) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "addresses.txt").write_text("192.0.2.0/24\n")
    (tmp_path / "rule.yml").write_text(example, encoding="utf-8")
    found = load_rules([tmp_path])
    assert found.refused == ()
    assert found.rules
    assert run_examples(found) == []


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_key_of_a_kind_is_on_the_page_and_no_other(kind: str) -> None:
    section = re.search(rf"^### {kind}\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None, f"docs/rule-formats.md has no section {kind}"
    rows = re.findall(r"^\| ((?:`[a-z_-]+`(?:, )?)+) \|", section[1], re.MULTILINE)
    documented = {key for row in rows for key in re.findall(r"`([a-z_-]+)`", row)}
    assert documented == asked(kind)


def asked(kind: str) -> set[str]:
    """The keys that the kind's reader asks for."""
    found: set[str] = set()

    class Asking(Keys):
        def value(self, key: str) -> object:
            found.add(key)
            return ANSWERS.get(key)

    kinds()[kind].read(Asking(Block()), Place(ROOT / "rules" / "watch", (ROOT / "rules",), ("city",)))
    return found


CONDITION = Block()
CONDITION["gt"] = 1
ANSWERS = {
    "condition": CONDITION,
    "fields": "f",
    "field": "f",
    "group-by": "g",
    "for": "1h",
    "learn": "1h",
    "memory": "1d",
    "least": 100,
    "days": 7,
    "share": 0.1,
    "indicator": "ip",
    "lists": "lists/addresses.txt",
}
