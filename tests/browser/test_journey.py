"""The first day of an installation, in the order in which it happens; each step stands on the one before."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.people import Person, add_person, become_administrator, enrol, fill_login, log_in, origin
from tests.service.running import Running

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

ADMIN, OFFICER, CONTRACTOR, INSPECTOR = (
    Person(name) for name in ("admin-wang", "officer-li", "ops-zhao", "inspector-sun")
)
SLOW = 15_000


class State:
    """What one step leaves for the next."""

    certificate: bytes = b""
    password: str = ""
    invitations: dict[str, str]


def fetch(page: Page, base: str, link: Locator) -> bytes:
    answer = page.request.get(f"{base}{link.get_attribute('href')}")
    assert answer.ok
    return answer.body()


def test_01_the_set_up_link_makes_the_first_administrator_once(server: Running, page: Page) -> None:
    link = server.setup_link()
    become_administrator(page, link, ADMIN)
    expect(page.get_by_role("button", name="登录", exact=True)).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("button", name="创建管理员")).to_have_count(0)


def test_02_the_administrator_adds_an_officer_a_contractor_and_an_inspector(server: Running, page: Page) -> None:
    log_in(page, origin(server), ADMIN)
    page.goto(f"{origin(server)}/people")
    page.get_by_label("英文短名").or_(page.locator("#org-id")).first.fill("ops-co")
    page.locator("#org-zh").fill("运维公司")
    page.locator("#org-en").fill("Operations Ltd")
    page.locator("#org-kind").select_option("contractor")
    page.get_by_role("button", name="添加单位").click()
    expect(page.locator("#organization option[value=ops-co]")).to_have_count(1)
    State.invitations = {
        OFFICER.username: add_person(page, origin(server), OFFICER.username, "李安全", "安全员"),
        CONTRACTOR.username: add_person(page, origin(server), CONTRACTOR.username, "赵运维", "运维服务商", "ops-co"),
        INSPECTOR.username: add_person(page, origin(server), INSPECTOR.username, "孙检查", "检查人员"),
    }
    assert all(link.startswith(origin(server)) for link in State.invitations.values())


@pytest.mark.parametrize("person", [OFFICER, CONTRACTOR, INSPECTOR], ids=lambda person: person.username)
def test_03_each_completes_the_invitation(server: Running, page: Page, person: Person) -> None:
    page.goto(State.invitations[person.username])
    enrol(page, person, "保存")
    expect(page.get_by_role("button", name="登录", exact=True)).to_be_visible()


def test_04_the_administrator_issues_a_certificate(server: Running, page: Page, tmp_path: Path) -> None:
    log_in(page, origin(server), ADMIN)
    page.goto(f"{origin(server)}/people?q={OFFICER.username}")
    page.get_by_role("link", name=OFFICER.username).or_(page.get_by_role("link", name="李安全")).first.click()
    page.get_by_role("button", name="签发证书").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="officer-li.p12").click()
    download.value.save_as(tmp_path / "officer.p12")
    State.certificate = (tmp_path / "officer.p12").read_bytes()
    State.password = page.locator(".secret").first.inner_text().strip()


@pytest.fixture
def officer(server: Running, browser: Browser) -> Iterator[Page]:
    """The security officer, logged in with the certificate."""
    port = f"https://localhost:{server.ports['certificate']}"
    context = browser.new_context(
        ignore_https_errors=True,
        locale="zh-CN",
        viewport={"width": 1280, "height": 800},
        client_certificates=[{"origin": port, "pfx": State.certificate, "passphrase": State.password}],
    )
    page = context.new_page()
    page.goto(f"{origin(server)}/login")
    page.get_by_role("button", name="用证书登录").click()
    expect(page.get_by_role("button", name="退出登录")).to_be_visible(timeout=SLOW)
    yield page
    context.close()


def test_05_five_failed_logins_become_one_alert_that_appears_by_itself(server: Running, officer: Page) -> None:
    officer.goto(f"{origin(server)}/alerts")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(5):
            line = f"<38>Nov 24 08:00:00 gw-01 sshd[{number}]: Failed password for root from 203.0.113.9 port 4022 ssh2"
            sender.sendto(line.encode(), ("127.0.0.1", server.ports["syslog"]))
    sent = time.monotonic()
    alert = officer.get_by_role("link", name="SSH 暴力破解")
    expect(alert).to_be_visible(timeout=SLOW)
    assert time.monotonic() - sent < 2, "from the fifth failure on the wire to the alert on the page"
    expect(alert).to_have_count(1)
    alert.click()
    expect(officer.get_by_text("203.0.113.9").first).to_be_visible()


def test_06_the_ticket_has_a_running_clock_and_the_events_are_found(server: Running, officer: Page) -> None:
    officer.goto(f"{origin(server)}/tickets")
    officer.get_by_role("link", name="SSH 暴力破解").first.click()
    expect(officer.get_by_role("progressbar").first).to_be_visible()
    officer.goto(f"{origin(server)}/events?q=source.ip%3A203.0.113.9")
    expect(officer.get_by_text("Failed password for root from 203.0.113.9").first).to_be_visible()


def test_07_the_pack_of_the_case_verifies_with_plain_python(server: Running, page: Page, tmp_path: Path) -> None:
    [alert] = [one for one in server.command("alert", "list") if one["title_zh"] == "SSH 暴力破解"]
    log_in(page, origin(server), OFFICER)
    page.goto(f"{origin(server)}/evidence?alert={alert['id']}")
    page.get_by_role("button", name="生成", exact=True).first.click()
    built = page.get_by_role("link", name=f"alert-{alert['id']}_")
    expect(built).to_have_count(1)
    page.wait_for_url(f"{origin(server)}/evidence")  # the page tidies its address once it has loaded
    # Fetched with the page's own session rather than as a browser download, which Chromium cancels now and then when driven.
    (tmp_path / "case.zip").write_bytes(fetch(page, origin(server), built))
    verifier = page.get_by_role("link", name="下载核验程序")
    (tmp_path / "verify.py").write_bytes(fetch(page, origin(server), verifier))
    done = subprocess.run(
        [sys.executable, "-I", tmp_path / "verify.py", tmp_path / "case.zip"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_08_the_demo_system_needs_no_second_login_and_logout_of_one_is_logout_of_both(
    server: Running, page: Page
) -> None:
    demo = f"https://127.0.0.1:{server.ports['demo']}/"
    log_in(page, origin(server), INSPECTOR)
    page.goto(demo)
    page.get_by_role("link", name="登录").or_(page.get_by_role("button", name="登录")).first.click()
    expect(page.get_by_text("孙检查").first).to_be_visible(timeout=SLOW)
    page.goto(origin(server))
    page.get_by_role("button", name="退出登录").click()
    expect(page.get_by_role("button", name="登录", exact=True)).to_be_visible()

    def demo_session_is_gone() -> bool:
        page.goto(demo)
        return page.get_by_text("孙检查").count() == 0

    end = time.monotonic() + 10
    while not demo_session_is_gone():
        assert time.monotonic() < end, "the demo system still knows the person"


def test_09_the_contractor_sees_only_tickets_assigned_to_his_company(
    server: Running, page: Page, officer: Page
) -> None:
    log_in(page, origin(server), CONTRACTOR)
    page.goto(f"{origin(server)}/tickets")
    expect(page.get_by_role("link", name="SSH 暴力破解")).to_have_count(0)
    assert page.goto(f"{origin(server)}/alerts").status == 403
    [ticket] = [one for one in server.command("ticket", "list") if one["title"] == "SSH 暴力破解"]
    server.command("ticket", "act", str(ticket["id"]), "assign", "--set", "assignee=ops-co")
    page.goto(f"{origin(server)}/tickets")
    expect(page.get_by_role("link", name="SSH 暴力破解")).to_have_count(1)


def test_10_english_and_the_keyboard(server: Running, page: Page) -> None:
    page.goto(f"{origin(server)}/login")
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()
    page.get_by_role("button", name="中文").click()
    fill_login(page, CONTRACTOR)
    expect(page.get_by_role("button", name="退出登录")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="跳到正文")).to_be_focused()


def test_11_a_revoked_certificate_ends_the_login_within_a_second(server: Running, officer: Page) -> None:
    officer.goto(f"{origin(server)}/alerts")
    [serial] = [row["serial"] for row in server.command("ca", "list") if row["profile"] == "person"]
    server.command("ca", "revoke", serial, "--reason", "keyCompromise")
    revoked = time.monotonic()
    officer.goto(f"{origin(server)}/alerts")
    expect(officer.get_by_role("button", name="用证书登录")).to_be_visible()
    assert time.monotonic() - revoked < 1
