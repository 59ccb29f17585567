"""What other correlation engines were seen to get wrong, a test each."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from secops.match.detector import Detector
from secops.match.rule import Correlation
from secops.match.window import Entry
from secops.match.windows import window_of
from tests.match.test_correlate import COUNT, LATENESS, event, numbered, ruleset, run


def test_sixty_point_nine_seconds_do_not_satisfy_a_minute(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {**COUNT, "condition": {"gte": 2}})
    assert run(found, [event(0), event(60.9)]) == []
    assert run(found, [event(0), event(60.0)]) == []
    assert run(found, [event(0), event(59.999999)])


def test_an_event_ten_minutes_late_does_not_count(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {**COUNT, "condition": {"gte": 2}})
    detector = Detector(found)
    assert detector.run(numbered([event(0), event(600), event(1)])) == []
    assert detector.statistics()["late"] == 1


def test_a_value_count_does_not_count_its_window_anew_for_each_event(tmp_path: Path) -> None:
    """Work is counted, not timed: how often a value is looked at does not grow with the window."""
    found = ruleset(tmp_path, {"type": "value_count", "timespan": "1h", "condition": {"field": "v", "gte": 10**6}})
    [upper] = found.correlations
    assert isinstance(upper.body, Correlation)

    class Counted(str):
        __slots__ = ()
        hashed = 0

        def __hash__(self) -> int:
            Counted.hashed += 1
            return super().__hash__()

        __eq__ = str.__eq__

    window = window_of(upper.body)
    work = []
    for at in range(30_000):
        window.add(Entry(at * 200_000, Counted(at % 1800), ""), 0)
        if at % 10_000 == 9_999:
            work.append(Counted.hashed)
            Counted.hashed = 0
    assert max(work) < 10_000 * 6


def test_disorder_does_not_make_a_value_count_count_its_window_anew(tmp_path: Path) -> None:
    """Every second event comes a second late; work is counted, as hash look-ups of values."""
    found = ruleset(tmp_path, {"type": "value_count", "timespan": "1h", "condition": {"field": "v", "gte": 10**6}})
    [upper] = found.correlations
    assert isinstance(upper.body, Correlation)

    class Counted(str):
        __slots__ = ()
        hashed = 0

        def __hash__(self) -> int:
            Counted.hashed += 1
            return super().__hash__()

        __eq__ = str.__eq__

    window = window_of(upper.body)
    for at in range(20_000):
        late = 1_000_000 if at % 2 else 0
        assert window.add(Entry(at * 100_000 - late, Counted(at % 1800), ""), 300_000_000) is None
    assert Counted.hashed < 20_000 * 6
    assert len(window._counts) == 1800


def test_state_is_there_after_every_batch_not_every_half_minute(tmp_path: Path) -> None:
    found = ruleset(tmp_path, COUNT)
    stored: dict[str, bytes] = {}
    matches = []
    for number, each in enumerate([event(0), event(1), event(2)]):
        detector = Detector(found, stored, lateness=timedelta(seconds=LATENESS))
        matches += detector.run([{**each, "event.id": f"0-{number}"}])
        stored |= {key: value for key, value in detector.take_changes().items() if value is not None}
    assert [match.event_ids for match in matches] == [("0-0", "0-1", "0-2")]


def test_state_of_a_rule_whose_rules_changed_places_is_not_taken_over(tmp_path: Path) -> None:
    detector = Detector(ruleset(tmp_path, {"type": "temporal_ordered"}, 2))
    detector.run(numbered([event(0, "b")]))
    stored = {key: value for key, value in detector.take_changes().items() if value is not None}
    assert stored
    swapped = Detector(ruleset(tmp_path, {"type": "temporal_ordered", "rules": ["b", "a"]}, 2), stored)
    assert swapped.take_changes() == dict.fromkeys(stored)


def test_values_of_a_megabyte_are_counted_apart_and_not_kept(tmp_path: Path) -> None:
    found = ruleset(tmp_path, {"type": "value_count", "condition": {"field": "v", "gte": 3}})
    detector = Detector(found)
    long = [("x" * 1_000_000) + end for end in "aabc"]
    matches = detector.run(numbered([event(at, v=value) for at, value in enumerate(long)]))
    assert [match.event_ids for match in matches] == [("0-0", "0-1", "0-2", "0-3")]
    assert sum(len(value or b"") for value in detector.take_changes().values()) < 10_000
