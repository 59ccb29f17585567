from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.alert.rule_files import load_inhibitions, load_weights
from secops.alert.severity import Entry, Severity, Weights, weigh
from secops.errors import UserError
from secops.records import Level
from secops.rule_source import content_dir

PORTAL = Entry(zh="门户网站", en="portal", weight=1, hosts=("portal-*",), networks=(ip_network("10.1.0.0/16"),))
CORE = Entry(zh="核心", en="core", weight=2, hosts=("portal-01",))
TEST = Entry(zh="测试", en="test", weight=-1, hosts=("*-test",))
WEIGHTS = Weights(
    assets=(PORTAL, CORE, TEST),
    tenants=(Entry(zh="卫健委", en="health", weight=1, tenants=("health",)),),
    tags=(Entry(zh="勒索", en="ransom", weight=1, tags=("attack.t1486*",)),),
)


def weighed(
    level: Level = Level.MEDIUM,
    *,
    tenant: str = "city",
    tags: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    addresses: tuple[str, ...] = (),
) -> Severity:
    return weigh(level, tenant=tenant, tags=tags, hosts=hosts, addresses=addresses, weights=WEIGHTS)


def test_the_level_alone_is_the_severity_and_its_only_reason() -> None:
    found = weighed()
    assert (found.level, [one.en for one in found.reasons]) == (Level.MEDIUM, ["the rule's level: medium"])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (weighed(hosts=("portal-02",)), Level.HIGH),
        (weighed(hosts=("PORTAL-01",)), Level.CRITICAL),  # the heavier asset, not both
        (weighed(addresses=("10.1.2.3",)), Level.HIGH),
        (weighed(addresses=("10.2.2.3", "not an address", "::1")), Level.MEDIUM),
        (weighed(tenant="health"), Level.HIGH),
        (weighed(tags=("attack.t1486.001",), tenant="health"), Level.CRITICAL),
        (weighed(hosts=("web-test",)), Level.LOW),
        (weighed(Level.LOW, hosts=("web-test",)), Level.LOW),
        (weighed(Level.CRITICAL, tenant="health"), Level.CRITICAL),
        (weighed(Level.INFORMATIONAL, hosts=("portal-01",), tenant="health"), Level.INFORMATIONAL),
    ],
)
def test_assets_tenants_and_tags_move_it_along_the_scale(found: Severity, expected: Level) -> None:
    assert found.level is expected


def test_each_step_is_told_in_both_languages() -> None:
    found = weighed(hosts=("portal-02",), tenant="health")
    assert [one.zh for one in found.reasons] == ["规则级别：中", "门户网站：+1", "卫健委：+1"]
    assert found.reasons[1].en == "portal: +1"


@given(
    st.sampled_from(list(Level)),
    st.lists(st.sampled_from(["portal-01", "portal-09", "web-test", "x"]), max_size=3),
    st.sampled_from(["health", "city"]),
)
def test_the_order_of_hosts_does_not_matter_and_a_tenant_with_weight_never_lowers(
    level: Level, hosts: list[str], tenant: str
) -> None:
    found = weighed(level, hosts=tuple(hosts), tenant=tenant)
    assert found == weighed(level, hosts=tuple(reversed(hosts)), tenant=tenant)
    assert found.level.rank >= weighed(level, hosts=tuple(hosts)).level.rank


def test_the_products_own_files_are_read() -> None:
    folder = content_dir() / "rules" / "alert"
    assert {one.name for one in load_inhibitions(folder / "inhibition.yaml")} >= {"ssh-account-taken-over"}
    weights = load_weights(folder / "severity.yaml")
    assert [entry.weight for entry in weights.assets if "*-grade3-*" in entry.hosts] == [1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("assets:\n  - {zh: 甲, en: a, weight: 1}", 2),
        ("assets:\n  - {zh: 甲, en: a, hosts: [x]}", 2),
        ("assets:\n  - {zh: 甲, en: a, hosts: [x], weight: 9}", 2),
        ("assets:\n  - {zh: 甲, en: a, hosts: [x], grade: 7}", 2),
        ("assets:\n  - {zh: 甲, en: a, networks: [10.0.0.1/8], weight: 1}", 2),
        ("tenants:\n  - {zh: 甲, en: a, hosts: [x], weight: 1}", 2),
    ],
)
def test_a_wrong_weight_is_refused_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "severity.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=f"severity.yaml:{line}: "):
        load_weights(file)


def test_a_wrong_inhibition_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "inhibition.yaml"
    good = "inhibitions:\n  - {name: a, source: [rule = x], target: [rule =~ y], equal: host.name, within_minutes: 5, zh: 因, en: why}\n"
    file.write_text(good)
    assert load_inhibitions(file)[0].equal == ("host.name",)
    for wrong in (good + good.splitlines()[1], good.replace("rule =~ y", "rule =~ ("), good.replace("zh: 因, ", "")):
        file.write_text(wrong)
        with pytest.raises(UserError, match=r"inhibition.yaml:\d: "):
            load_inhibitions(file)
