from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from secops.match.alike import ENOUGH, alike, texts_of
from secops.match.load import load_rules
from tests.match.conftest import Documents, rule
from tests.match.corpus import sigmahq

ROOT = Path(__file__).parents[2]
WORDS = st.sampled_from(["net user", "whoami", "4720", "/etc/shadow", "0x17"])
SELECTION = st.dictionaries(st.sampled_from(["A", "B", "C"]), WORDS, min_size=1)


def detection(selection: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"selection": selection, **more, "condition": " and ".join(["selection", *(f"not {one}" for one in more)])}


def test_names_of_fields_case_wildcards_and_exceptions_do_not_matter(load: Documents) -> None:
    first, second = load(
        rule(detection({"CommandLine|contains": ["NET USER", "/add"]})),
        rule(detection({"process.command_line": ["*net user*", "/ADD*"]}, ours={"User": "backup"}), 2),
    ).rules
    assert texts_of(first) == texts_of(second) == {"net user", "/add"}
    [pair] = alike([first], [second])
    assert (pair.rule, pair.like, pair.share) == (first, second, 1.0)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ({"product": "test"}, True),
        ({"product": "test", "service": "sshd"}, True),
        ({"product": "other"}, False),
        ({"category": "process_creation"}, False),
    ],
)
def test_only_rules_of_one_log_source_are_alike(load: Documents, source: dict[str, str], *, wanted: bool) -> None:
    first, second = load(
        rule(detection({"a": "needle"})), {**rule(detection({"a": "needle"}), 2), "logsource": source}
    ).rules
    assert bool(alike([first], [second])) is wanted


def test_what_every_rule_has_says_little(load: Documents) -> None:
    shell = [rule(detection({"Image|endswith": "powershell.exe", "x": f"own {n}"}), n) for n in range(1, 30)]
    found = load(*shell).rules
    assert alike(found[:1], found[1:]) == []
    assert alike(found[:1], found[:1]) == [], "a rule is not like itself"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(one=SELECTION, other=SELECTION)
def test_likeness_is_the_same_from_both_sides(load: Documents, one: dict[str, str], other: dict[str, str]) -> None:
    first, second = load(rule(detection(one)), rule(detection(other), 2)).rules
    forth, back = alike([first], [second], enough=0), alike([second], [first], enough=0)
    assert [pair.share for pair in forth] == [pair.share for pair in back]
    assert all(0 <= pair.share <= 1 for pair in forth)
    assert (forth[0].share == 1.0) == (texts_of(first) == texts_of(second))


def test_sigmahq_beside_our_own_pack(tmp_path: Path) -> None:
    own = [
        one
        for one in load_rules([ROOT / "rules" / part for part in ("detection", "correlation", "watch")]).rules
        if one.info.alert
    ]
    found = {pair.rule.info.title: pair.like.info.title for pair in alike(load_rules([sigmahq(tmp_path)]).rules, own)}
    assert found["Local User Creation"] == "Windows user account created"
    assert found["Unauthorized System Time Modification"] == "Windows clock set by hand"
    assert 5 <= len(found) <= 60, f"more than a person would look at, at {ENOUGH}"
