"""What people do in the browser, by role and label, as they would."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyotp
from playwright.sync_api import Browser, Page, expect

from tests.service.running import Running
from tests.waiting import wait_until

STEP = 30  # seconds of a one-time code
MARGIN = 10  # seconds a form may take from the choice of the code to the service
PASSWORD = "五月的风吹过政务大厅2026"


@dataclass
class Person:
    """Somebody with a password and an authenticator; a code is used once only."""

    username: str
    secret: str = ""
    used: set[int] = field(default_factory=set)

    def code(self) -> str:
        """A code that was not used yet: of this step, the one before or the one after, as the service accepts."""
        wait_until(lambda: self._next_step() > 0, timeout=STEP + MARGIN, what="a one-time code that was not used")
        step = self._next_step()
        self.used.add(step)
        return pyotp.TOTP(self.secret).at(step * STEP)

    def _next_step(self) -> int:
        """The earliest step whose code the service still accepts when the form reaches it; 0 if all are used."""
        now = time.time()
        accepted = range(int(now + MARGIN) // STEP - 1, int(now) // STEP + 2)
        return next((step for step in accepted if step > max(self.used, default=0)), 0)


def origin(server: Running) -> str:
    """Where the console is."""
    return f"https://localhost:{server.ports['web']}"


@contextmanager
def staff(server: Running, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Pages of the first administrator and of an officer added by him, both logged in, on a service just installed."""
    contexts = [
        browser.new_context(ignore_https_errors=True, locale="zh-CN", viewport={"width": 1280, "height": 900})
        for _ in range(2)
    ]
    page, other = (context.new_page() for context in contexts)
    admin, li = Person("admin-wang"), Person("officer-li")
    become_administrator(page, server.setup_link(), admin)
    log_in(page, origin(server), admin)
    other.goto(add_person(page, origin(server), li.username, "李安全", "安全员"))
    enrol(other, li, "保存")
    log_in(other, origin(server), li)
    yield page, other
    for context in contexts:
        context.close()


def become_administrator(page: Page, link: str, person: Person) -> None:
    """Fill the form of the set-up link."""
    page.goto(link)
    page.get_by_label("用户名").fill(person.username)
    page.get_by_label("姓名").fill("王系统")
    enrol(page, person, "创建管理员")


def enrol(page: Page, person: Person, button: str) -> None:
    """Fill the form of the set-up link or of an invitation."""
    person.secret = page.locator("#totp-secret").inner_text().replace(" ", "")
    page.get_by_label("密码", exact=True).fill(PASSWORD)
    page.get_by_label("再次输入密码").fill(PASSWORD)
    page.get_by_label("动态口令").fill(person.code())
    page.get_by_role("button", name=button).click()


def log_in(page: Page, origin: str, person: Person) -> None:
    """Log in with password and code."""
    page.goto(f"{origin}/login")
    fill_login(page, person)
    expect(page.get_by_role("button", name="退出登录")).to_be_visible()


def fill_login(page: Page, person: Person) -> None:
    """Fill the login form that is open."""
    page.get_by_label("用户名").fill(person.username)
    page.get_by_label("密码", exact=True).fill(PASSWORD)
    page.get_by_label("动态口令").fill(person.code())
    page.get_by_role("button", name="登录", exact=True).click()


def add_person(page: Page, origin: str, username: str, name: str, role: str, organisation: str = "city") -> str:
    """Add somebody on the people page and give the invitation link."""
    page.goto(f"{origin}/people")
    page.get_by_label("用户名").fill(username)
    page.get_by_label("姓名").fill(name)
    page.get_by_label("单位", exact=True).select_option(organisation)
    page.get_by_label(role, exact=True).check()
    page.get_by_role("button", name="添加并生成邀请").click()
    link = page.get_by_text("/invite/")
    expect(link).to_be_visible()
    return link.inner_text().strip()
