"""Each page in the hands of those it is for, and out of the hands of the others."""

from __future__ import annotations

import re
from contextlib import closing
from itertools import count

import orjson
import pytest

from identity.principal import Role
from secops.alert import queries
from secops.console import events
from secops.console.people import PAGE as PEOPLE_PAGE
from secops.records import Level
from secops.store.index import Query
from secops.store.sqlite import SqliteIndex
from secops.ticket import desk
from tests.console.world import World, open_page, send

PAGES_OF = {
    "admin": ["/", "/people", "/me"],
    "keeper": ["/", "/people", "/rules", "/me"],
    "auditor": ["/", "/audit", "/audit?check=1", "/me"],
    "officer": ["/", "/events", "/alerts", "/alerts?status=any", "/tickets", "/evidence", "/rules", "/me"],
    "inspector": ["/", "/events", "/alerts", "/tickets", "/evidence", "/me"],
    "fixer": ["/", "/tickets", "/me"],
    "servant": ["/", "/me"],
}
SLOWEST = 1.0  # seconds a page may take


def test_every_page_opens_in_both_languages_and_in_time(world: World) -> None:
    world.brute_force("203.0.113.1")
    for username, paths in PAGES_OF.items():
        for lang in ("zh", "en"):
            with world.client(username, lang=lang) as client:
                for path in paths:
                    page = open_page(client, path, SLOWEST)
                    assert "%(" not in page.text, path
                    chinese = re.search(
                        r"[\u4e00-\u9fff]",
                        page.text.split("<main")[0].replace("中文", "").replace("同志", "").replace("管理员", ""),
                    )
                    assert (chinese is not None) is (lang == "zh"), path


def test_an_alert_is_acknowledged_and_closed_with_a_reason(world: World) -> None:
    alert = world.brute_force("203.0.113.20")
    path = f"/alerts/{alert.id}"
    with world.client("officer") as client:
        page = client.get(path)
        assert "SSH 暴力破解" in page.text
        assert page.text.count("Failed password") == 5
        assert (
            send(client, path, f"{path}/acknowledge", reason="在看").headers["location"] == f"{path}?done=acknowledged"
        )
        assert send(client, path, f"{path}/acknowledge").status_code == 409, "twice"
        assert send(client, path, f"{path}/close", disposition="benign", reason=" ").status_code == 400
        assert send(client, path, f"{path}/close", disposition="nonsense", reason="x").status_code == 400
        assert send(client, path, f"{path}/close", disposition="benign", reason="演练 <script>").status_code == 303
        page = client.get(path)
        assert "演练 &lt;script&gt;" in page.text
        assert "属实但无害" in page.text
    with world.client("inspector") as client:
        token_page = client.get(path)
        assert "关闭告警" not in token_page.text
        assert send(client, path, f"{path}/close", disposition="benign", reason="x").status_code == 403


def test_a_ticket_goes_from_the_officer_to_the_contractor_and_back(world: World) -> None:
    alert = world.brute_force("203.0.113.30")
    with world.service.database.read() as tx:
        ticket = desk.for_alert(tx, alert.id)
    assert ticket is not None
    path = f"/tickets/{ticket.id}"
    with world.client("officer") as officer, world.client("fixer") as fixer, world.client("rival") as rival:
        assert fixer.get(path).status_code == 404, "not his yet"
        assert "<progress" in officer.get(path).text
        assert send(officer, path, f"{path}/answer").status_code == 403, "answering is the contractor's"
        assert send(officer, path, f"{path}/assign", assignee="fixers").status_code == 303
        assert rival.get(path).status_code == 404
        assert '<a href="/runbooks/ssh-brute-force.md">' in fixer.get(path).text, "who works at it may read what to do"
        assert fixer.get("/runbooks/ssh-brute-force.md").status_code == 200
        assert send(rival, "/me", f"{path}/answer").status_code == 404
        assert f"/tickets/{ticket.id}" in fixer.get("/tickets").text
        assert f"/tickets/{ticket.id}" not in rival.get("/tickets").text
        assert send(fixer, path, f"{path}/resolve").status_code == 400, "without what was done"
        assert send(fixer, path, f"{path}/answer", text="收到").status_code == 303
        until = f"{world.clock():%Y-%m-%d}T23:59"
        assert send(fixer, path, f"{path}/pause", reason="等配件", evidence="单号 7", until="soon").status_code == 400
        assert send(fixer, path, f"{path}/assign", assignee="fixers").status_code == 403
        assert send(fixer, path, f"{path}/nonsense").status_code == 404
        assert until
        assert send(fixer, path, f"{path}/resolve", resolution="已封禁 IP").status_code == 303
        assert send(officer, path, f"{path}/close").status_code == 303
        page = officer.get(path).text
        assert all(text in page for text in ("收到", "已封禁 IP", "已关闭", "运维公司"))


