"""Lists of indicators: what they hold, what matches, what a match says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from secops.match.detector import Detector
from secops.match.indicators import read_list
from secops.match.load import load_rules
from tests.match.conftest import watch
from tests.match.watching import BODIES, event, of


@pytest.mark.parametrize(
    ("kind", "listed", "hits", "misses"),
    [
        ("ip", "192.0.2.1\n198.51.100.0/24\n2001:db8::/32\n10.0.0.7/8", ["192.0.2.1", "198.51.100.255", "2001:DB8:0::1", "::ffff:192.0.2.1", "10.9.9.9", "fe80::1%eth0, no"], ["192.0.2.2", "198.51.101.0", "2001:db9::", "", "x", "192.0.2.1.example"]),
        ("domain", "bad.example\n*.worse.example\n例子.测试", ["bad.example", "A.B.Bad.Example.", "x.worse.example", "worse.example", "www.例子.测试"], ["notbad.example", "example", "bad.example.org", "", ".", "a..b"]),
        ("hash", "D41D8CD98F00B204E9800998ECF8427E", ["d41d8cd98f00b204e9800998ecf8427e", "SHA1=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709,MD5=D41D8CD98F00B204E9800998ECF8427E"], ["d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427e0"]),
        ("url", "https://Bad.example/a?b=1#c\nhttp://bad.example/", ["http://bad.example/a?b=1", "BAD.example/a?b=1#z", "bad.example", "https://bad.example:443/"], ["bad.example/A?b=1", "bad.example/a", "", "://"]),
    ],
)  # fmt: skip
def test_indicators(tmp_path: Path, kind: str, listed: str, hits: list[str], misses: list[str]) -> None:
    (tmp_path / "l.txt").write_text(listed, encoding="utf-8")
    found = read_list(tmp_path / "l.txt", kind)
    assert found.unreadable == 0
    assert [text for text in hits if found.find(text) is None] == [text for text in hits if text.endswith(", no")]
    assert [text for text in misses if found.find(text) is not None] == []


def test_a_match_says_which_line_of_which_list(tmp_path: Path) -> None:
    listed = "# comment\n\n192.0.2.0/24,net\n192.0.2.7,  the host, named \nrubbish\n"
    found = of(tmp_path, "ioc", listed)
    detector = Detector(found)
    [match] = detector.run([event(0, 5, v=["10.0.0.1", "192.0.2.7"])])
    assert match.fields == {
        "v": "192.0.2.7",
        "host.name": "x",
        "ioc.indicator": "192.0.2.7",
        "ioc.list": "list.txt",
        "ioc.line": 4,
        "ioc.note": "the host, named",
    }
    assert (match.group, match.event_ids) == ((("host.name", "x"),), ("0-5",))
    [net] = detector.run([event(0, v="192.0.2.8")])
    assert net.fields["ioc.indicator"] == "192.0.2.0/24"
    assert detector.statistics()["dropped"] == 1


def test_a_changed_list_is_another_list(tmp_path: Path) -> None:
    assert Detector(of(tmp_path, "ioc", "192.0.2.1\n")).run([event(0, v="192.0.2.2")]) == []
    assert Detector(of(tmp_path, "ioc", "192.0.2.1\n192.0.2.2\n")).run([event(0, v="192.0.2.2")])


def test_a_list_that_went_away_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    found = of(tmp_path, "ioc")
    (tmp_path / "list.txt").unlink()
    detector = Detector(found)
    assert detector.run([event(0, v="192.0.2.1")]) == []
    assert detector.statistics()["dropped"] == 1


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    document = watch({"type": "ioc", **BODIES["ioc"]})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    assert "cannot use list.txt" in load_rules([tmp_path]).refused[0].en


def test_a_hundred_thousand_entries_are_looked_up_without_going_through_them(tmp_path: Path) -> None:
    names = [f"host-{number}.example{number % 97}.net" for number in range(100_000)]
    (tmp_path / "l.txt").write_text("\n".join(names))
    found = read_list(tmp_path / "l.txt", "domain")
    assert found.entries == 100_000
    table = found._table
    steps = 0
    for name in names[::100]:
        wanted, place = table._place(name)
        steps += (place - ((wanted ^ (wanted >> 32)) & (table._size - 1))) % table._size + 1
        assert found.find(f"www.{name}").line == names.index(name) + 1
    assert steps < 1000 * 3
