"""An officer's day without a mouse: every stop of the Tab key is named and seen, and what is needed is done by keys alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from secops.console.charts import SHANGHAI
from tests.browser.test_look import visit
from tests.console.world import World, make_world

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

RULE = "2cd5d75d-f11a-4238-9388-f3cbd57d0414"  # SSH brute force
MOST_STOPS = 400
PAGES = [
    "/",
    "/rules?q=ssh",
    f"/rules/{RULE}",
    "/rules/new",
    "/alerts",
    "/alerts/1",
    "/alerts/maintenance",
    "/tickets/1",
]
# Where the focus is: what a screen reader would call it, and whether somebody who sees can tell.
STOP = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e), box = e.getBoundingClientRect();
  const labels = e.labels ? [...e.labels].map((one) => one.innerText).join(" ") : "";
  const name = (e.ariaLabel || labels || e.innerText || e.value || "").trim();
  const stops = (window.stops ??= new Map());
  const before = stops.has(e);
  stops.set(e, true);
  return { what: `${e.tagName} ${e.id || e.name || e.href || ""}`, name, before,
           seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 0 && box.height > 0 };
}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service with an alert and its ticket."""
    made = make_world(tmp_path_factory.mktemp("keyboard"))
    try:
        made.set_up()
        made.start()
        made.brute_force("203.0.113.7")
        yield made
    finally:
        made.end()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the wanted thing has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if wanted.evaluate("e => e === document.activeElement"):
            return
    raise AssertionError(f"Tab never reaches {wanted}")


def write(page: Page, label: str, text: str, within: Locator | None = None) -> None:
    tab_to(page, (within or page).get_by_label(label, exact=True))
    page.keyboard.type(text)


def press(page: Page, role: str, name: str, within: Locator | None = None) -> None:
    where = within or page
    tab_to(page, where.get_by_role("button" if role == "button" else "link", name=name, exact=True).first)
    page.keyboard.press("Enter")


def unfold(page: Page, text: str) -> None:
    tab_to(page, page.locator("summary", has_text=text))
    page.keyboard.press("Enter")


@pytest.mark.parametrize("path", PAGES)
def test_every_stop_is_named_and_seen_and_none_holds_the_focus(browser: Browser, world: World, path: str) -> None:
    faults = []
    with visit(browser, world, "officer") as (page, _complaints):
        page.goto(world.origin + path)
        page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for number in range(MOST_STOPS):
            page.keyboard.press("Tab")
            stop = page.evaluate(STOP)
            if stop is None:
                break  # past the last one: the browser's own frame
            if number == 0:
                assert stop["name"] == "跳到正文", "the way past the navigation comes first"
            if not stop["name"]:
                faults.append(f"no name: {stop['what']}")
            if not stop["seen"]:
                faults.append(f"not seen: {stop['what']}")
            if stop["before"] and "datetime-local" not in page.evaluate("() => document.activeElement.type ?? ''"):
                break
        else:
            faults.append("the Tab key never comes to an end")
    assert not faults, "\n".join(dict.fromkeys(faults))
    assert number > 5


def test_a_maintenance_window_is_announced_and_ended_by_keys_alone(browser: Browser, world: World) -> None:
    now = world.clock().astimezone(SHANGHAI)
    with visit(browser, world, "officer") as (page, complaints):
        page.goto(f"{world.origin}/alerts")
        press(page, "link", "维护窗口")
        write(page, "变更单号", "CR-2026-118")
        write(page, "作业内容", "更换核心交换机")
        tab_to(page, page.get_by_label("主机，每行一个", exact=False))
        page.keyboard.type("core-sw*")
        end = page.get_by_label("至", exact=True)
        usual = datetime.fromisoformat(end.input_value()).replace(tzinfo=SHANGHAI) - now
        assert timedelta(hours=1, minutes=58) < usual < timedelta(hours=2, minutes=2)
        tab_to(page, end)
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowUp")  # a day or a month later, in whatever order the browser shows them
        press(page, "button", "登记")
        row = page.get_by_role("row").filter(has_text="CR-2026-118")
        expect(row).to_contain_text("生效中")
        expect(row).to_contain_text("core-sw*")
        unfold(page, "提前结束")
        write(page, "原因", "提前完工", row)
        press(page, "button", "结束窗口", row)
        expect(page.get_by_role("row").filter(has_text="提前完工")).to_contain_text("已结束")
        assert not complaints


def test_a_rule_is_found_excepted_and_switched_by_keys_alone(browser: Browser, world: World) -> None:
    with visit(browser, world, "officer") as (page, complaints):
        page.goto(f"{world.origin}/rules")
        write(page, "查找规则", "SSH 暴力破解")
        page.keyboard.press("Enter")
        press(page, "link", "SSH 暴力破解")
        expect(page.get_by_role("heading", level=1)).to_have_text("SSH 暴力破解")
        form = page.locator("#except-form")
        unfold(page, "添加例外")
        write(page, "不再报告的事件", "source.ip|cidr: 10.8.0.0/16", form)
        write(page, "原因", "漏洞扫描网段", form)
        press(page, "button", "添加", form)
        expect(page.locator("#exceptions")).to_contain_text("漏洞扫描网段")
        form = page.locator("#switch-form")
        unfold(page, "启用或停用")
        write(page, "原因", "演练期间", form)
        press(page, "button", "保存", form)
        expect(page.locator("#switches")).to_contain_text("演练期间")
        assert not complaints