def test_a_ticket_is_opened_by_hand(world: World) -> None:
    service = next(iter(world.service.catalogue.services))
    with world.client("officer") as client:
        answer = send(
            client, "/tickets", "/tickets", title="换交换机", service=service, priority="3", description="三楼"
        )
        assert answer.status_code == 303, answer.text
        shown = client.get(answer.headers["location"]).text
        assert "换交换机" in shown
        assert "剩余工作时间 1 小时" in shown, "a span that counts working hours only says so"
        assert send(client, "/tickets", "/tickets", title="x", service="nonsense", priority="3").status_code == 404
        assert send(client, "/tickets", "/tickets", title="x", service=service, priority="9").status_code == 400


def test_a_county_sees_its_own_and_nothing_of_the_city(world: World) -> None:
    own = world.brute_force("198.51.100.40", tenant="north", host="north-01")
    other = world.brute_force("203.0.113.40", host="city-40")
    with world.client("county") as client:
        assert client.get(f"/alerts/{own.id}").status_code == 200
        assert client.get(f"/alerts/{other.id}").status_code == 404
        assert client.get(f"/api/v1/alerts/{other.id}").status_code == 404
        listed = client.get("/alerts").text
        assert f"/alerts/{own.id}" in listed
        assert f"/alerts/{other.id}" not in listed
        assert "没有结果" in client.get("/events?q=city-40").text
        assert client.get(f"/events/{other.event_ids[0]}").status_code == 404
        assert client.get(f"/api/v1/events/{other.event_ids[0]}").status_code == 404
        assert client.get(f"/events/{own.event_ids[0]}").status_code == 200
        tenants = {hit["organization.id"] for hit in client.get("/api/v1/events").json()["hits"]}
        assert tenants == {"north"}
        exported = client.get("/events/export").text.splitlines()
        assert {orjson.loads(line)["organization.id"] for line in exported} == {"north"}
        answer = send(client, "/me", "/evidence", kind="alert", id=str(other.id))
        assert answer.status_code == 404
        assert 'role="alert"' in answer.text
        assert f'value="{other.id}"' in answer.text  # what was typed is kept
        assert send(client, "/me", f"/alerts/{other.id}/acknowledge").status_code == 404


def test_search_narrows_pages_and_explains(world: World) -> None:
    world.brute_force("192.0.2.50", host="search-50")
    with world.client("officer") as client:
        page = client.get("/events?q=host.name:search-50&range=1h").text
        assert "5 条日志" in page
        assert '<svg class="chart"' in page
        assert "%22linux.sshd%22" in page, "facets link on"
        wrong = client.get('/events?q="unclosed')
        assert wrong.status_code == 400
        assert 'role="alert"' in wrong.text
        assert "没有结果" in client.get("/events?q=nothing-like-this-anywhere").text
        custom = client.get("/events?range=custom&from=2020-01-01T00:00&to=2020-01-02T00:00").text
        assert "没有结果" in custom
        assert client.get("/events?range=custom&from=rubbish&to=").status_code == 200
        assert client.get("/events?before=rubbish").status_code == 400


def test_hostile_text_stays_text(world: World) -> None:
    hostile = "<13>Nov 24 08:00:00 h1 app[1]: <img src=x onerror=alert(1)> hostile-mark {{ 7*7 }} \u202e"
    world.ingest(hostile)
    with world.client("officer") as client:
        page = client.get("/events?q=hostile&range=all").text
        assert "&lt;img src=x" in page
        assert "<img src=x" not in page
        assert "{{ 7*7 }}" in page
        assert "&lt;b&gt;" in client.get('/events?q="<b>"').text


def test_the_quarantine_can_be_looked_at(world: World) -> None:
    world.ingest(b"\xff\xfe\x00\x01 quarantine", error="malformed")
    with world.client("officer") as client:
        page = client.get("/events?q=event.kind:pipeline_error")
        assert "格式错误" in page.text
        link = re.search(r'href="(/events/\d+-\d+)[?"]', page.text)
        assert link is not None
        assert "此消息无法解析" in client.get(link[1]).text


