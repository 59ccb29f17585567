"""Every link that a page shows to somebody leads somewhere he may go, in time: walked from the first page on, as each role."""

from __future__ import annotations

import re
import time
from collections import Counter, deque
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import httpx
import pytest

from tests.console.world import World

NUMBERS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}|\d+")
ALIKE = 4  # pages of one kind that are opened: of alerts, of rules, of days in a chart
MOST = 250
SLOWEST = 1.0  # seconds


class Links(HTMLParser):
    """The addresses that a page offers to follow, and those of forms that only ask."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "a" and said.get("href"):
            self.found.append(str(said["href"]))
        if tag == "form" and said.get("method", "get") == "get" and said.get("action"):
            self.found.append(str(said["action"]))


def links(page: httpx.Response) -> list[str]:
    reader = Links()
    reader.feed(page.text)
    return [urldefrag(urljoin(str(page.url), href))[0] for href in reader.found]


def walk(client: httpx.Client, origin: str) -> tuple[list[str], int]:
    """What is wrong with pages reached from the first one, and how many were opened."""
    wrong: list[str] = []
    waiting, seen, kinds = deque([(f"{origin}/", "")]), {f"{origin}/"}, Counter[str]()
    opened = 0
    while waiting and opened < MOST:
        address, shown_on = waiting.popleft()
        begun = time.perf_counter()
        answer = client.get(address)
        took = time.perf_counter() - begun
        opened += 1
        # A form that only asks may be sent without its fields here, which is answered, if with a complaint.
        asks = address == f"{origin}/sources/connect"
        if answer.status_code not in {200, 303} and not asks:
            wrong.append(f"{answer.status_code} {address} on {shown_on}")
        if took > SLOWEST:
            wrong.append(f"{took:.1f} s {address}")
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        for one in links(answer):
            kind = NUMBERS.sub("N", re.sub(r"=[^&]*", "", one))  # pages that differ in values alone are alike
            if one.startswith(f"{origin}/") and one not in seen and kinds[kind] < ALIKE:
                seen.add(one)
                kinds[kind] += 1
                waiting.append((one, address))
    return wrong, opened


@pytest.fixture(scope="module", autouse=True)
def something(world: World) -> None:
    """An alert with its ticket, and the rules read, as the web role does when it starts."""
    world.brute_force("198.18.7.7", host="links")
    assert world.service.rules.rules


@pytest.mark.parametrize(
    ("username", "least"),
    [("officer", 40), ("inspector", 15), ("keeper", 15), ("admin", 5), ("auditor", 3), ("fixer", 3), ("servant", 2)],
)
def test_no_link_is_dead_forbidden_or_slow(world: World, username: str, least: int) -> None:
    with world.client(username) as client:
        wrong, opened = walk(client, world.origin)
    assert wrong == []
    assert opened >= least
