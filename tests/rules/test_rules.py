"""The product's own rules: each carries its proof, an owner, a runbook, and the clauses it serves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
import zstandard
from typer.testing import CliRunner

from secops.cli.lines import CHUNK, DamagedError, open_lines, read_lines
from secops.cli.root import build
from secops.cli.rule_examples import run_examples
from secops.match.load import load_rules
from secops.ticket.services import load_catalogue

ROOT = Path(__file__).resolve().parents[2]
RULES = load_rules([ROOT / "rules" / part for part in ("detection", "correlation", "watch")])
CLAUSE = re.compile(r"8\.[12]\.\d{1,2}\.\d{1,2}-[a-z]")


def test_every_rule_is_read_and_there_are_enough() -> None:
    assert RULES.refused == ()
    assert len(RULES.rules) >= 20


def test_every_example_holds() -> None:
    assert [str(failure) for failure in run_examples(RULES)] == []


@pytest.mark.parametrize("rule", RULES.rules, ids=lambda rule: Path(rule.info.source).stem)
def test_a_rule_is_complete(rule: object) -> None:
    info, examples = rule.info, rule.examples  # type: ignore[attr-defined]
    assert examples.match
    assert examples.no_match
    assert info.owner
    assert re.search(r"[\u4e00-\u9fff]", info.title_zh)
    assert (ROOT / "runbooks" / info.runbook).is_file(), info.runbook
    assert info.clauses
    assert all(CLAUSE.fullmatch(clause) for clause in info.clauses), info.clauses
    if info.service:
        load_catalogue([ROOT / "rules" / "services"]).get(info.service)


def test_a_rule_that_says_it_only_feeds_others_raises_no_alert() -> None:
    silent = [rule for rule in RULES.rules if "does not alert by itself" in Path(rule.file).read_text()]
    assert len(silent) >= 4
    assert [rule.info.title for rule in silent if rule.info.alert] == []


def test_ids_are_unique() -> None:
    ids = [rule.info.id for rule in RULES.rules]
    assert len(ids) == len(set(ids))


def test_check_exits_1_and_names_file_and_line_of_a_rule_it_does_not_understand(tmp_path: Path) -> None:
    broken = "title: X\nid: 6a1f3a4e-0000-4000-8000-000000000001\nlogsource: {product: linux}\ndetection:\n  a:\n    f|nonsense: 1\n  condition: a\n"
    (tmp_path / "broken.yml").write_text(broken)
    done = CliRunner().invoke(build("rules"), ["rules", "check", str(tmp_path), "--json"])
    assert done.exit_code == 1
    [refused] = orjson.loads(done.stdout)["refused"]
    assert refused["file"].endswith("broken.yml")
    assert refused["line"] == 6
    assert "nonsense" in refused["en"]


def test_detect_gives_a_line_a_hit_and_the_rate(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    lines = [
        {"event.dataset": "linux.sshd", "event.action": "ssh_login", "event.outcome": "success", "user.name": "root"},
        {"x": 1},
    ]
    events.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    rules = str(ROOT / "rules" / "detection")
    done = CliRunner().invoke(build("detect"), ["detect", "--rules", rules, "--events", str(events), "--hits"])
    assert done.exit_code == 0
    hits = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert hits
    assert {hit["event"] for hit in hits} == {1}
    assert all(hit["rule_id"] and hit["fields"] for hit in hits)
    summary = orjson.loads(
        CliRunner().invoke(build("detect"), ["detect", "--rules", rules, "--events", str(events), "--json"]).stdout
    )
    assert summary


LINES = [b'{"n": "%d"}' % (number * 7919) for number in range(20_000)]


def frames(*parts: list[bytes]) -> bytes:
    make = zstandard.ZstdCompressor(write_checksum=True)
    return b"".join(make.compress(b"\n".join(part) + b"\n") for part in parts)


@pytest.mark.parametrize("damage", [lambda whole: whole[:5000] + b"\xff" * 50 + whole[5050:], lambda whole: whole[:-5], lambda _: b"no zstd"])  # fmt: skip
def test_a_damaged_file_of_events_is_said_to_be_damaged(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    (tmp_path / "events.jsonl.zst").write_bytes(damage(frames(LINES)))
    with pytest.raises(DamagedError), open_lines(tmp_path / "events.jsonl.zst") as pieces:
        list(read_lines(pieces))
    rules = str(ROOT / "rules" / "detection")
    done = CliRunner().invoke(
        build("detect"), ["detect", "--rules", rules, "--events", str(tmp_path / "events.jsonl.zst"), "--json"]
    )
    assert done.exit_code == 2
    assert "cannot read the events" in done.stderr


@pytest.mark.parametrize("frame_counts", [(20_000,), (1, 19_999), (7, 0, 10_000, 9993)])
def test_lines_of_every_frame_come_out(tmp_path: Path, frame_counts: tuple[int, ...]) -> None:
    rest, parts = list(LINES), []
    for count in frame_counts:
        parts.append(rest[:count])
        rest = rest[count:]
    (tmp_path / "e.zst").write_bytes(b"".join(frames(part) if part else frames([b""]) for part in parts))
    with open_lines(tmp_path / "e.zst") as pieces:
        assert [line for lines in read_lines(pieces) for line in lines if line] == LINES


def test_a_line_without_end_is_skipped_and_the_next_is_read() -> None:
    found = [line for lines in read_lines([b"a\nb", *[b"x" * CHUNK] * 20, b"y\nc\n", b"d"]) for line in lines]
    assert found == [b"a", None, b"c", b"d"]
