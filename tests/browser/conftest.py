"""Real Chromium against a real service: one server and one browser for all journeys."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.running import Running, service

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The whole service with the demo system."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with service(tmp_path_factory.mktemp("browser") / "var", demo=True) as found:
        yield found


@pytest.fixture(scope="module")
def browser(server: Running) -> Iterator[Browser]:
    """Debian's Chromium, closed after each file, as Playwright's event loop would stop asyncio.run in tests that follow; asked for after the server, so that a missing browser is the first thing said."""
    assert CHROMIUM is not None
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page of a visitor of its own."""
    context = browser.new_context(ignore_https_errors=True, locale="zh-CN", viewport={"width": 1280, "height": 800})
    yield context.new_page()
    context.close()
