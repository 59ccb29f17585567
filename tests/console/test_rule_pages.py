"""Rules in the hands of officers: looked at, switched, excepted, written, tried, put in force."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest

from secops.alert.group import raise_alerts
from secops.console.charts import SHANGHAI
from secops.match.overrides import Tally
from secops.pipeline import _rule_exhibit
from secops.records import Match
from secops.rulebook import drafts, exceptions, folder, stats, switches
from tests.console.world import FAILED, World, send
from tests.waiting import wait_until

OWN = "ssh_failed_login"
DRAFT = """\
title: Failed logins of a guest
title_zh: 来宾登录失败
id: {id}
logsource: {{product: linux, service: sshd}}
detection:
  selection:
    event.action: ssh_login
    user.name: {user}
  condition: selection
level: low
"""


@pytest.fixture
def rule_id(world: World) -> str:
    """The id of a rule that everybody has."""
    return next(rule.id for rule in world.service.rules.rules if rule.name == OWN)


def test_the_list_shows_what_came_of_each_rule_and_sorts_by_it(world: World, rule_id: str) -> None:
    now = world.clock()
    micros = int(now.timestamp() * 1e6)
    with world.service.database.begin() as tx:
        stats.add(
            tx, {(rule_id, "city"): Tally(1234567, micros, 0, 0), (rule_id, "north"): Tally(5, micros, 0, 0)}, now
        )
        stats.add_costs(tx, {rule_id: (1000, 7500)})
    with world.client("officer") as client:
        page = client.get("/rules?sort=hits").text
        first = page.index(f"/rules/{rule_id}")
        assert page.index('href="/rules/', page.index("<tbody>")) == page.index(f'href="/rules/{rule_id}"')
        assert "1,234,572" in page[first : first + 3000]
        assert "7.5 µs" in page[first : first + 3000]
        assert f'href="/rules/{rule_id}"' in client.get("/rules?state=matched&level=low").text
        assert f'href="/rules/{rule_id}"' not in client.get("/rules?state=never").text
        assert "没有符合条件的规则" in client.get("/rules?q=no-such-rule").text
    with world.client("county") as client:
        page = client.get(f"/rules/{rule_id}").text
        assert "1,234" not in page, "another organisation's hits"


TWIN = """\
title: Local user made
id: twin-rule
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4720}
  condition: selection
