from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secops.errors import UserError
from secops.ticket.calendar import Calendar
from secops.ticket.services import ServiceClass, load_catalogue
from secops.ticket.targets import Amount, Duty, Hours, Response, ResponseTable, amount

OURS = Path(__file__).parents[2] / "rules" / "services"
TABLES = """response_tables:
  t:
    longest_pause: 24 h
    1: {hours: always, answer: 15 min, restore: 4 h}
    2: {hours: always, answer: 15 min, restore: 4 h}
    3: {hours: business, answer: 15 min, restore: 1 working day}
    4: {hours: business, answer: 15 min, restore: 3 working days}
"""
SERVICE = """services:
  one:
    zh: 一
    en: One
    class: desk
    unit_zh: 月
    unit_en: month
    price_basis: x
    quality: [{metric_zh: 甲, metric_en: a, target: 98 %, source: tickets, deduction: 1 point}]
    response: t
"""


def test_our_catalogue_has_every_class_and_the_ids_that_rules_name() -> None:
    ours = load_catalogue([OURS])
    assert {
        "security-operations",
        "host-operations",
        "network-operations",
        "application-operations",
        "platform-operations",
        "service-desk",
    } <= set(ours.services)
    assert {entry.kind for entry in ours.services.values()} == set(ServiceClass)
    for entry in ours.services.values():
        assert entry.zh
        assert entry.quality
        assert entry.kind.zh
        assert entry.provider == ""


def test_the_default_table_is_the_usual_contract() -> None:
    table = load_catalogue([OURS]).get("security-operations").response
    first, third, fourth = (table.responses[priority] for priority in (1, 3, 4))
    assert (first.hours, str(first.answer), str(first.on_site), str(first.restore), str(first.update)) == (
        Hours.ALWAYS, "15 min", "1 h", "4 h", "1 h",
    )  # fmt: skip
    assert (third.hours, str(third.answer), str(third.on_site), str(third.restore)) == (
        Hours.BUSINESS, "1 h", "4 h", "1 working day",
    )  # fmt: skip
    assert (str(fourth.answer), fourth.on_site, str(fourth.restore)) == ("4 h", None, "3 working days")


def test_a_later_path_defines_a_service_anew_and_the_same_path_may_not(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x.yaml").write_text(TABLES + SERVICE, encoding="utf-8")
    (tmp_path / "b" / "x.yaml").write_text(SERVICE.replace("en: One", "en: Two"), encoding="utf-8")
    assert load_catalogue([tmp_path / "a", tmp_path / "b"]).get("one").en == "Two"
    with pytest.raises(UserError, match=r"defined in .* already"):
        load_catalogue([tmp_path])


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("class: desk", "class: desks", 12, "not one of"),
        ("    unit_en: month\n", "", 10, "'unit_en' is missing"),
        ("    unit_en: month\n", "    unit: month\n", 14, "'unit' is not known"),
        ("response: t", "response: u", 17, "no response table 'u'"),
        ("answer: 15 min, restore: 4 h}\n    2", "answer: soon, restore: 4 h}\n    2", 4, "not a duration"),
        ("answer: 15 min, restore: 4 h}\n    2", "answer: 0 h, restore: 4 h}\n    2", 4, "not a duration"),
        ("answer: 15 min, restore: 4 h}\n    2", "answer: 1 working day, restore: 4 h}\n    2", 4, "7x24"),
        ("1: {hours: always", "1: {hours: wall", 4, "always or business"),
        ("longest_pause: 24 h", "longest_pause: 3 working days", 3, "in h or min"),
        ("    4: {", "    5: {", 7, "'5' is not known"),
        ("quality: [{", "quality: [{weight: 1, ", 16, "'weight' is not known"),
        ("zh: 一", "zh: ''", 10, "a text is expected"),
    ],
)
def test_a_mistake_names_file_line_and_reason(tmp_path: Path, old: str, new: str, line: int, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    body = TABLES + SERVICE
    assert old in body
    file.write_text(body.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        load_catalogue([file])
    assert caught.value.code == "services.file"
    assert caught.value.en.startswith(f"{file}:{line}: "), caught.value.en
    assert reason in caught.value.en


def test_an_empty_catalogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no service in the catalogue"):
        load_catalogue([tmp_path])


AMOUNTS = st.one_of(
    st.integers(1, 99_999).map(lambda n: Amount(timedelta(minutes=n))),
    st.integers(1, 365).map(lambda n: Amount(working_days=n)),
)


@given(AMOUNTS)
def test_a_duration_is_read_back_as_it_is_written(value: Amount) -> None:
    assert amount(str(value)) == value


@pytest.mark.parametrize("text", ["", "1", "1 d", "-1 h", "1.5 h", "999999 h", "１ h", "1 h 30 min", "0 working days"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        amount(text)


def test_a_working_day_is_as_long_as_the_calendars() -> None:
    assert amount("2 working days").length(Calendar({})) == timedelta(hours=14)


@given(
    AMOUNTS,
    AMOUNTS,
    st.one_of(st.none(), AMOUNTS),
    st.integers(1, 500),
    st.sampled_from([Hours.ALWAYS, Hours.BUSINESS]),
)
def test_the_table_a_ticket_keeps_is_the_table_it_was_opened_under(
    answer: Amount, restore: Amount, update: Amount | None, pause: int, hours: Hours
) -> None:
    response = Response(hours=hours, answer=answer, restore=restore, update=update)
    duty = Duty(id="d", zh="报", en="r", within=timedelta(hours=4), source="law")
    table = ResponseTable(responses={1: response}, longest_pause=timedelta(hours=pause), duties=(duty,))
    assert ResponseTable.from_data(table.to_data()) == table
