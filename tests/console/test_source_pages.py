"""The pages of sources: ready configuration with a token shown once, the first event arriving, health, samples, rights."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from identity.principal import Role
from monitors import collector
from monitors.record import Record
from secops import source_health, source_quotas, sources, status
from secops.audit import last
from secops.cli import source as source_commands
from secops.console.snippets import CA_FILE, SENDERS, place, snippet
from secops.normalise import normalise
from secops.settings import Ingest
from secops.source_health import Window, key_of
from tests.console.world import World, open_page, send

PAGES = ["/sources", "/sources/quotas", *(f"/sources/connect?kind={kind}&tenant=city" for kind in SENDERS)]


@pytest.fixture(scope="module", autouse=True)
def people(world: World) -> None:
    world.add("north-admin", Role.SYSTEM_ADMIN, organization="north")


def arrive(
    world: World, host: str, text: str = "hello", *, tenant: str = "city", kind: str = "syslog", hours: int = 0
) -> int:
    """An event of a host, whose clock is ``hours`` ahead, is noted as the ingest role does; gives the source's id."""
    raw = f"<38>1 {world.clock() + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ} {host} app - - - {text}".encode()
    windows: dict[source_health.Key, Window] = {}
    for event in normalise([Record(raw, world.clock(), kind, "192.0.2.1:1", tenant, "syslog")]):
        windows.setdefault(key_of(event), Window()).add(event)
    with world.service.database.begin() as tx:
        source_health.record(tx, windows, 1.0)
    with world.service.database.read() as tx:
        return next(row.id for row in source_health.find(tx, tenants=None) if row.host == host)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_in_both_languages_for_who_reads_sources(world: World, path: str) -> None:
    arrive(world, "page-1")
    for username in ("admin", "officer", "keeper"):
        for lang in ("zh", "en"):
            with world.client(username, lang=lang) as client:
                assert "%(" not in open_page(client, path, within=1).text.replace("%s\\n", "")
    with world.client("inspector") as client:
        assert client.get(path).status_code == 403


def test_times_off_by_whole_hours_are_shown_with_the_setting_that_mends_them(world: World) -> None:
    with world.client("officer") as client:
        arrive(world, "in-step")
        assert "timezone" not in client.get("/sources").text
        number = arrive(world, "switch-of-another-zone", hours=8)
        page = client.get("/sources").text
        assert "1 个来源的时间与接收时间相差 +8 小时" in page
        read_in = world.clock().astimezone().utcoffset() or timedelta(0)
        assert f'timezone = "{source_health.zone_meant(8, read_in)}"' in unescape(page)
        assert "差 +8 小时" in client.get(f"/sources/{number}").text
        found = client.get("/api/v1/sources").json()["sources"]
        assert {one["host"]: one["clock_off_hours"] for one in found}["switch-of-another-zone"] == 8
        arrive(world, "switch-of-another-zone")
        assert "timezone" not in client.get("/sources").text


@pytest.mark.parametrize("kind", list(SENDERS))
def test_a_snippet_has_everything_in_place(world: World, kind: str) -> None:
    sender = SENDERS[kind]
    where = place(world.service.settings, kind, "city")
    text = snippet(kind, where, "sk_x")
    assert "localhost" in text
    assert str(where.port) in text
    assert ("sk_x" in text) is sender.token
    assert not re.search(r"\{(host|port|ca|token)\}|\{\{", text)
    assert f'kind = "{sender.collector}"' in where.wanted, "only loopback listens by default, and the page says so"
    assert sender.collector in collector.kinds()


@pytest.mark.parametrize("kind", list(SENDERS))
def test_a_sender_has_a_runbook_that_its_page_leads_to(world: World, kind: str) -> None:
    runbook = SENDERS[kind].runbook
    with world.client("admin") as client:
        assert f"/runbooks/{runbook}" in client.get(f"/sources/connect?kind={kind}&tenant=city").text
        text = client.get(f"/runbooks/{runbook}").text
        for trouble in ("没有数据", "TLS", "重复"):
            assert trouble in text, trouble


def test_what_commands_of_the_service_a_sender_runbook_names_exist(world: World) -> None:
    for path in (world.service.content_dir / "runbooks").glob("sender-*.md"):
        for command in re.findall(r"`secops (\w+ \w+)", path.read_text()):
            noun, verb = command.split()
            assert verb in {one.name or one.callback.__name__ for one in source_commands.app.registered_commands} | {
                "list"
            }, command
            assert noun == "source"


