"""Files are brought by the page: a table's columns are chosen, the page counts by itself, and a killed role loses and repeats nothing."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.browser.people import origin, staff
from tests.service.running import Running, service
from tests.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

SLOW = 60_000
MANY = 60_000
TABLE = "时间,主机,内容,端口\n2026-03-01 08:00:00,door-7,门已打开,22\n坏的时间,door-8,门已关闭,23\n".encode("gb18030")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with service(tmp_path_factory.mktemp("uploads") / "var", demo=False) as found:
        yield found


@pytest.fixture(scope="module")
def people(own: Running, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Pages of an administrator and an officer who have logged in."""
    with staff(own, browser) as pages:
        yield pages


def bring(page: Page, server: Running, name: str, data: bytes) -> None:
    page.goto(f"{origin(server)}/sources/uploads")
    page.locator("#file").set_input_files(FilePayload(name=name, mimeType="application/octet-stream", buffer=data))
    page.get_by_role("button", name="上传", exact=True).click()


def test_01_the_columns_of_a_table_are_chosen_and_its_rows_are_found(own: Running, people: tuple[Page, Page]) -> None:
    page, officer = people
    bring(page, own, "门禁.csv", TABLE)
    expect(page.locator("#columns")).to_contain_text("门已打开")
    expect(page.get_by_label("时间 @timestamp")).to_have_value("时间")
    page.get_by_role("button", name="按此读取").click()
    expect(page.locator("#upload")).to_contain_text("已读完", timeout=SLOW)
    number = page.url.partition("?")[0]
    officer.goto(number)
    officer.get_by_role("link", name="查看日志").click()
    wait_until(lambda: officer.reload() and "door-7" in officer.content(), 30)
    expect(officer.locator("body")).to_contain_text("door-8")


def test_02_a_killed_role_neither_loses_nor_repeats(own: Running, people: tuple[Page, Page]) -> None:
    page, _ = people
    data = gzip.compress(
        b"".join(b'{"time":"2026-03-01T00:00:00Z","host":"big","message":"number %d"}\n' % n for n in range(MANY))
    )
    bring(page, own, "big.jsonl.gz", data)
    wait_until(lambda: own.rows("SELECT stored FROM uploads WHERE name = 'big.jsonl.gz' AND stored > 0") != [], 60)
    assert own.kill("ingest")
    expect(page.locator("#upload")).to_contain_text("已读完", timeout=SLOW)
    expect(page.locator("#upload")).to_contain_text(f"{MANY:,}")
    wait_until(lambda: own.command("search", "host.name:big", "--limit", "1")["total"] >= MANY, 60)
    assert own.command("search", "host.name:big", "--limit", "1")["total"] == MANY


def test_03_the_same_file_again_is_told(own: Running, people: tuple[Page, Page]) -> None:
    page, _ = people
    bring(page, own, "again.csv", TABLE)
    expect(page.get_by_text("此文件此前已上传")).to_be_visible()
    page.goto(f"{origin(own)}/sources/uploads")
    expect(page.locator("#uploads tbody tr")).to_have_count(2)


def test_04_the_pages_work_without_scripts(own: Running, people: tuple[Page, Page], browser: Browser) -> None:
    known = people[0].context.storage_state()
    context = browser.new_context(
        java_script_enabled=False, ignore_https_errors=True, storage_state=known, locale="zh-CN"
    )
    try:
        page = context.new_page()
        bring(page, own, "door.csv", TABLE.replace(b"door-7", b"door-9").replace(b"22", b"24"))
        expect(page.locator("h1")).to_contain_text("door.csv")
        bring(page, own, "no.evtx", b"ElfFile but none")
        expect(page.locator("h1")).to_be_visible()
    finally:
        context.close()
