"""Silence: of a source, of detection, of the service."""

from __future__ import annotations

from pathlib import Path

from secops.match.detector import Detector
from tests.match.watching import at, event, hosts, of, restarted


def test_lag_is_no_silence(tmp_path: Path) -> None:
    """One partition is read to its end; the other lags an hour: its hosts are not silent, nor is anybody yet."""
    detector = Detector(of(tmp_path, "absence"))
    behind, ahead = {"host.name": "behind"}, {"host.name": "ahead"}
    detector.run([event(0, **behind)])
    detector.run([event(3600, partition=1, **ahead)])
    assert detector.tick(at(3600)) == []
    detector.run([event(second, second, **behind) for second in range(300, 1800, 300)])
    assert detector.tick(at(3600)) == []
    detector.run([event(second, second, **behind) for second in range(1800, 3600, 257)])
    assert hosts(detector.tick(at(3600))) == []
    assert hosts(detector.tick(at(3600 + 601))) == ["ahead", "behind"]


def test_a_silence_within_a_batch_is_said_once_nothing_can_fill_it(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence"))
    detector.run([event(0, **{"host.name": "a"}), event(1800, 1, **{"host.name": "a"})])
    detector.run([event(600, 1, partition=1, **{"host.name": "a"}), event(1200, 2, partition=1, **{"host.name": "a"})])
    assert detector.tick(at(1801), read_to_end=True) == []
    detector.run([event(3600, 2, **{"host.name": "a"})])
    assert hosts(detector.tick(at(3600), read_to_end=True)) == ["a"]
    assert detector.tick(at(3601), read_to_end=True) == []


def test_the_time_in_which_the_service_stood_still_is_no_silence(tmp_path: Path) -> None:
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    assert detector.tick(at(60), read_to_end=True) == []
    detector = restarted(found, detector)
    assert detector.tick(at(7200), read_to_end=True) == []
    assert detector.tick(at(7200 + 500), read_to_end=True) == []
    [match] = detector.tick(at(7200 + 541), read_to_end=True)
    assert match.at == at(600 + 7140)
    assert match.fields["absence.since"] == "2026-11-24T08:00:00Z"


def test_silence_while_only_detection_stood_still_is_silence(tmp_path: Path) -> None:
    """Ingestion went on: the log holds the events of others from the time of the stop."""
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    detector.tick(at(60), read_to_end=True)
    detector = restarted(found, detector)
    others = [event(60 * minute, minute, **{"host.name": "other"}) for minute in range(1, 120)]
    detector.run(others)
    assert hosts(detector.tick(at(7200), read_to_end=True)) == ["x"]


def test_a_hole_in_the_whole_log_after_a_restart_is_nobodys_silence(tmp_path: Path) -> None:
    found = of(tmp_path, "absence")
    detector = Detector(found)
    detector.run([event(0)])
    detector = restarted(found, detector)
    minutes = [*range(1, 5), *range(100, 105)]
    detector.run([event(60 * minute, minute, **{"host.name": "other"}) for minute in minutes])
    assert detector.tick(at(60 * 104), read_to_end=True) == []
    assert hosts(detector.tick(at(60 * 106 + 1), read_to_end=True)) == ["x"]


def test_what_is_expected_and_never_heard_is_silent(tmp_path: Path) -> None:
    found = of(tmp_path, "absence", body={"expect": ["x", "y"]}, tenants=["city", "county"])
    detector = Detector(found)
    detector.run([event(0)])
    detector.tick(at(0), read_to_end=True)
    detector.run([event(400, 1)])
    matches = detector.tick(at(601), read_to_end=True)
    assert [(match.tenant, *hosts([match])) for match in matches] == [("city", "y"), ("county", "x"), ("county", "y")]
    assert all(match.event_ids == () for match in matches)


def test_a_source_long_gone_is_forgotten(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence", body={"forget": "1h"}))
    detector.run([event(0)])
    assert len(detector.tick(at(700), read_to_end=True)) == 1
    [key] = [key for key in detector.take_changes() if not key.endswith(":clock")]
    assert detector.tick(at(3601), read_to_end=True) == []
    assert detector.take_changes()[key] is None


def test_time_that_passes_is_written_twice_a_minute_at_most(tmp_path: Path) -> None:
    detector = Detector(of(tmp_path, "absence"))
    detector.run([event(0)])
    detector.tick(at(0))
    detector.take_changes()
    written = 0
    for second in range(120):
        detector.tick(at(second))
        written += bool(detector.take_changes())
    assert 2 <= written <= 4
