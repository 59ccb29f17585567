"""An officer silences alerts from one of them, after looking at what that would mute, and hears again when it is over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import origin, staff
from tests.service.running import Running, service
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

SLOW = 30_000


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("silences") / "var", demo=False) as found:
        yield found


@pytest.fixture(scope="module")
def officer(own: Running, browser: Browser) -> Iterator[Page]:
    """A page of an officer who has logged in."""
    with staff(own, browser) as (_, page):
        yield page


def brute_force(server: Running, ip: str, minutes_ago: int = 0) -> None:
    """Six failures; the rule fires once, and again for failures more than five minutes later."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for at in range(6):
            now = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
            line = f"<38>1 {now} gw-01 sshd {at} - - Failed password for root from {ip} port 40022 ssh2"
            sender.sendto(line.encode(), ("127.0.0.1", server.ports["syslog"]))


def alerts_of(server: Running, ip: str) -> list[tuple[int, str, int]]:
    """Id, what mutes it, and number of tickets of the brute force alerts of ``ip``."""
    sql = (
        "SELECT a.id, a.muted_kind, (SELECT count(*) FROM tickets t WHERE t.alert_id = a.id) FROM alerts a"
        " WHERE a.title = 'SSH brute force' AND a.group_values LIKE ?"
    )
    return server.rows(sql, f'%"{ip}"%')


def counted(server: Running, ip: str) -> int:
    """Events in the brute force alert of ``ip``."""
    sql = "SELECT sum(count) FROM alerts WHERE title = 'SSH brute force' AND group_values LIKE ?"
    return int(server.rows(sql, f'%"{ip}"%')[0][0] or 0)


def test_01_a_silence_is_made_from_an_alert_after_a_preview(own: Running, officer: Page) -> None:
    brute_force(own, "203.0.113.9")
    wait_until(lambda: alerts_of(own, "203.0.113.9"), timeout=30, what="the alert")
    officer.goto(f"{origin(own)}/alerts?q=203.0.113.9")
    officer.get_by_role("link", name="SSH 暴力破解").first.click()
    expect(officer.locator("#facts")).to_contain_text("规则级别")
    officer.get_by_role("link", name="静默此类告警").click()
    matchers = officer.get_by_label("匹配条件，每行一个，须全部成立")
    expect(matchers).to_have_value(
        "rule = 2cd5d75d-f11a-4238-9388-f3cbd57d0414\nhost.name = gw-01\nsource.ip = 203.0.113.9"
    )
    expect(officer.locator("#preview")).to_contain_text("1 条告警")
    matchers.fill("rule = 2cd5d75d-f11a-4238-9388-f3cbd57d0414\nsource.ip ~ 198.51.100.*")
    officer.get_by_role("button", name="预览").click()
    expect(officer.locator("#preview")).to_contain_text("0 条告警")
    officer.get_by_label("匹配条件，每行一个，须全部成立").fill("rule ~ 2cd5d75d-*\nsource.ip ~ 203.0.113.*")
    officer.get_by_label("时长").select_option("4")
    officer.get_by_label("原因", exact=True).first.fill("渗透测试，已报备")
    officer.get_by_role("button", name="静默", exact=True).press("Enter")
    expect(officer.get_by_text("静默已建立。")).to_be_visible()
    expect(officer.get_by_role("row").filter(has_text="渗透测试，已报备")).to_contain_text("生效中")


def test_02_what_comes_now_is_shown_with_the_reason_and_opens_no_ticket(own: Running, officer: Page) -> None:
    brute_force(own, "203.0.113.10", 24)
    wait_until(lambda: alerts_of(own, "203.0.113.10"), timeout=30, what="the muted alert")
    [(number, muted, tickets)] = alerts_of(own, "203.0.113.10")
    assert (muted, tickets) == ("silence", 0)
    officer.goto(f"{origin(own)}/alerts?muted=yes")
    row = officer.get_by_role("row").filter(has_text="203.0.113.10")
    expect(row).to_contain_text("渗透测试，已报备")
    row.get_by_role("link").first.click()
    expect(officer.get_by_role("status").filter(has_text="未开工单")).to_be_visible()
    expect(officer.locator("#history")).to_contain_text("已屏蔽")
    assert own.command("alert", "show", str(number))["muted_by"].startswith("silence:")


def test_03_when_the_silence_is_ended_and_it_goes_on_it_is_announced_once(own: Running, officer: Page) -> None:
    officer.goto(f"{origin(own)}/alerts/silences")
    row = officer.get_by_role("row").filter(has_text="渗透测试，已报备")
    row.get_by_text("提前结束").click()
    row.get_by_label("原因").fill("测试提前完成")
    row.get_by_role("button", name="结束静默").click()
    expect(officer.get_by_text("静默已结束。")).to_be_visible()
    expect(officer.get_by_role("row").filter(has_text="测试提前完成")).to_contain_text("已结束")
    for minutes_ago, count in ((12, 10), (0, 15)):
        brute_force(own, "203.0.113.10", minutes_ago)
        wait_until(lambda count=count: counted(own, "203.0.113.10") >= count, timeout=30, what="further failures")
    wait_until(lambda: [row[1:] for row in alerts_of(own, "203.0.113.10")] == [("", 1)], timeout=30, what="one ticket")
    [(number, _, _)] = alerts_of(own, "203.0.113.10")
    officer.goto(f"{origin(own)}/alerts/{number}")
    expect(officer.locator("#history")).to_contain_text("屏蔽解除，现予通报")
    assert [line["kind"] for line in own.command("alert", "show", str(number))["history"]].count("unmuted") == 1


def test_04_the_runbook_and_the_noise_report_are_a_click_away(own: Running, officer: Page) -> None:
    officer.get_by_role("link", name="ssh-brute-force.md").click()
    expect(officer.get_by_role("heading", level=1)).to_contain_text("SSH 暴力破解与异常登录")
    officer.goto(f"{origin(own)}/alerts")
    for name in ("静默", "维护窗口", "噪声", "ATT&CK 覆盖"):
        officer.get_by_role("navigation", name="告警").get_by_role("link", name=name).click()
        expect(officer.get_by_role("navigation", name="告警").get_by_role("link", name=name)).to_have_attribute(
            "aria-current", "page"
        )
        expect(officer.get_by_role("heading", level=1)).to_be_visible()