def test_export_gives_lines_and_is_audited(world: World) -> None:
    world.brute_force("192.0.2.60", host="export-60")
    with world.client("officer") as client:
        answer = client.get("/events/export?q=host.name:export-60")
        assert "attachment" in answer.headers["content-disposition"]
        lines = [orjson.loads(line) for line in answer.text.splitlines()]
    assert [line["host.name"] for line in lines] == ["export-60"] * 5
    with world.client("auditor") as client:
        assert "events.export" in client.get("/audit?action=events").text


def test_people_are_added_changed_and_disabled(world: World) -> None:
    with world.client("admin") as client:
        both = send(
            client,
            "/people",
            "/people",
            username="p1",
            display_name="一",
            organization="city",
            roles=["audit_admin", "system_admin"],
        )
        assert both.status_code == 409
        assert "三员分立" in both.text
        made = send(
            client,
            "/people",
            "/people",
            username="p1",
            display_name="张三",
            organization="city",
            roles=["security_officer"],
        )
        assert made.status_code == 200
        link = re.search(rf"{world.origin}/invite/[\w-]+", made.text)
        assert link is not None
        assert made.headers["cache-control"] == "no-store"
        account = world.service.identity.account_by_username("p1")
        assert account is not None
        path = f"/people/{account.id}"
        assert link[0] not in client.get(path).text, "shown once"
        assert send(client, path, f"{path}/roles", roles=["inspector"]).status_code == 303
        assert send(client, path, f"{path}/disable", reason="").status_code == 400
        assert send(client, path, f"{path}/disable", reason="离职").status_code == 303
        assert "已停用" in client.get(path).text
        assert send(client, path, f"{path}/enable").status_code == 303
        assert send(client, path, f"{path}/invite").status_code == 200
        assert client.get("/people/nobody").status_code == 404


def test_the_list_of_people_is_paged_and_searched(world: World) -> None:
    admin = world.principal("admin")
    for number in range(PEOPLE_PAGE + 1):
        world.service.identity.add_person(
            username=f"zz{number:03}",
            display_name=f"人 {number}",
            organization_id="city",
            roles=[Role.CIVIL_SERVANT],
            actor=admin,
            now=world.clock(),
        )
    with world.client("admin") as client:
        first = client.get("/people").text
        more = re.search(r'href="(/people\?q=&amp;after=[^"]+)"', first)
        assert more is not None
        assert "zz050" in client.get(more[1].replace("&amp;", "&")).text
        found = client.get("/people?q=zz049").text
        assert found.count("/people/") < 10
        assert "zz049" in found


def test_a_certificate_is_issued_from_a_request_and_revoked(world: World) -> None:
    from cryptography import x509  # noqa: PLC0415 - one test makes a request of its own
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    path = f"/people/{world.people['servant'].account_id}"
    with world.client("admin") as client:
        rubbish = send(client, path, f"{path}/certificates/request", csr="rubbish")
        assert rubbish.status_code == 400
        answer = send(
            client, path, f"{path}/certificates/request", csr=request.public_bytes(serialization.Encoding.PEM).decode()
        )
        assert answer.status_code == 200, answer.text
        serial = re.search(r"(?<=<dd class=\"mono\">)[0-9a-f]{32}", answer.text)
        assert serial is not None
        other = f"/people/{world.people['officer'].account_id}"
        assert send(client, path, f"{other}/certificates/{serial[0]}/revoke", reason="superseded").status_code == 404
        assert send(client, path, f"{path}/certificates/{serial[0]}/revoke", reason="because").status_code == 400
        done = send(client, path, f"{path}/certificates/{serial[0]}/revoke", reason="superseded")
        assert done.status_code == 303, done.text
        assert done.headers["location"].endswith("done=revoked")
        assert "已吊销" in client.get(path).text
    assert world.service.authority.status(serial[0], world.clock()).state == "revoked"
    with world.client("auditor") as client:
        assert serial[0] in client.get("/audit?action=certificate.revoke").text


def test_a_pack_is_built_listed_and_downloaded(world: World) -> None:
    alert = world.brute_force("203.0.113.70")
    with world.client("officer") as client:
        assert (
            send(client, "/evidence", "/evidence", kind="alert", id=str(alert.id)).headers["location"]
            == "/evidence?done=pack"
        )
        name = re.search(rf'href="/evidence/(city_alert-{alert.id}_\w+\.zip)"', client.get("/evidence").text)
        assert name is not None
        assert client.get(f"/evidence/{name[1]}").content.startswith(b"PK")
        assert client.get("/evidence/verify.py").text.startswith(("#!", '"""'))
        assert client.get("/evidence/..%2fstate.db").status_code == 404
        assert (
            send(
                client,
                "/evidence",
                "/evidence",
                kind="window",
                **{"from": "2026-01-02T00:00", "to": "2026-01-01T00:00"},
            ).status_code
            == 400
        )
        assert send(client, "/evidence", "/evidence", kind="alert", id="x").status_code == 400
    with world.client("county") as client:
        assert name[1] not in client.get("/evidence").text
        assert client.get(f"/evidence/{name[1]}").status_code == 404


