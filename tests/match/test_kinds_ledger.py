"""What first_seen, rare and spike remember: bounded, stored whole, forgotten in time; late events and floods."""

from __future__ import annotations

from pathlib import Path

import pytest

from secops.match.detector import Detector
from secops.match.keys import fingerprint
from secops.match.kinds.spike import unusual
from secops.match.ledger import BUCKETS, Ledger, mixed
from tests.match.watching import event, of


def test_a_ledger_is_bounded_and_counts_what_it_gives_up() -> None:
    ledger = Ledger("r", 1, limit=1000)
    for number in range(40_000):
        ledger.put(mixed(fingerprint(("a",)), number), number % 7, number)
    assert 1000 <= ledger.size <= 1000 + BUCKETS
    assert ledger.evicted == 40_000 - ledger.size


def test_a_ledger_gives_up_the_oldest_of_a_bucket() -> None:
    ledger = Ledger("r", 1, limit=2)
    for age in (5, 3, 4, 9):
        ledger.put(age * BUCKETS, age)
    assert [ledger.get(age * BUCKETS) for age in (3, 4, 5, 9)] == [None, None, (5, 0), (9, 0)]


def test_a_ledger_comes_back_as_it_was() -> None:
    ledger = Ledger("r", 7)
    for number in range(2000):
        ledger.put(mixed(number, 1), number, number * 1000)
    entries = {key: value for key, value in ledger.take_changes() if value is not None}
    assert dict(ledger.take_changes()) == {}
    again = Ledger("r", 7)
    for value in entries.values():
        again.restore(value)
    assert [again.get(mixed(number, 1)) for number in range(2000)] == [(n, n * 1000) for n in range(2000)]
    for other in (Ledger("r", 8), Ledger("r", 7)):
        spoilt = next(iter(entries.values()))
        with pytest.raises(ValueError):  # noqa: PT011 - which of them does not matter to who restores
            other.restore(spoilt if other._meaning == 8 else spoilt[:-1])


def test_a_ledger_forgets_what_is_too_old() -> None:
    ledger = Ledger("r", 1)
    for number in range(100):
        ledger.put(mixed(number, 1), number)
    dict(ledger.take_changes())
    for _ in range(1000):
        ledger.expire(50)
    assert ledger.size == 50
    assert None in dict(ledger.take_changes()).values()


@pytest.mark.parametrize(
    ("count", "earlier", "fires"),
    [
        (5, [0, 0, 0], True),
        (4, [0, 0, 0], False),
        (100, [90, 100, 110], False),
        (160, [90, 100, 110], True),
        (165, [90, 100, 110, 10_000], True),
        (140, [100, 100, 100], False),
        (141, [100, 100, 100], True),
    ],
)
def test_what_is_unusual(count: int, earlier: list[int], *, fires: bool) -> None:
    assert unusual(count, earlier, 4) == fires


def test_late_events_are_counted(tmp_path: Path) -> None:
    for kind in ("threshold", "rare", "spike"):
        detector = Detector(of(tmp_path, kind))
        detector.run([event(1000, v=1), event(700, 1, v=1), event(699.9, 2, v=1)])
        assert detector.statistics()["late"] == 1, kind


def test_a_flood_of_samples_is_bounded_and_counted(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"aggregate": "max", "window": "1h"})
    detector = Detector(found)
    detector.run([event(number / 1000, number, v=1) for number in range(3000)])
    assert detector.statistics()["dropped"] == 3000 - 2048
    assert detector.run([event(4, 4000, v=9)])


def test_a_flood_of_samples_out_of_order_is_judged_in_bounded_work(tmp_path: Path) -> None:
    found = of(tmp_path, "threshold", body={"aggregate": "max", "window": "1h"})
    detector = Detector(found)
    detector.run([event(number / 10, number, v=1) for number in range(2000)])
    detector.run([event(100 - number / 1000, 3000 + number, v=1) for number in range(50)])
    assert detector.statistics()["late"] == 50
    detector.run([event(199 - number / 1000, 4000 + number, v=1) for number in range(50)])
    assert detector.statistics()["late"] == 50
