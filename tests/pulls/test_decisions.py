"""The pure parts: where a pull goes on, what an answer means, how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.budget import Budget, Budgets
from monitors.pull_cursor import MOST_SEEN, Cursor, Item
from monitors.pull_trouble import LONGEST_WAIT, SKEW_SECONDS, TEXTS, Trouble, Words, delay, judge

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
LATE = timedelta(minutes=15)
CODES = {"AuthFailure": "refused", "AuthFailure.SignatureExpire": "skew", "Throttling": "throttled"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 7200), st.floats(0, 880)), max_size=60),
    st.lists(st.floats(5, 900), min_size=3, max_size=40),
    st.integers(0, 40),
    st.data(),
)
def test_everything_that_is_not_too_late_is_taken_once(
    entries: list[tuple[float, float]], waits: list[float], pages: int, data: st.DataObject
) -> None:
    begin = NOW - timedelta(hours=1)
    there = [Item(str(n), begin + timedelta(seconds=at), b"") for n, (at, _) in enumerate(entries)]
    known_at = [begin + timedelta(seconds=at + late) for at, late in entries]
    cursor, now, taken = Cursor(begin), begin, list[str]()
    for wait in [*waits, 20_000.0]:
        now, more = now + timedelta(seconds=wait), True
        while more:
            window = cursor.window(now, LATE)
            assert window.start <= window.end <= now
            # Far ends know whole seconds only, and give the entries of a span's last second or do not.
            edge = window.end + timedelta(seconds=data.draw(st.sampled_from([0, 1])))
            first = window.start.replace(microsecond=0)
            known = [item for item, at in zip(there, known_at, strict=True) if at <= now]
            page = [item for item in known if item.at and first <= item.at <= edge]
            fresh = cursor.fresh([*page, *page], window)
            digests = {digest: second for digest, (second, _) in fresh.items()}
            assert not Cursor.load(cursor.dump(digests), begin).fresh(page, window)
            taken += [item.id for _, item in fresh.values()]
            cursor.add(digests)
            more = cursor.finish(window, now, LATE, pages)
    assert sorted(taken) == sorted(item.id for item in there)


def test_a_cursor_forgets_what_is_settled_and_never_grows_without_end() -> None:
    cursor = Cursor(NOW - timedelta(hours=3))
    window = cursor.window(NOW, LATE)
    items = [Item(str(number), NOW - timedelta(hours=3), b"") for number in range(MOST_SEEN + 500)]
    fresh = cursor.fresh(items, window)
    cursor.add({digest: second for digest, (second, _) in fresh.items()})
    assert len(cursor.seen) == MOST_SEEN
    cursor.finish(window, NOW, LATE, 1)
    assert not cursor.seen


@pytest.mark.parametrize(
    "position", [None, 5, "x", {}, {"from": "x", "seen": ""}, {"from": "2026-11-24T08:00:00+00:00", "seen": "%%"},
                 {"from": 5, "seen": ""}, {"from": "2026-11-24T08:00:00+00:00", "seen": "AAAA"}]
)  # fmt: skip
def test_a_position_that_cannot_be_read_is_none(position: object) -> None:
    cursor = Cursor.load(position, NOW)
    assert (cursor.start, cursor.seen) == (NOW, {})


@pytest.mark.parametrize(
    ("status", "headers", "words", "kind", "wait"),
    [
        (200, {}, Words("AuthFailure.SignatureExpire", "x"), "skew", 0),
        (200, {}, Words("AuthFailure.SecretIdNotFound", "x"), "refused", 0),
        (400, {}, Words("Throttling.User", "x"), "throttled", 0),
        (429, {"retry-after": "17"}, None, "throttled", 17),
        (429, {"retry-after": "Tue, 24 Nov 2026 08:01:00 GMT"}, None, "throttled", 60),
        (429, {"retry-after": "99999999"}, None, "throttled", LONGEST_WAIT),
        (429, {"retry-after": "-5"}, None, "throttled", 0),
        (429, {"retry-after": "never"}, None, "throttled", 0),
        (503, {}, None, "server", 0),
        (302, {}, None, "server", 0),
        (401, {}, None, "refused", 0),
        (401, {"date": "Tue, 24 Nov 2026 09:00:00 GMT"}, None, "skew", 0),
        (401, {"date": "Tue, 24 Nov 2026 08:00:09 GMT"}, None, "refused", 0),
        (400, {"date": "Tue, 24 Nov 2026 07:00:00 GMT"}, Words("Unknown", ""), "skew", 0),
        (404, {"date": "x" * 9999}, Words("Unknown", ""), "rejected", 0),
    ],
)
def test_what_an_answer_means(
    status: int, headers: dict[str, str], words: Words | None, kind: str, wait: float
) -> None:
    trouble = judge(status, headers, words, CODES, NOW)
    assert trouble is not None
    assert (trouble.kind, trouble.wait) == (kind, wait)


def test_a_good_answer_is_no_trouble_whatever_the_clocks_say() -> None:
    assert judge(200, {"date": "Tue, 24 Nov 2026 09:00:00 GMT"}, None, CODES, NOW) is None
    assert SKEW_SECONDS < 300


@given(st.sampled_from(sorted(TEXTS)), st.integers(1, 10_000), st.text(max_size=20), st.floats(0, LONGEST_WAIT))
def test_waits_grow_within_bounds_and_never_fall_short_of_what_was_asked(
    kind: str, attempt: int, name: str, asked: float
) -> None:
    trouble = Trouble(kind, "x", wait=asked)
    wait = delay(trouble, attempt, name)
    assert asked <= wait <= LONGEST_WAIT
    assert wait >= (225 if kind in {"key", "refused", "expired", "rejected"} else 1.5)
    assert delay(trouble, attempt, name) == wait


@given(st.text())
def test_what_a_far_end_says_of_itself_is_shown_short(detail: str) -> None:
    trouble = Trouble("server", detail)
    assert len(trouble.en) < 300
    assert len(trouble.zh.encode()) < 2000


def test_a_budget_gives_slots_and_holds_them_back() -> None:
    budget = Budget()
    assert [budget.reserve(10.0, 2.0) for _ in range(3)] == [0.0, 0.5, 1.0]
    budget.hold(30.0)
    assert budget.reserve(20.0, 2.0) == 10.0
    assert budget.reserve(100.0, 2.0) == 0.0


def test_accounts_beyond_a_thousand_share_one() -> None:
    budgets = Budgets()
    assert budgets.of("a") is budgets.of("a")
    assert budgets.of("a") is not budgets.of("b")
    for number in range(2000):
        budgets.of(str(number))
    assert budgets.of("x1") is budgets.of("x2")
