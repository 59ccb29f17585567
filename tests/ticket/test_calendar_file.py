from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from secops.errors import UserError
from secops.ticket.calendar import DayKind, Status
from secops.ticket.calendar_file import generate, load_calendar

OURS = Path(__file__).parents[2] / "rules" / "calendar"
HEAD = 'version: "1"\ntimezone: Asia/Shanghai\nsegments: ["08:30-12:00"]\n'


def test_our_file_is_what_the_generator_writes() -> None:
    version = load_calendar([OURS / "cn.yaml"]).version
    assert (OURS / "cn.yaml").read_text(encoding="utf-8") == generate((2025, 2026, 2027), version)


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        # The State Council's notices for 2025 and 2026: make-up working days, and days off on both sides of them.
        ("2025-01-26", DayKind.MAKEUP),
        ("2025-02-08", DayKind.MAKEUP),
        ("2025-04-27", DayKind.MAKEUP),
        ("2025-09-28", DayKind.MAKEUP),
        ("2025-10-11", DayKind.MAKEUP),
        ("2026-01-04", DayKind.MAKEUP),
        ("2026-02-14", DayKind.MAKEUP),
        ("2026-02-28", DayKind.MAKEUP),
        ("2026-05-09", DayKind.MAKEUP),
        ("2026-09-20", DayKind.MAKEUP),
        ("2026-10-10", DayKind.MAKEUP),
        ("2025-10-08", DayKind.HOLIDAY),
        ("2026-02-23", DayKind.HOLIDAY),
        ("2026-02-24", DayKind.WORKDAY),
        ("2026-10-07", DayKind.HOLIDAY),
        ("2026-10-08", DayKind.WORKDAY),
        ("2026-10-11", DayKind.WEEKEND),
    ],
)
def test_known_days_are_right(day: str, kind: DayKind) -> None:
    assert load_calendar([OURS]).kind(date.fromisoformat(day)) is kind


def test_a_year_without_a_notice_says_so() -> None:
    ours = load_calendar([OURS])
    assert [ours.status(year) for year in (2025, 2026, 2027, 2028)] == [
        Status.OFFICIAL,
        Status.OFFICIAL,
        Status.PROVISIONAL,
        Status.PROVISIONAL,
    ]


def test_a_later_file_lays_a_notice_or_a_local_closure_on_top(tmp_path: Path) -> None:
    notice = tmp_path / "notice.yaml"
    notice.write_text(
        "version: notice-2027\nyears:\n  2027: {status: official, source: a notice}\n"
        "days:\n  - {date: 2027-02-13, kind: makeup}\n  - {date: 2026-03-04, kind: holiday, name: 本地停办}\n",
        encoding="utf-8",
    )
    both = load_calendar([OURS, notice])
    assert both.status(2027) is Status.OFFICIAL
    assert both.kind(date(2027, 2, 13)) is DayKind.MAKEUP
    assert both.kind(date(2026, 3, 4)) is DayKind.HOLIDAY
    assert both.version.endswith("+notice-2027")
    assert both.timezone == "Asia/Shanghai"


@pytest.mark.parametrize(
    ("body", "line", "reason"),
    [
        (HEAD + "days:\n  - {date: 2026-13-01, kind: holiday}\n", 5, "written 2026-01-31"),
        (HEAD + "days:\n  - {date: 2026-01-01, kind: feast}\n", 5, "not one of"),
        (HEAD + "days:\n  - {date: 2026-01-01, kind: holiday}\n  - {date: 2026-01-01, kind: makeup}\n", 6, "twice"),
        (HEAD + "days:\n  - {date: 2026-01-01, kind: holiday, hours: 3}\n", 5, "not known"),
        (HEAD + "days: 3\n", 4, "a list is expected"),
        (HEAD.replace("Asia/Shanghai", "Asia/Atlantis") + "days: []\n", 2, "no time zone"),
        (HEAD.replace("Asia/Shanghai", "../../etc/passwd") + "days: []\n", 2, "no time zone"),
        (HEAD.replace("08:30-12:00", "8-12") + "days: []\n", 3, "written 08:30-12:00"),
        (HEAD.replace("08:30-12:00", "12:00-08:30") + "days: []\n", 3, "must end after"),
        (HEAD.replace('["08:30-12:00"]', "[]") + "days: []\n", 3, "at least one segment"),
        (HEAD + "years: {26: {status: official, source: x}}\ndays: []\n", 4, "not a year"),
        (HEAD, 1, "'days' is missing"),
        (HEAD + "version: again\ndays: []\n", 4, "twice"),
        ("version: [\n", 2, "not valid YAML"),
        ("- 1\n", 1, "a mapping is expected"),
    ],
)
def test_a_mistake_names_file_line_and_reason(tmp_path: Path, body: str, line: int, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(body, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_calendar([file])
    assert caught.value.code == "calendar.file"
    assert caught.value.en.startswith(f"{file}:{line}: ")
    assert reason in caught.value.en
    assert caught.value.zh.startswith(f"{file}:{line}: ")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 5000, b"# nothing but a comment\n"])
def test_files_that_are_no_calendar_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.yaml"):
        load_calendar([file])
    with pytest.raises(UserError, match="does not exist"):
        load_calendar([tmp_path / "absent.yaml"])
