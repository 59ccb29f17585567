from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from secops.store.check import check
from secops.store.files import FileLog
from secops.store.snapshot import snapshot

APPENDER = Path(__file__).with_name("appender.py")


def copy(directory: Path, target: Path) -> None:
    taken = snapshot(directory)
    for name, content in taken.small.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    for path, size in taken.segments:
        place = target / path.relative_to(directory)
        place.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as file:
            place.write_bytes(file.read(size))


def test_copies_of_a_log_that_is_being_written_are_whole(tmp_path: Path) -> None:
    directory = tmp_path / "log"
    with subprocess.Popen([sys.executable, str(APPENDER), str(directory), "1"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        positions = []
        for number in range(12):
            acknowledged = int(child.stdout.readline())
            while (
                number == 11 and len(list((directory / "0").glob("*.log"))) < 2
            ):  # the last copy holds a sealed segment
                acknowledged = int(child.stdout.readline())
            copy(directory, tmp_path / f"copy {number}")
            restored = FileLog(tmp_path / f"copy {number}", writable=True, reserve_bytes=0)
            positions.append(restored.positions()["source"])
            assert positions[-1] >= acknowledged
            found = [stored["number"] for partition in range(4) for stored in restored.read(partition, 0, 10**7)]
            assert sorted(found) == list(range(positions[-1]))
            restored.append({0: [{"number": -1}]})
            restored.close()
            assert check(restored.directory).flaws == ()
        child.kill()
    assert positions == sorted(positions)
    assert len(list((tmp_path / "copy 11" / "0").glob("*.log"))) > 1


def test_consumers_go_along_and_no_log_is_an_empty_snapshot(tmp_path: Path, log: FileLog) -> None:
    assert snapshot(tmp_path / "none").segments == ()
    log.append({0: [{"a": 1}]}, {"s": 1})
    log.commit("index", 2, 7)
    copy(log.directory, tmp_path / "copy")
    reader = FileLog(tmp_path / "copy")
    assert reader.committed("index", 2) == 7
    assert reader.positions() == {"s": 1}
    reader.close()