def test_rules_show_their_examples(world: World) -> None:
    with world.client("officer") as client:
        page = client.get("/rules").text
        rules = world.service.rules.rules
        assert f"{len(rules)} 条规则" in page
        rule = rules[0]
        shown = client.get(f"/rules/{rule.id}")
        assert rule.info.title_zh in shown.text
        assert client.get("/rules/no-such-rule").status_code == 404


@pytest.mark.parametrize("status", list(queries.AlertStatus))
def test_alerts_are_filtered(world: World, status: queries.AlertStatus) -> None:
    ip = f"203.0.113.{80 + list(queries.AlertStatus).index(status)}"
    world.brute_force(ip, level=Level.LOW)
    with world.client("officer") as client:
        page = client.get(f"/alerts?status={status}&level=low").text
        assert (ip in page) is (status is queries.AlertStatus.OPEN)
        assert client.get("/alerts?status=rubbish&level=rubbish&before=rubbish").status_code == 200


def test_the_api_lists_what_the_pages_list(world: World) -> None:
    alert = world.brute_force("203.0.113.90")
    with world.client("officer") as client:
        events = client.get('/api/v1/events?q=source.ip:"203.0.113.90"&limit=2').json()
        assert (len(events["hits"]), events["total"]) == (2, 5)
        following = client.get(
            "/api/v1/events", params={"q": 'source.ip:"203.0.113.90"', "limit": 5, "before": events["next"]}
        ).json()
        assert len(following["hits"]) == 3
        assert client.get(f"/api/v1/alerts/{alert.id}").json()["history"][0]["kind"] == "raised"
        tickets = client.get("/api/v1/tickets").json()["tickets"]
        ticket = next(one for one in tickets if one["alert_id"] == alert.id)
        assert ticket["clock"]["targets"]
        assert client.get(f"/api/v1/tickets/{ticket['id']}").json()["id"] == ticket["id"]
    with world.client("fixer") as client:
        assert client.get(f"/api/v1/tickets/{ticket['id']}").status_code == 404


def test_healthz_and_the_authoritys_files_are_for_everybody(world: World) -> None:
    with world.client() as client:
        assert client.get("/healthz").text == "ok\n"
        root = client.get("/pki/root.crt")
        assert root.content == world.service.authority.root_pem()
        assert client.get("/pki/root.cer").content[0] == 0x30
        crl = client.get(world.pki_origin + "/pki/issuing.crl")
        assert crl.headers["content-type"] == "application/pkix-crl"
        assert client.get("/pki/ocsp/%21%21").headers["content-type"] == "application/ocsp-response"
        posted = client.post("/pki/ocsp", content=b"\x30\x00", headers={"content-type": "application/ocsp-request"})
        assert posted.headers["content-type"] == "application/ocsp-response"
        stamp = {"content-type": "application/timestamp-query"}
        for origin in ("", world.pki_origin):
            stamped = client.post(f"{origin}/pki/timestamp", content=b"\x30\x00", headers=stamp)
            assert stamped.headers["content-type"] == "application/timestamp-reply"
        assert client.post("/pki/timestamp", content=b"\x30\x00").status_code == 415
        assert client.post("/pki/timestamp", content=bytes(20_000), headers=stamp).status_code == 413
        assert client.get(world.pki_origin + "/login").status_code == 404


def test_a_costly_search_is_answered_without_its_picture(world: World) -> None:
    world.brute_force("192.0.2.120", host="costly-120")
    slow = count().__next__  # a clock that shows a second more whenever somebody looks
    with closing(SqliteIndex(world.service.index_dir, world.service.log)) as index:
        query = Query(text="message:*failed*password*", tenants=None, limit=2)
        assert not events.search_with_picture(index, query, whole=False, monotonic=lambda: 0.0)["left_out"]
        quick = events.search_with_picture(index, query, whole=False, monotonic=slow)
        assert (len(quick["page"].hits), quick["left_out"], quick["chart"], quick["facets"]) == (2, True, [], [])
        whole = events.search_with_picture(index, query, whole=True, monotonic=slow)
        assert whole["chart"]
        assert not whole["left_out"]
