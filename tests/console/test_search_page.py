"""The search page: columns, facets, the histogram and an event's values lead on; searches are kept; export as CSV."""

from __future__ import annotations

import csv
import html
import io
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.console.asked import COLUMNS, FACETS, MOST_FIELDS, Asked, field_names
from secops.console.event_lines import csv_lines
from secops.console.searches import cleaned
from tests.console.world import World, send


def links(text: str, part: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'href="(/events\?[^"]*)"', text) if part in html.unescape(one)]


def test_columns_and_facets_are_the_visitors_choice_and_stay_with_the_search(world: World) -> None:
    world.brute_force("192.0.2.70", host="columns-70")
    with world.client("officer") as client:
        text = client.get("/events?q=host.name:columns-70&columns=source.ip,user.name&facets=process.name").text
        assert ">source.ip</th>" in text
        assert "192.0.2.70" in text
        assert "<h3>process.name</h3>" in text
        narrowed = links(text, "process.name%3A")
        assert narrowed
        assert all("columns=source.ip+user.name" in one and "facets=process.name" in one for one in narrowed)
        assert "sshd" in client.get(narrowed[0]).text
        for odd in ("<b>", "a" * 500, "original.x", "message", "%00", "__class__", "tags", ","):
            assert client.get(f"/events?columns={odd}&facets={odd}").status_code == 200, odd


def test_a_bar_of_the_histogram_narrows_the_time_and_finds_what_it_counts(world: World) -> None:
    world.brute_force("192.0.2.71", host="bars-71")
    with world.client("officer") as client:
        text = client.get("/events?q=host.name:bars-71").text
        chart = text.split('class="chart"')[1].split("</svg>")[0]
        bars = links(chart, "range=custom")
        assert bars
        found = [client.get(one).text for one in bars]
        assert all("host.name:bars-71" in page and 'class="message"' in page for page in found)


def test_a_value_of_an_event_narrows_the_search_or_leaves_it_out(world: World) -> None:
    alert = world.brute_force("192.0.2.72", host="values-72")
    with world.client("officer") as client:
        text = client.get(f"/events/{alert.event_ids[0]}?q=host.name:values-72").text
        only, without = links(text, "AND+source.ip%3A%22192.0.2.72"), links(text, "NOT+source.ip")
        assert only
        assert without
        assert 'class="message"' in client.get(only[0]).text
        assert "没有结果" in client.get(without[0]).text


def test_searches_are_kept_shared_renamed_and_deleted(world: World) -> None:
    with world.client("officer") as officer, world.client("inspector") as other, world.client("county") as county:
        address = "q=host.name%3Akept-73&columns=user.name&x=1"
        answer = send(officer, "/events", "/events/searches", name="我的<b>", address=address)
        assert answer.status_code == 303
        assert "x=1" not in answer.headers["location"]
        text = officer.get("/events").text
        assert "我的&lt;b&gt;" in text
        assert "我的" not in other.get("/events").text
        number = re.findall(r'id="search-(\d+)"', text)[-1]
        path = f"/events/searches/{number}"
        assert send(other, "/events", path, name="x").status_code == 404
        assert send(other, "/events", f"{path}/delete").status_code == 404
        assert send(officer, "/events", path, name=" ").status_code == 400
        assert send(officer, "/events", path, name="改名", shared="yes").status_code == 303
        shown = other.get("/events").text
        assert "改名" in shown
        assert f'id="search-{number}"' not in shown, "only who saved it changes it"
        assert "改名" not in county.get("/events").text
        assert send(officer, "/events", f"{path}/delete").status_code == 303
        assert "改名" not in other.get("/events").text


def test_csv_has_the_chosen_columns_runs_no_formula_and_is_audited(world: World) -> None:
    world.ingest("<38>1 2026-11-24T08:00:00Z csv-74 app - - - =cmd|' /C calc'!A1, \"两\"")
    with world.client("officer") as client:
        answer = client.get("/events/export?form=csv&range=all&q=host.name:csv-74")
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0] == ["@timestamp", *COLUMNS, "event.id"]
    assert [row[3] for row in rows[1:]] == ["'=cmd|' /C calc'!A1, \"两\""]


@given(st.text(max_size=200))
def test_names_of_fields_are_names_and_few(text: str) -> None:
    found = field_names(text, FACETS)
    assert 1 <= len(found) <= MOST_FIELDS
    assert all(re.fullmatch(r"[@A-Za-z_][A-Za-z0-9_.@-]*", name) for name in found)


@given(st.text(max_size=300))
def test_what_is_kept_of_an_address_is_a_search_whatever_was_sent(text: str) -> None:
    assert set(parse_qs(cleaned(text))) <= {"q", "range", "from", "to", "columns", "facets"}
    assert not cleaned(text).startswith("/")


@given(st.text(min_size=1, max_size=50), st.text(max_size=50))
def test_an_added_value_comes_through_the_address_whole(value: str, text: str) -> None:
    start = datetime(2026, 11, 24, tzinfo=UTC)
    asked = Asked(text, "custom", start, start + timedelta(hours=1), "")
    query = parse_qs(asked.narrowed("user.name", value), errors="surrogatepass")["q"][0]
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert query.endswith(f'user.name:"{escaped}"')


def test_cells_of_every_type_are_text() -> None:
    event = {"@timestamp": "t", "a": ["x", 1], "b": 5, "c": "-5", "event.id": "0-1", "original": {"k": "v"}}
    [_, row] = list(csv_lines([[event]], ["a", "b", "c", "original.k", "none"]))
    assert row == b'"[""x"",1]"'.join([b"t,", b",5,'-5,v,,0-1\r\n"])


@pytest.mark.parametrize("query", ["q=" + quote('"'), "from=x&range=custom", "form=xml"])
def test_odd_exports_are_no_faults(world: World, query: str) -> None:
    with world.client("officer") as client:
        assert client.get(f"/events/export?{query}").status_code in {200, 400}
