"""A source is connected: the page shows its first event by itself; a parser of one's own gives it fields; a search is kept."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import origin, staff
from tests.service.running import Running, service
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

SLOW = 30_000
PARSER = "match: {program: gated}\npatterns:\n  - '%{WORD:event.action} by %{USER:user.name} from %{IP:source.ip}'\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("sources") / "var", demo=False) as found:
        yield found


@pytest.fixture(scope="module")
def people(own: Running, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Pages of an administrator and an officer who have logged in."""
    with staff(own, browser) as pages:
        yield pages


def say(server: Running, host: str, text: str) -> None:
    """One line over TCP, as rsyslog sends it."""
    line = f"<38>1 {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {host} gated - - - {text}\n"
    with socket.create_connection(("127.0.0.1", server.ports["syslog"]), timeout=10) as sender:
        sender.sendall(line.encode())


def test_01_the_first_event_appears_by_itself(own: Running, people: tuple[Page, Page]) -> None:
    page, _ = people
    page.goto(f"{origin(own)}/sources")
    page.get_by_label("发送方是什么？").select_option("rsyslog-tcp")
    page.get_by_role("button", name="显示配置").click()
    expect(page.locator("#snippet")).to_contain_text(f'port="{own.ports["syslog"]}"')
    expect(page.locator("#arrivals")).to_contain_text("正在等待")
    say(own, "gate-1", "open by wang from 10.0.0.9")
    expect(page.locator("#arrivals")).to_contain_text("已收到第一条事件", timeout=SLOW)
    page.get_by_role("link", name="gate-1").click()
    expect(page.locator("#health")).to_contain_text("正常上报")
    expect(page.locator("#samples")).not_to_contain_text("open by wang")


def test_02_a_token_is_shown_once_in_its_place(own: Running, people: tuple[Page, Page]) -> None:
    page, _ = people
    page.goto(f"{origin(own)}/sources")
    page.get_by_label("发送方是什么？").select_option("fluent-bit")
    page.get_by_role("button", name="显示配置").click()
    page.get_by_role("button", name="生成令牌并填入").click()
    expect(page.locator("#snippet")).to_contain_text("Bearer sk_")
    page.goto(f"{origin(own)}/sources")
    expect(page.locator("body")).not_to_contain_text("sk_")


def test_03_a_parser_is_tried_saved_and_reads_the_next_event(own: Running, people: tuple[Page, Page]) -> None:
    page, officer = people
    page.goto(f"{origin(own)}/sources/parsers")
    page.get_by_label("解析器名称").fill("gate")
    page.get_by_label("解析器（YAML）").fill(PARSER)
    page.get_by_label("试验用的日志").fill("<38>1 2026-11-24T08:00:00Z gate-1 gated - - - open by wang from 10.0.0.9")
    page.get_by_role("button", name="试验").click()
    expect(page.locator("#tried")).to_contain_text("10.0.0.9")
    page.get_by_role("button", name="保存并启用").click()
    expect(page.get_by_text("解析器已更新")).to_be_visible()

    def read() -> bool:
        say(own, "gate-1", "close by wang from 10.0.0.10")
        officer.goto(f"{origin(own)}/events?q=event.dataset:custom.gate")
        return officer.get_by_text("close by wang").count() > 0

    wait_until(read, timeout=30, what="an event that the parser read")


def test_04_an_officer_narrows_by_values_and_keeps_the_search(own: Running, people: tuple[Page, Page]) -> None:
    _, officer = people
    officer.goto(f"{origin(own)}/events?q=event.dataset:custom.gate")
    officer.locator("table.events-table tbody tr").first.get_by_role("link").first.click()
    officer.get_by_role("link", name="搜索 source.ip 等于此值", exact=True).click()
    expect(officer.locator("#q")).to_have_value('(event.dataset:custom.gate) AND source.ip:"10.0.0.10"')
    officer.get_by_text("已保存的搜索").click()
    officer.get_by_label("将当前搜索保存为").fill("车库道闸")
    officer.get_by_role("button", name="保存搜索").click()
    expect(officer.get_by_text("搜索已保存")).to_be_visible()
    officer.goto(f"{origin(own)}/events")
    officer.get_by_role("link", name="车库道闸").click()
    expect(officer.get_by_text("close by wang").first).to_be_visible()