@pytest.mark.skipif(shutil.which("rsyslogd", path="/usr/sbin:/usr/bin") is None, reason="no rsyslogd")
@pytest.mark.parametrize("kind", [kind for kind in SENDERS if kind.startswith("rsyslog")])
def test_rsyslog_takes_its_configuration(world: World, kind: str, tmp_path: Path) -> None:
    text = snippet(kind, place(world.service.settings, kind, "city"), "sk_0123456789")
    text = text.replace(CA_FILE, str(tmp_path / "root.crt"))
    (tmp_path / "root.crt").write_bytes(world.service.authority.root_pem())
    file = tmp_path / "rsyslog.conf"
    file.write_text(f'global(workDirectory="{tmp_path}")\n{text}')
    rsyslogd = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    checked = subprocess.run(
        [str(rsyslogd), "-N1", "-f", str(file)], capture_output=True, text=True, timeout=30, check=False
    )
    if "could not load module" in checked.stderr:
        pytest.skip(checked.stderr.splitlines()[-1])
    assert checked.returncode == 0, checked.stderr
    assert "error" not in checked.stderr.replace("errors", ""), checked.stderr


def test_a_listener_without_tls_is_none_for_senders_with_it(world: World) -> None:
    plain = {"kind": "syslog", "host": "0.0.0.0", "tcp_port": 5514}
    secured = {**plain, "tcp_port": 6600, "tls": {"certificate_file": "c", "key_file": "k"}}
    settings = world.service.settings.model_copy(update={"ingest": Ingest(collectors={"plain": plain})})
    assert place(settings, "rsyslog-tls", "city").wanted
    assert not place(settings, "rsyslog-tcp", "city").wanted
    both = settings.model_copy(update={"ingest": Ingest(collectors={"plain": plain, "secured": secured})})
    assert (place(both, "rsyslog-tls", "city").port, place(both, "rsyslog-tcp", "city").port) == (6600, 5514)


def test_a_configured_listener_is_found_by_its_tenant(world: World) -> None:
    tls = {"certificate_file": "c", "key_file": "k", "client_ca_file": "a", "peers": {"gw.north": "north"}}
    relp = {"kind": "relp", "host": "0.0.0.0", "port": 2600, "tls": tls}
    settings = world.service.settings.model_copy(update={"ingest": Ingest(collectors={"relp": relp})})
    for tenant in ("city", "north"):
        where = place(settings, "rsyslog-relp", tenant)
        assert (where.port, where.reachable, where.wanted) == (2600, True, "")
    assert place(settings, "rsyslog-relp", "south").wanted


def test_a_token_is_shown_once_and_belongs_to_its_tenant(world: World) -> None:
    page = "/sources/connect?kind=vector&tenant=north"
    with world.client("north-admin") as client:
        made = send(client, page, page, name="edge")
        token = re.search(r"sk_[\w-]{20,}", made.text)
        assert token
        assert token[0] not in client.get(page).text + client.get("/sources").text
    with world.service.database.read() as tx:
        assert sources.tenants_by_token(tx)[hashlib.sha256(token[0].encode()).hexdigest()] == "north"
        made_known = last(tx, action="source.token_created")
        assert made_known is not None
        assert made_known.tenant == "north"


def test_nobody_makes_or_ends_what_is_not_his(world: World) -> None:
    with world.service.database.begin() as tx:
        sources.create_token(tx, tenant="city", name="city-only", actor="t", now=world.clock())
        number = sources.tokens(tx)[0].id
    page = "/sources/connect?kind=vector&tenant=north"
    with world.client("north-admin") as client:
        assert "city-only" not in client.get("/sources").text
        assert client.get("/sources/connect?kind=vector&tenant=city").status_code == 403
        assert send(client, page, "/sources/connect?kind=vector&tenant=city").status_code == 403
        assert send(client, page, f"/sources/tokens/{number}/revoke").status_code == 404
    with world.client("officer") as client:
        assert send(client, "/me", page).status_code == 403, "an officer reads sources and makes no tokens"
    with world.client("admin") as client:
        assert send(client, page, f"/sources/tokens/{number}/revoke").status_code == 303
    with world.service.database.read() as tx:
        assert next(one for one in sources.tokens(tx) if one.id == number).revoked_at is not None


