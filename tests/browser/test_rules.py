"""An officer writes a rule, tries it over what really came, puts it in force, and excepts what it should not report."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import origin, staff
from tests.service.running import Running, service

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

SLOW = 30_000
RULE = """\
title: Guest tries to log in
title_zh: 来宾账号尝试登录
id: 5f0d6a2e-7c0e-4d0b-9b43-3f9d5a4d9a10
logsource: {product: linux, service: sshd}
detection:
  selection:
    event.action: ssh_login
    user.name: guest-7
  condition: selection
level: high
alert: {group_by: [source.ip]}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("rules") / "var", demo=False) as found:
        yield found


@pytest.fixture(scope="module")
def officer(own: Running, browser: Browser) -> Iterator[Page]:
    """A page of an officer who has logged in."""
    with staff(own, browser) as (_, page):
        yield page


def failed_login(server: Running, ip: str, number: int = 1) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for at in range(number):
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            line = f"<38>1 {now} gw-09 sshd {at} - - Failed password for guest-7 from {ip} port 40022 ssh2"
            sender.sendto(line.encode(), ("127.0.0.1", server.ports["syslog"]))


def test_01_a_rule_is_tried_over_what_came_and_put_in_force(own: Running, officer: Page) -> None:
    failed_login(own, "203.0.113.7", 3)
    officer.goto(f"{origin(own)}/events?q=user.name:guest-7")
    expect(officer.get_by_text("Failed password for guest-7").first).to_be_visible(timeout=SLOW)
    officer.goto(f"{origin(own)}/rules")
    officer.get_by_role("link", name="编写规则").click()
    editor = officer.get_by_label("规则", exact=True)
    editor.fill(RULE.replace("condition: selection", "condition: selecton"))
    officer.get_by_role("button", name="试运行").click()
    expect(officer.get_by_role("alert")).to_contain_text("selecton")
    officer.get_by_label("规则", exact=True).fill(RULE)
    officer.get_by_role("button", name="试运行").click()
    trial = officer.locator("#trial")
    expect(trial.locator(".figures li").first).to_contain_text("3", timeout=SLOW)
    expect(trial).to_contain_text("gw-09")
    officer.get_by_label("原因（随版本保存）").fill("来宾账号已停用，任何尝试都要告警")
    officer.get_by_role("button", name="启用").click()
    expect(officer.get_by_role("heading", name="来宾账号尝试登录")).to_be_visible()
    expect(officer.locator("#versions")).to_contain_text("来宾账号已停用")


def test_02_it_raises_an_alert_within_seconds_of_being_in_force(own: Running, officer: Page) -> None:
    officer.goto(f"{origin(own)}/alerts")
    row = officer.get_by_role("link", name="来宾账号尝试登录").first
    for attempt in range(20):  # until the set with the rule is compiled and runs, events are matched by the one before
        failed_login(own, "198.51.100.1")
        try:
            expect(row).to_be_visible(timeout=2000)
            break
        except AssertionError:
            assert attempt < 19
    officer.goto(f"{origin(own)}/rules?q=来宾账号")
    expect(officer.get_by_role("table")).to_contain_text("来宾账号尝试登录")


def test_03_what_an_exception_names_is_not_reported_any_more(own: Running, officer: Page) -> None:
    officer.goto(f"{origin(own)}/rules?q=来宾账号")
    officer.get_by_role("link", name="来宾账号尝试登录").click()
    officer.get_by_text("添加例外").click()
    form = officer.locator("#except-form")
    form.get_by_label("不再报告的事件").fill("source.ip|cidr: 10.8.0.0/16")
    form.get_by_label("原因").fill("漏洞扫描网段")
    form.get_by_role("button", name="添加").click()
    expect(officer.locator("#exceptions")).to_contain_text("漏洞扫描网段")
    address = officer.url
    for attempt in range(20):  # until the exception is taken over, within the reload interval
        failed_login(own, "10.8.0.9")
        officer.goto(address)
        try:
            expect(officer.get_by_text("例外排除", exact=False)).to_be_visible(timeout=2000)
            break
        except AssertionError:
            assert attempt < 19


def test_04_switched_off_it_is_marked_in_the_list(own: Running, officer: Page) -> None:
    officer.goto(f"{origin(own)}/rules?q=来宾账号")
    officer.get_by_role("link", name="来宾账号尝试登录").click()
    officer.get_by_text("启用或停用").click()
    form = officer.locator("#switch-form")
    form.get_by_label("对象").select_option(label="所有单位")
    form.get_by_label("原因").fill("演练结束")
    form.get_by_role("button", name="保存").click()
    expect(officer.locator("#switches")).to_contain_text("演练结束")
    officer.goto(f"{origin(own)}/rules?state=off")
    expect(officer.get_by_role("table")).to_contain_text("已停用")
