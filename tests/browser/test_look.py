"""How the pages are for people: at three widths, in the dark, by keyboard, without scripts, for a screen reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from secops.api.session import COOKIE
from secops.records import Level
from tests.console.world import PASSWORD, World, make_world, send

pytestmark = [pytest.mark.browser, pytest.mark.process, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

PAGES = {
    "": ["/login"],
    "officer": [
        "/", "/events", "/events?q=event.kind:pipeline_error", "/alerts", "/alerts/1", "/alerts/silences?alert=1", "/alerts/maintenance", "/alerts/noise", "/alerts/attack", "/runbooks/ssh-brute-force.md", "/tickets", "/tickets/1", "/evidence", "/rules", "/rules/new", "/rules/RULE", "/rules/imports", "/me",
    ],
    "admin": ["/", "/people", "/people/PERSON"],
    "auditor": ["/audit"],
    "servant": ["/"],
}  # fmt: skip
RULE = "9379e817-21aa-4bd8-bb56-65db092321f7"  # a correlation of ours
WIDTHS = (1280, 768, 390)
# What a person with a screen reader or weak eyes would stumble over, found in the page itself.
FAULTS = """() => {
  const faults = [];
  const seen = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) faults.push(`id twice: ${id}`);
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!e.labels.length && !e.ariaLabel) faults.push(`no label: ${e.name}`);
  for (const e of document.querySelectorAll("img:not([alt])")) faults.push(`no alt: ${e.src.slice(0, 60)}`);
  for (const e of document.querySelectorAll("a[href], button"))
    if (seen(e) && !(e.innerText ?? e.textContent).trim() && !e.ariaLabel) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  const over = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (over > 0) faults.push(`wider than the window by ${over}`);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color, under) => {
    canvas.fillStyle = `rgb(${under})`; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (e) => {
    const line = [];
    for (let one = e; one; one = one.parentElement) line.unshift(getComputedStyle(one));
    return line.reduce((under, style) => rgb(style.backgroundColor, under), [255, 255, 255]);
  };
  const said = new Set();
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !seen(e) || e.closest("svg, .door > main > .brand, .hidden-text, .skip")) continue;
    const ground = behind(e), ink = rgb(getComputedStyle(e).color, ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const what = `contrast ${ratio.toFixed(1)}: ${e.tagName}.${e.getAttribute("class")} ${(e.innerText ?? e.textContent).slice(0, 20)}`;
    if (ratio < 4.5 && !said.has(`${e.tagName}.${e.className}`)) { said.add(`${e.tagName}.${e.className}`); faults.push(what); }
  }
  return faults;
}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service with something on every page."""
    made = make_world(tmp_path_factory.mktemp("look"))
    try:
        made.set_up()
        made.start()
        made.brute_force("203.0.113.7", level=Level.CRITICAL)
        made.brute_force(
            "198.51.100.7", host="a-host-with-quite-a-long-name-of-its-own.department.city.example", level=Level.LOW
        )
        made.ingest("<13>Nov 24 08:00:00 h1 app[1]: " + "x" * 3000, b"\xff\xfe\x00", error="malformed")
        made.pkcs12("officer")
        yield made
    finally:
        made.end()


@contextmanager
def visit(browser: Browser, world: World, username: str, **context: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page of the person's, and what the browser complained of: script errors, refused resources."""
    options: dict[str, Any] = {
        "ignore_https_errors": True,
        "locale": "zh-CN",
        "viewport": {"width": 1280, "height": 900},
    }
    opened = browser.new_context(**options | context)
    if username:
        cookie = {
            "name": COOKIE,
            "value": world.session(username),
            "url": world.origin,
            "secure": True,
            "httpOnly": True,
        }
        opened.add_cookies([cookie])  # type: ignore[list-item]  # a TypedDict of playwright's
    page, complaints = opened.new_page(), []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page, complaints
    finally:
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("username", list(PAGES))
def test_pages_have_no_faults(browser: Browser, world: World, username: str, scheme: str) -> None:
    faults = []
    with visit(browser, world, username, color_scheme=scheme) as (page, complaints):
        for path in (
            one.replace("PERSON", world.people["officer"].account_id).replace("RULE", RULE) for one in PAGES[username]
        ):
            answer = page.goto(world.origin + path)
            assert answer is not None
            assert answer.status == 200, path
            page.evaluate("() => document.querySelectorAll('details').forEach((one) => (one.open = true))")
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                faults += [f"{path} at {width}: {fault}" for fault in page.evaluate(FAULTS)]
    assert not faults, "\n".join(faults)
    assert not complaints


def test_everything_works_without_scripts(browser: Browser, world: World) -> None:
    alert = world.brute_force("203.0.113.201")
    with visit(browser, world, "officer", java_script_enabled=False) as (page, _complaints):
        page.goto(f"{world.origin}/alerts/{alert.id}")
        page.get_by_label("备注（可不填）").fill("在看")
        page.get_by_role("button", name="确认告警").click()
        expect(page.get_by_role("status").filter(has_text="告警已确认")).to_be_visible()
        expect(page.get_by_text("在看")).to_be_visible()
        page.get_by_role("button", name="English").click()
        expect(page.get_by_role("button", name="Log out")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    world.sessions.pop("officer")


def test_the_filters_of_rules_and_their_button_stand_in_one_line(browser: Browser, world: World) -> None:
    with visit(browser, world, "officer", viewport={"width": 1280, "height": 800}) as (page, _complaints):
        page.goto(f"{world.origin}/rules")
        field, button = (
            one.bounding_box() for one in (page.locator("#q"), page.get_by_role("button", name="查看", exact=True))
        )
        assert field is not None
        assert button is not None
        assert button["y"] < field["y"] + field["height"]


def test_logging_in_by_keyboard_alone(browser: Browser, world: World) -> None:
    with visit(browser, world, "") as (page, complaints):
        page.goto(f"{world.origin}/login?next=/me")
        expect(page.get_by_label("用户名")).to_be_focused()
        for text in ("inspector", PASSWORD, world.code("inspector")):
            page.keyboard.type(text)
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="我的账号")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="跳到正文")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#content")).to_be_focused()
        assert not complaints


def test_an_open_page_leaves_when_its_session_ends(browser: Browser, world: World) -> None:
    token = world.log_in("servant")
    world.sessions["servant"] = token
    with visit(browser, world, "servant") as (page, _complaints):
        page.goto(world.origin + "/")
        expect(page.locator("#live-state")).to_have_text("自动更新中")
        world.service.identity.logout(token, world.clock())
        expect(page.get_by_role("heading", name="登录")).to_be_visible(timeout=3000)


def test_typing_in_a_form_survives_an_update(browser: Browser, world: World) -> None:
    alert = world.brute_force("203.0.113.202")
    with visit(browser, world, "officer") as (page, _complaints):
        page.goto(f"{world.origin}/alerts/{alert.id}")
        expect(page.locator("#live-state")).to_have_text("自动更新中")
        page.get_by_label("备注（可不填）").fill("写到一半")
        with world.client("officer") as other:
            path = f"/alerts/{alert.id}"
            assert send(other, path, f"{path}/close", disposition="benign", reason="同事已处理").status_code == 303
        expect(page.locator("#facts")).to_contain_text("同事已处理")
        expect(page.get_by_label("备注（可不填）")).to_have_value("写到一半")
