"""The pages of alerts: list and filters, one alert and why, silences, maintenance windows, noise, coverage, runbooks."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from secops.alert import find, queries, silences
from secops.alert.controls import Controls
from secops.alert.group import raise_alerts
from secops.audit import last
from secops.console.runbooks import render, runbook
from secops.records import Alert, Level, Match, RuleInfo
from secops.rule_source import content_dir
from tests.console.world import RULE, World, form_token, open_page, send

PAGES = ["/alerts?sort=severity&muted=no&q=x&tactic=TA0006", "/alerts/silences", "/alerts/maintenance", "/alerts/noise", "/alerts/noise?days=7", "/alerts/attack", "/runbooks/alert-noise.md"]  # fmt: skip


def raised(world: World, *matches: Match, rule: RuleInfo = RULE, controls: Controls | None = None) -> list[Alert]:
    with world.service.database.begin() as tx:
        return raise_alerts(tx, list(matches), {rule.id: rule}, world.clock(), controls or world.service.alert_controls)


def match(world: World, ip: str, *, tenant: str = "city", host: str = "", rule: str = RULE.id) -> Match:
    about = {"host.name": host} if host else {}
    return Match(
        tenant=tenant,
        rule_id=rule,
        at=world.clock(),
        event_ids=(),
        group=(("source.ip", ip),),
        about=about,
        fields={"event.action": "try"},
    )


def now_shown(world: World, alert: Alert) -> Alert:
    with world.service.database.read() as tx:
        return queries.get(tx, alert.id)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_for_who_reads_alerts_in_both_languages_and_in_time(world: World, path: str) -> None:
    raised(world, match(world, "198.51.100.1"))
    assert world.service.rules.rules, "read before the clock starts: the first page that needs them reads them"
    for username in ("officer", "inspector", "county"):
        for lang in ("zh", "en"):
            with world.client(username, lang=lang) as client:
                assert "%(" not in open_page(client, path, within=1).text
    with world.client("servant") as client:
        runbook = path.startswith("/runbooks/")  # for whoever is signed in: they hold no secret, and help at a ticket
        assert client.get(path).status_code == (200 if runbook else 403)


def test_the_list_is_searched_filtered_and_sorted(world: World) -> None:
    grave = RuleInfo(
        id="grave",
        title="Grave",
        title_zh="严重的事",
        level=Level.CRITICAL,
        tags=("attack.impact",),
        group_by=("source.ip",),
    )
    [alert] = raised(world, match(world, "198.51.100.20", host="db-20", rule="grave"), rule=grave)
    [other] = raised(world, match(world, "198.51.100.21"))
    with world.client("officer") as client:

        def listed(query: str) -> list[int]:
            text = client.get(f"/alerts?{query}").text.split('id="alerts"')[1]
            return [int(number) for number in re.findall(r'href="/alerts/(\d+)"', text)]

        assert listed("q=DB-20") == listed("q=严重 198.51.100.20") == listed("rule=grave") == [alert.id]
        assert alert.id in listed("tactic=TA0040")
        assert other.id not in listed("tactic=TA0040")
        assert listed("severity=critical&q=198.51.100.21") == listed("tenant=north&q=198.51.100.2") == []
        assert listed("sort=severity&status=any")[0] == max(listed("severity=critical&status=any"))
        assert listed("q=198.51.100.2&sort=nonsense&skip=-1&before=x&level=y")[:2] == [other.id, alert.id]


def test_pages_of_the_list_lead_on_in_every_order(world: World) -> None:
    raised(world, *(match(world, f"203.0.114.{i}") for i in range(60)))
    with world.client("officer") as client:
        for sort in ("newest", "count"):
            seen: list[str] = []
            path = f"/alerts?q=203.0.114&sort={sort}"
            while path:
                text = client.get(path).text
                seen += re.findall(r'href="/alerts/(\d+)"', text.split('id="alerts"')[1])
                found = re.search(r'href="([^"]+)">下一页', text)
                path = found[1].replace("&amp;", "&") if found else ""
            assert len(seen) == len(set(seen)) == 60


def test_an_alert_says_why_and_leads_to_rule_and_runbook_by_name(world: World) -> None:
    [rule] = [one.info for one in world.service.rules.rules if one.info.title == "SSH brute force"]
    [alert] = raised(world, match(world, "198.51.100.30", host="bastion-30", rule=rule.id), rule=rule)
    with world.client("officer") as client:
        page = client.get(f"/alerts/{alert.id}").text
        assert f'<a href="/rules/{rule.id}">{rule.title_zh}</a>' in page
        assert '<a href="/runbooks/ssh-brute-force.md">' in page
        assert "event.action" in page
        assert "堡垒机：+1" in page, "why it is graver than its rule"
        assert "凭据访问" in page
        assert "T1110" in page
        shown = client.get("/runbooks/ssh-brute-force.md").text
        assert "<ol>" in shown
        assert "SSH 暴力破解与异常登录" in shown
        for wrong in ("/runbooks/nothing.md", "/runbooks/..%2Fpyproject.toml", "/runbooks/README", "/runbooks/.md"):
            assert client.get(wrong).status_code == 404


def test_a_silence_is_made_from_an_alert_looked_at_beforehand_and_ended(world: World) -> None:
    [alert] = raised(world, match(world, "198.51.100.40"))
    with world.client("officer") as client:
        assert f"/alerts/silences?alert={alert.id}" in client.get(f"/alerts/{alert.id}").text
        form = client.get(f"/alerts/silences?alert={alert.id}").text
        assert f"rule = {RULE.id}\nsource.ip = 198.51.100.40</textarea>" in form
        assert "1 条告警" in form, "the preview is there at once"
        asked = {
            "matchers": f"rule = {RULE.id}\r\nsource.ip ~ 198.51.100.4*",
            "tenant": "city",
            "hours": "2",
            "reason": "演练 <b>",
        }
        looked = send(client, "/alerts/silences", "/alerts/silences/preview", **asked)
        assert looked.status_code == 200
        assert "1 条告警" in looked.text
        assert "演练 &lt;b&gt;</textarea>" in looked.text, "what was typed is kept"
        assert send(client, "/alerts/silences", "/alerts/silences", **asked | {"reason": " "}).status_code == 400
        assert (
            send(client, "/alerts/silences", "/alerts/silences", **asked | {"matchers": "tenant = city"}).status_code
            == 400
        )
        refused = send(client, "/alerts/silences", "/alerts/silences", **asked | {"hours": "x"})
        assert refused.status_code == 400
        assert "请选择时长" in refused.text
        assert "演练 &lt;b&gt;</textarea>" in refused.text, "what was typed is still there"
        token = {"form_token": form_token(client.get("/alerts/silences")), **asked, "matchers": "nonsense"}
        preview = client.post("/alerts/silences/preview", data=token, headers={"origin": world.origin})
        assert preview.status_code == 400
        assert "nonsense" in preview.text
        made = send(client, "/alerts/silences", "/alerts/silences", **asked)
        assert made.headers["location"] == "/alerts/silences?done=silenced"
        with world.service.database.read() as tx:
            row = last(tx, "silence.add")
        assert row is not None
        assert (row.actor, row.tenant, row.source_ip) == ("officer", "city", "127.0.0.1")
        number = row.target.removeprefix("silence:")
        [quiet] = raised(world, match(world, "198.51.100.41"))
        page = client.get(f"/alerts/{quiet.id}").text
        assert f"静默 #{number}" in page
        assert "未开工单" in page
        assert f"/alerts/{quiet.id}" in client.get("/alerts?muted=yes").text
        assert f"/alerts/{quiet.id}" not in client.get("/alerts?muted=no&q=198.51.100.41").text.split('id="alerts"')[1]
        path = f"/alerts/silences/{number}/end"
        assert send(client, "/alerts/silences", path, reason="演练结束").headers["location"].endswith("done=unsilenced")
        assert send(client, "/alerts/silences", path, reason="again").status_code == 400
        raised(world, match(world, "198.51.100.41"))
        assert now_shown(world, quiet).announced_at is not None


def test_who_may_not_triage_may_not_mute_and_a_county_mutes_its_own_only(world: World) -> None:
    asked = {"matchers": "rule = x", "hours": "1", "reason": "r"}
    [other] = raised(world, match(world, "198.51.100.50"))
    with world.client("inspector") as client:
        page = client.get("/alerts/silences").text
        assert "新建静默" not in page
        for path in ("/alerts/silences", "/alerts/silences/preview", "/alerts/maintenance"):
            assert send(client, "/me", path, tenant="city", **asked).status_code == 403
    with world.client("county") as client:
        assert "所有单位" not in client.get("/alerts/silences").text
        for tenant in ("", "city"):
            for path in ("/alerts/silences", "/alerts/silences/preview"):
                assert send(client, "/alerts/silences", path, tenant=tenant, **asked).status_code == 403
        assert send(client, "/alerts/silences", "/alerts/silences", tenant="north", **asked).status_code == 303
        assert client.get(f"/alerts/silences?alert={other.id}").status_code == 404
        looked = send(
            client,
            "/alerts/silences",
            "/alerts/silences/preview",
            tenant="north",
            **asked | {"matchers": f"rule = {RULE.id}"},
        )
        assert "198.51.100.50" not in looked.text
    with world.client("officer") as client:
        send(
            client, "/alerts/silences", "/alerts/silences", tenant="", **asked | {"matchers": "rule = everywhere-mark"}
        )
    with world.client("county") as client:
        assert "everywhere-mark" not in client.get("/alerts/silences").text
        with world.service.database.read() as tx:
            row = last(tx, "silence.add")
        assert row is not None
        assert send(client, "/alerts/silences", f"/alerts/silences/{row.target[8:]}/end", reason="r").status_code == 404


def test_a_maintenance_window_is_announced_mutes_and_is_ended(world: World) -> None:
    begin, end = (f"{world.clock().astimezone() + timedelta(hours=h):%Y-%m-%dT%H:%M}+00:00" for h in (-1, 3))
    asked = {
        "change": "BG-77",
        "tenant": "city",
        "hosts": "mx-*\r\nmx2-*",
        "reason": "换盘",
        "from": begin,
        "to": end,
        "repeat": "once",
    }
    with world.client("officer") as client:
        for wrong in (
            {"change": ""},
            {"from": "soon"},
            {"to": begin},
            {"repeat": "weekly"},
            {"repeat": "monthly", "monthdays": "99", "opens": "1:00"},
        ):
            refused = send(client, "/alerts/maintenance", "/alerts/maintenance", **asked | wrong)
            assert refused.status_code == 400, wrong
            assert 'role="alert"' in refused.text
            assert "mx2-*" in refused.text, "what was typed is still there"
            assert wrong.get("change", "BG-77") in refused.text
        assert send(client, "/alerts/maintenance", "/alerts/maintenance", **asked).status_code == 303
        weekly = asked | {
            "change": "BG-78",
            "hosts": "nobody",
            "repeat": "weekly",
            "weekday": ["1", "7"],
            "opens": "22:00",
            "closes": "02:00",
        }
        assert send(client, "/alerts/maintenance", "/alerts/maintenance", **weekly).status_code == 303
        page = client.get("/alerts/maintenance").text
        assert "周一 周日 22:00–02:00" in page
        [quiet] = raised(world, match(world, "198.51.100.60", host="MX2-01"))
        assert "BG-77" in client.get(f"/alerts/{quiet.id}").text
        with world.service.database.read() as tx:
            row = last(tx, "maintenance.add")
        assert row is not None
        number = int(row.target.split(":")[1])
        for each in (number, number - 1):
            assert (
                send(client, "/alerts/maintenance", f"/alerts/maintenance/{each}/end", reason="完成").status_code == 303
            )
        path = f"/alerts/maintenance/{number}/end"
        assert send(client, "/alerts/maintenance", path, reason="r").status_code == 400
        data = {"form_token": form_token(client.get("/alerts/maintenance")), "reason": "r"}
        for referer, back in ((f"{world.origin}/alerts/maintenance?x=1", True), ("https://evil.example/alerts", False)):
            refused = client.post(path, data=data, headers={"origin": world.origin, "referer": referer})
            assert ("返回表单" in refused.text) is back
            assert "evil" not in refused.text
        assert send(client, "/alerts/maintenance", "/alerts/maintenance/999999/end", reason="r").status_code == 404


def test_a_storms_parts_are_shown_and_found(world: World) -> None:
    rule = RuleInfo(id="stormy", title="Stormy", title_zh="暴雨", level=Level.LOW, group_by=("source.ip",))
    raised(
        world,
        *(match(world, f"10.99.0.{i}", rule="stormy") for i in range(30)),
        rule=rule,
        controls=Controls(storm_alerts=3),
    )
    with world.service.database.read() as tx:
        [storm] = [one for one in find.search(tx, find.Filter(rule_id="stormy")) if one.storm]
    with world.client("officer") as client:
        page = client.get(f"/alerts/{storm.id}").text
        assert "规则风暴：暴雨" in page
        assert "10.99.0.29" in page
        found = client.get(f"/alerts/{storm.id}?part=10.99.0.17").text.split('id="parts"')[1]
        assert "10.99.0.17" in found
        assert "10.99.0.29" not in found
        assert f"/alerts/{storm.id}" in client.get("/alerts?q=10.99.0.17").text


def test_the_noise_report_and_the_coverage_show_their_figures(world: World) -> None:
    [alert] = raised(world, match(world, "198.51.100.70"))
    with world.client("officer") as client:
        send(client, f"/alerts/{alert.id}", f"/alerts/{alert.id}/close", disposition="false_positive", reason="r")
        page = client.get("/alerts/noise").text
        assert RULE.title_zh in page
        assert page.count('<svg class="chart"') == 2
        matrix = client.get("/alerts/attack").text
        assert matrix.count("TA00") >= 14
        assert "凭据访问" in matrix
        assert "T1110.001 猜测口令" in matrix
    with world.client("county") as client:
        assert "198.51.100.70" not in client.get("/alerts/noise").text


def test_runbooks_are_rendered_without_html_or_scripts_of_their_own() -> None:
    page = str(
        render("<script>alert(1)</script>\n\n[x](javascript:alert(1)) **b** <b onclick=x>\n\n|a|b|\n|-|-|\n|1|2|\n")
    )
    assert "<script" not in page
    assert "<b onclick" not in page
    assert 'href="javascript' not in page
    assert "<strong>b</strong>" in page
    assert "<td>1</td>" in page


def test_only_runbooks_are_runbooks() -> None:
    folder = content_dir() / "runbooks"
    assert runbook(folder, "install.md") == folder / "install.md"
    for name in ("", "../README.md", "/etc/passwd", "install", "Install.md\n", "."):
        assert runbook(folder, name) is None


def test_programs_read_silences_windows_and_noise_of_their_tenants(world: World) -> None:
    now = world.clock()
    with world.service.database.begin() as tx:
        for tenant in ("city", "north"):
            silences.add(
                tx,
                tenant=tenant,
                matching=[f"rule = api-{tenant}"],
                starts_at=now,
                ends_at=now + timedelta(hours=1),
                reason="r",
                author="a",
                now=now,
            )
    raised(world, match(world, "198.51.100.80", tenant="north"), match(world, "198.51.100.81"))
    with world.client("county") as client:
        text = client.get("/api/v1/silences").text
        assert "api-north" in text
        assert "api-city" not in text
        assert client.get("/api/v1/maintenance-windows").json() == {"windows": []}
        [row] = client.get("/api/v1/noise?days=1").json()["rules"]
        assert (row["rule_id"], row["share"]) == (RULE.id, 1.0)
        found = client.get("/api/v1/alerts?text=198.51.100.8&muted=false").json()["alerts"]
        assert [one["group"]["source.ip"] for one in found] == ["198.51.100.80"]
        assert client.get("/api/v1/noise?days=0").status_code == 400
    with world.client("servant") as client:
        assert client.get("/api/v1/silences").status_code == 403