def test_the_first_event_shows_and_only_from_the_moment_of_asking(world: World) -> None:
    arrive(world, "old-1")
    since = (world.clock() + timedelta(seconds=1)).isoformat().replace("+", "%2B")
    page = f"/sources/connect?kind=rsyslog-tcp&tenant=city&since={since}"
    with world.client("officer") as client:
        assert "正在等待" in client.get(page).text
        world.clock.forward(seconds=2)
        number = arrive(world, "new-1")
        shown = client.get(page).text.split('id="arrivals"')[1]
        assert "已收到第一条事件" in shown
        assert f"/sources/{number}" in shown
        assert "old-1" not in shown


def test_samples_are_for_who_reads_events_and_a_tenant_sees_its_own(world: World) -> None:
    number = arrive(world, "sample-1", "<b>odd</b> words")
    with world.client("officer") as client:
        text = client.get(f"/sources/{number}").text
        assert "&lt;b&gt;odd&lt;/b&gt; words" in text
    with world.client("admin") as client:
        text = client.get(f"/sources/{number}").text
        assert "odd" not in text
    with world.client("county") as client:
        assert client.get(f"/sources/{number}").status_code != 200
        assert "sample-1" not in client.get("/sources").text
        assert "sample-1" not in client.get("/api/v1/sources").text
    with world.client("officer") as client:
        [found] = [one for one in client.get("/api/v1/sources").json()["sources"] if one["host"] == "sample-1"]
        assert (found["events"], found["unparsed"], found["silent"], found["tenant"]) == (1, 1, False, "city")


def test_the_city_sets_quotas_and_nobody_raises_his_own(world: World) -> None:
    page, wanted = "/sources/quotas", {"tenant": "north", "events_per_second": "123", "bytes_per_day": "0"}
    with world.client("north-admin") as client:
        assert send(client, page, page, **wanted).status_code == 403
        assert "北县" in client.get(page).text
        assert "市" not in re.sub(r"<nav.*?</nav>", "", client.get(page).text.split('id="quotas"')[1], flags=re.DOTALL)
    with world.client("admin") as client:
        assert send(client, page, page, **wanted).status_code == 303
        assert send(client, page, page, **{**wanted, "events_per_second": "-1"}).status_code == 400
        assert send(client, page, page, **{**wanted, "tenant": "nobody"}).status_code == 404
    with world.service.database.read() as tx:
        assert source_quotas.quotas(tx)["north"] == source_quotas.Quota(123, 0)
    with world.client("admin") as client:
        assert send(client, page, page, **wanted, usual="yes").status_code == 303
    with world.service.database.read() as tx:
        assert "north" not in source_quotas.quotas(tx)


def test_a_source_out_of_service_goes_off_the_list(world: World) -> None:
    number = arrive(world, "gone-1")
    with world.client("admin") as client:
        assert send(client, f"/sources/{number}", f"/sources/{number}/forget").status_code == 303
        assert "gone-1" not in client.get("/sources").text
    assert arrive(world, "gone-1") != number


@pytest.mark.parametrize("query", ["kind=x", "kind=vector&tenant=nobody", "kind=vector&since=x%00", "kind=vector&since=2026"])  # fmt: skip
def test_odd_addresses_are_no_faults(world: World, query: str) -> None:
    with world.client("admin") as client:
        assert client.get(f"/sources/connect?{query}").status_code in {200, 403, 404}
        assert client.get("/sources/99999999999999999").status_code in {404, 400, 422}


def test_collectors_say_what_is_wrong_to_who_may_see_their_organisation(world: World) -> None:
    def one(tenant: str, *, ok: bool, words: str) -> dict[str, object]:
        return {"kind": "huawei_cts", "tenant": tenant, "ok": ok, "zh": f"{words}密钥被拒绝", "en": f"{words} refused"}

    said = {
        "collectors": {
            "cloud-city": one("city", ok=False, words="<b>c</b>"),
            "cloud-north": one("north", ok=True, words="n"),
            "broken": one("city", ok=False, words="b"),
        },
        "errors": {"broken": "OSError: in use", "unmade": "region: 未知地域 / unknown region"},
    }
    status.report(world.service.run_dir, "ingest", said, world.clock())
    with world.client("officer") as client:
        page = client.get("/sources").text
        assert page.index("cloud-city") < page.index("cloud-north"), "trouble first"
        assert "&lt;b&gt;c&lt;/b&gt;密钥被拒绝" in page
        assert "OSError: in use" in page
        assert "unknown region" in page
    with world.client("officer", lang="en") as client:
        assert "n refused" in client.get("/sources").text
    with world.client("north-admin") as client:
        page = client.get("/sources").text
        assert "n密钥被拒绝" in page
        assert "cloud-city" not in page
        assert "unknown region" not in page
    status.report(world.service.run_dir, "ingest", {}, world.clock())