level: low
"""


@pytest.fixture
def twin(world: World, tmp_path: Path) -> Iterator[str]:
    """An imported rule that looks like one of ours."""
    (tmp_path / "twin.yml").write_text(TWIN)
    target = world.service.imported_dir / "hq"
    folder.copy(tmp_path, target, tenant="", progress=lambda _done, _of: None)  # not noted: other tests count imports
    world.service.refresh_rules()
    yield "twin-rule"
    shutil.rmtree(target)
    world.service.refresh_rules()


def test_an_imported_rule_is_marked_in_lists_alerts_and_beside_the_one_of_ours_that_it_is_like(
    world: World, twin: str
) -> None:
    info = next(one.info for one in world.service.rules.rules if one.id == twin)
    hit = Match(tenant="city", rule_id=twin, at=world.clock(), event_ids=("0-1",))
    with world.service.database.begin() as tx:
        [alert] = raise_alerts(tx, [hit], {twin: info}, world.clock())
    with world.client("officer") as client:
        for path in ("/rules?origin=import:hq", f"/rules/{twin}", f"/alerts?rule={twin}", f"/alerts/{alert.id}"):
            page = client.get(path).text
            assert "Local user made" in page
            assert '<span class="tag plain">导入：hq</span>' in page, path
        assert "Local user made" not in client.get("/rules?origin=own&q=local user").text
        assert "product: windows, service: security" in client.get(f"/rules/{twin}").text
        assert "与另一条规则相似（100 %）" in client.get(f"/rules/{twin}").text
        assert "Local user made" in client.get("/rules/imports").text
        assert client.get(f"/api/v1/rules/{twin}").json()["imported"] == "hq"
        assert send(client, "/rules/imports", "/rules/imports/alike", reason=" ").status_code == 400
        assert send(client, "/rules/imports", "/rules/imports/alike", reason="自带规则已覆盖").status_code == 303
        assert "自带规则已覆盖" in client.get(f"/rules/{twin}").text
    with world.client("county") as client:
        assert send(client, "/rules", "/rules/imports/alike", reason="x").status_code == 403


def test_a_rule_s_page_shows_its_text_its_relations_and_plain_examples(world: World, rule_id: str) -> None:
    with world.client("officer") as client:
        page = client.get(f"/rules/{rule_id}").text
    assert "Failed password" in page
    assert "\\u" not in page
    assert "event.action: ssh_login" in page
    assert "SSH 暴力破解" in page, "the correlation that it feeds"
    assert 'href="/runbooks/ssh-brute-force.md"' in page


def test_an_officer_switches_a_rule_off_for_his_own_tenant_only(world: World, rule_id: str) -> None:
    path = f"/rules/{rule_id}"
    with world.client("county") as client:
        answer = send(client, path, f"{path}/switch", tenant="north", enabled="no", reason="")
        assert answer.status_code == 400, "no reason"
        assert 'role="alert"' in answer.text
        assert send(client, path, f"{path}/switch", tenant="*", enabled="no", reason="x").status_code == 403
        assert send(client, path, f"{path}/switch", tenant="city", enabled="no", reason="x").status_code == 403
        done = send(client, path, f"{path}/switch", tenant="north", enabled="no", reason="测试网段，误报多")
        assert done.status_code == 303
        assert "测试网段，误报多" in client.get(path).text
    with world.service.database.read() as tx:
        assert {tenant for tenant, one in switches.off(tx) if one == rule_id} == {"north"}
    with world.client("inspector") as client:
        assert client.get("/rules").status_code == 403
    with world.client("keeper") as client:
        assert send(client, path, f"{path}/switch", tenant="*", enabled="no", reason="全市停用").status_code == 303


def test_an_exception_is_added_with_an_end_and_ended(world: World, rule_id: str) -> None:
    path = f"/rules/{rule_id}"
    tomorrow = (world.clock() + timedelta(days=1)).strftime("%Y-%m-%d")
    with world.client("officer") as client:
        wrong = send(client, path, f"{path}/exceptions", tenant="city", condition="a: [", reason="x")
        assert wrong.status_code == 400
        assert "a: [" in wrong.text, "what was typed is kept"
        late = send(
            client, path, f"{path}/exceptions", tenant="city", condition="a: b", reason="x", expires="2020-01-01"
        )
        assert late.status_code == 400
        done = send(
            client, path, f"{path}/exceptions", tenant="city", condition="source.ip|cidr: 10.8.0.0/16",
            reason="漏洞扫描", expires=tomorrow,
        )  # fmt: skip
        assert done.status_code == 303
        page = client.get(path).text
        assert "10.8.0.0/16" in page
        number = re.search(rf"{path}/exceptions/(\d+)/end", page)
        assert number is not None
        end = f"{path}/exceptions/{number[1]}/end"
        with world.client("county") as other:
            assert send(other, path, end, reason="x").status_code == 403
        assert send(client, path, end, reason="扫描结束").status_code == 303
    with world.service.database.read() as tx:
        (kept,) = exceptions.of(tx, rule_id)
        assert not kept.active(world.clock())


def test_a_rule_is_written_tried_and_put_in_force(world: World) -> None:
    rule_id, user = str(uuid.uuid4()), f"guest-{uuid.uuid4().hex[:6]}"
    text = DRAFT.format(id=rule_id, user=user)
    at = world.clock().astimezone(SHANGHAI)
    world.ingest(*[FAILED.format(at=at, host="gw-7", user=user, ip="203.0.113.77")] * 3)
    with world.client("officer") as client:
        assert "logsource" in client.get("/rules/new").text
        refused = send(client, "/rules/new", "/rules/preview", text="title: x", range="1h")
        assert refused.status_code == 400
        assert "第 1 行" in refused.text
        begun = send(client, "/rules/new", "/rules/preview", text=text, range="1h")
        assert begun.status_code == 303
        job = begun.headers["location"]
        page = wait_until(lambda: text_without(client, job, "<progress"), 60)
        assert re.search(r"<b>3</b>\s*命中", page), page
        assert "gw-7" in page
        with world.client("county") as other:
            assert other.get(job).status_code == 404, "somebody else's trial"
        assert send(client, "/rules/new", "/rules/publish", text=text, reason="").status_code == 400
        done = send(client, "/rules/new", "/rules/publish", text=text, reason="来宾账号清理")
        assert done.headers["location"].startswith(f"/rules/{rule_id}")
        page = client.get(f"/rules/{rule_id}").text
        assert "来宾登录失败" in page
        assert "来宾账号清理" in page
        second = send(client, "/rules/new", "/rules/publish", text=text.replace("low", "high"), reason="改级别")
        assert second.status_code == 303
        assert "第 2 版" in client.get(f"/rules/{rule_id}").text
        assert send(client, f"/rules/{rule_id}", f"/rules/{rule_id}/withdraw", reason="完成").status_code == 303
        assert client.get(f"/rules/{rule_id}").status_code == 404
    with world.service.database.read() as tx:
        assert [one.version for one in drafts.versions(tx, rule_id)] == [2, 1]


def text_without(client: httpx.Client, path: str, word: str) -> str:
    """The page once it does not hold ``word`` any more, else nothing."""
    text = client.get(path).text
    return "" if word in text else text


def test_a_county_writes_rules_for_itself_only_and_nobody_replaces_a_rule_of_a_file(world: World, rule_id: str) -> None:
    own = DRAFT.format(id=uuid.uuid4(), user="x")
    with world.client("county") as client:
        assert send(client, "/rules/new", "/rules/publish", text=own, reason="x").status_code == 403
        for_city = f"{own}tenants: [city]\n"
        assert send(client, "/rules/new", "/rules/publish", text=for_city, reason="x").status_code == 403
        mine = f"{own}tenants: [north]\n"
        assert send(client, "/rules/new", "/rules/publish", text=mine, reason="x").status_code == 303
    with world.client("officer") as client:
        taken = send(client, "/rules/new", "/rules/publish", text=DRAFT.format(id=rule_id, user="x"), reason="x")
        assert taken.status_code == 400
        assert rule_id in taken.text


def test_a_county_hears_nothing_of_others_own_rules(world: World, rule_id: str) -> None:
    upper = str(uuid.uuid4())
    text = (
        f"title: Only the city knows this\nid: {upper}\ntenants: [city]\nlevel: high\ntags: [attack.impact, attack.t1666]\n"
        f"correlation: {{type: event_count, rules: [{rule_id}], timespan: 1m, group-by: [host.name], condition: {{gte: 9}}}}\n"
    )
    pages = (
        f"/rules/{rule_id}",
        f"/alerts?rule={upper}",
        "/alerts/attack",
        "/alerts/noise",
        "/rules",
        "/api/v1/rules?limit=1000",
    )
    with world.client("officer") as client:
        assert send(client, "/rules/new", "/rules/publish", text=text, reason="x").status_code == 303
        for path in (f"/rules/{rule_id}", f"/alerts?rule={upper}"):
            assert "Only the city knows this" in client.get(path).text
        assert "T1666" in client.get("/alerts/attack").text
    with world.client("county") as client:
        for path in pages:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert "Only the city knows this" not in answer.text, path
            assert "T1666" not in answer.text, path
        for path in (f"/rules/{upper}", f"/rules/new?from={upper}", f"/api/v1/rules/{upper}"):
            assert client.get(path).status_code == 404, path
    with world.client("officer") as client:
        assert send(client, f"/rules/{upper}", f"/rules/{upper}/withdraw", reason="x").status_code == 303


def test_an_id_stays_with_those_it_was_used_for_after_the_rule_is_withdrawn(world: World) -> None:
    one, reason = str(uuid.uuid4()), "a reason only the city knows"
    text = DRAFT.format(id=one, user="x")
    with world.client("officer") as client:
        assert send(client, "/rules/new", "/rules/publish", text=text, reason=reason).status_code == 303
        assert send(client, f"/rules/{one}", f"/rules/{one}/withdraw", reason="x").status_code == 303
    with world.client("county") as client:
        assert (
            send(client, "/rules/new", "/rules/publish", text=f"{text}tenants: [north]\n", reason="x").status_code
            == 403
        )
        assert reason not in client.get(f"/rules/{one}").text
    with world.client("officer") as client:
        assert (
            send(client, "/rules/new", "/rules/publish", text=f"{text}tenants: [north]\n", reason="x").status_code
            == 303
        )
    with world.client("county") as client:
        assert send(client, f"/rules/{one}", f"/rules/{one}/withdraw", reason="x").status_code == 303
        assert (
            send(client, "/rules/new", "/rules/publish", text=f"{text}tenants: [north]\n", reason="x").status_code
            == 303
        )
        assert send(client, f"/rules/{one}", f"/rules/{one}/withdraw", reason="x").status_code == 303


def test_what_a_version_changed_is_shown_and_an_earlier_text_is_a_click_away(world: World) -> None:
    one = str(uuid.uuid4())
    first, second = (DRAFT.format(id=one, user=user) for user in ("guest-1", "guest-2"))
    with world.client("officer") as client:
        for text in (first, second):
            assert send(client, "/rules/new", "/rules/publish", text=text, reason="r").status_code == 303
        page = unescape(client.get(f"/rules/{one}").text)
        assert "-    user.name: guest-1\n+    user.name: guest-2" in page
        back = f"/rules/new?from={one}&version=1"
        assert back in page
        assert f"from={one}&version=2" not in page, "that is what runs"
        assert "guest-1" in client.get(back).text
        for wrong in ("3", "0", "x", "99999999999999999999"):
            assert client.get(f"/rules/new?from={one}&version={wrong}").status_code == 404
        assert send(client, f"/rules/{one}", f"/rules/{one}/withdraw", reason="too loud").status_code == 303
        assert f"from={one}&version=2" in unescape(client.get("/rules").text), "out of force is not out of reach"
        assert client.get("/rules").text.count("来宾登录失败") >= 1
    with world.client("county") as client:
        assert client.get(back).status_code == 200, "it was everybody's"


def test_an_earlier_text_about_others_stays_theirs(world: World) -> None:
    one = str(uuid.uuid4())
    text = DRAFT.format(id=one, user="only-the-city-knows")
    with world.client("officer") as client:
        for more in ("tenants: [city]\n", "tenants: [north]\n"):
            assert send(client, "/rules/new", "/rules/publish", text=text + more, reason="r").status_code == 303
            text = text.replace("only-the-city-knows", "x")
    with world.client("county") as client:
        page = client.get(f"/rules/{one}").text
        assert "only-the-city-knows" not in page
        assert client.get(f"/rules/new?from={one}&version=1").status_code == 404
        assert client.get(f"/rules/new?from={one}&version=2").status_code == 200


def test_a_text_that_is_too_long_is_refused_and_not_cut(world: World) -> None:
    rule_id = str(uuid.uuid4())
    text = DRAFT.format(id=rule_id, user="x") + "# " + "x" * 20_000 + "\ntenants: [city]\n"
    with world.client("officer") as client:
        for path in ("/rules/preview", "/rules/publish"):
            answer = send(client, "/rules/new", path, text=text, reason="x", range="1h")
            assert answer.status_code == 400, path
            assert "20000" in answer.text
        assert client.get(f"/rules/{rule_id}").status_code == 404


def test_a_condition_that_is_too_long_is_refused_and_not_cut(world: World, rule_id: str) -> None:
    path = f"/rules/{rule_id}"
    condition = "user.name: backup\n" + f"# {'x' * 100}\n" * 250 + "source.ip: 192.0.2.1\n"
    with world.client("officer") as client:
        answer = send(client, path, f"{path}/exceptions", tenant="city", condition=condition, reason="too long")
        assert answer.status_code == 400
    with world.service.database.read() as tx:
        assert "too long" not in {one.reason for one in exceptions.of(tx, rule_id)}


def test_a_county_s_evidence_holds_no_other_county_s_rules(world: World) -> None:
    """One file of rules may hold rules of several organisations; a pack leaves the house."""
    folder = world.service.console_rules_dir
    folder.mkdir(parents=True, exist_ok=True)
    texts = [DRAFT.format(id=name, user=f"secret-of-{name}") + f"tenants: [{name}]\n" for name in ("city", "north")]
    path = folder / "together.yml"
    path.write_text("---\n".join(texts), encoding="utf-8")
    try:
        world.service.refresh_rules()
        alert = world.brute_force("198.51.100.99", tenant="north")
        exhibit = _rule_exhibit(world.service, replace(alert, rule_id="north"))
        assert exhibit is not None
        assert b"secret-of-north" in exhibit.content
        assert b"secret-of-city" not in exhibit.content
    finally:
        path.unlink()
        world.service.refresh_rules()
