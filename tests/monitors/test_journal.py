from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from monitors.collector import Surroundings, build

# A program with journalctl's interface: it prints the entries of a file that come after the cursor, and then waits.
PROGRAM = """#!{python}
import json, sys, time
cursors = [argument.partition("=")[2] for argument in sys.argv if argument.startswith("--after-cursor=")]
if cursors and cursors[0] == "broken":
    sys.exit("Failed to seek to cursor: Invalid argument")
started = not cursors
for line in open({entries!r}):
    if started:
        print(line, end="", flush=True)
    started = started or json.loads(line)["__CURSOR"] == cursors[0]
{end}
"""


def journalctl(folder: Path, end: str = "time.sleep(600)") -> str:
    entries = folder / "entries"
    entries.write_text("".join(json.dumps({"__CURSOR": f"c{n}", "MESSAGE": f"m{n}"}) + "\n" for n in range(5)))
    program = folder / "journalctl"
    program.write_text(PROGRAM.format(python=sys.executable, entries=str(entries), end=end))
    program.chmod(0o755)
    return str(program)


def messages(sink: Any) -> list[str]:
    return [json.loads(raw)["MESSAGE"] for raw in sink.raws]


def test_follows_and_resumes_after_the_stored_cursor(tmp_path: Path, new_sink: Any, running: Any) -> None:
    settings = {"journalctl": journalctl(tmp_path)}

    async def scenario() -> None:
        sink = new_sink()
        async with running(build("journal", settings, Surroundings()), sink) as collector:
            await sink.until(lambda: len(sink.records) == 5)
            assert collector.status.ok
        assert {record.format for record in sink.records} == {"journal"}
        positions = dict([sink.records[2].position])
        resumed = new_sink()
        async with running(build("journal", settings, Surroundings(positions=positions)), resumed):
            await resumed.until(lambda: len(resumed.records) == 2)
        assert messages(resumed) == ["m3", "m4"]

    asyncio.run(scenario())


def test_no_journalctl_is_a_status_not_a_crash(tmp_path: Path, new_sink: Any, running: Any) -> None:
    async def scenario() -> None:
        collector = build("journal", {"journalctl": str(tmp_path / "absent")}, Surroundings())
        async with running(collector, new_sink()):
            assert not collector.status.ok
            assert "cannot run" in collector.status.en

    asyncio.run(scenario())


def test_what_journalctl_complains_about_is_the_status(tmp_path: Path, new_sink: Any, running: Any) -> None:
    end = 'sys.exit("No journal files were opened due to insufficient permissions.")'
    program = journalctl(tmp_path, end)

    async def scenario() -> None:
        sink = new_sink()
        collector = build("journal", {"journalctl": program, "retry_seconds": 600}, Surroundings())
        told = asyncio.Event()
        seen = collector.failing

        def failing(zh: str, en: str) -> None:
            seen(zh, en)
            told.set()

        collector.failing = failing
        async with running(collector, sink):
            async with asyncio.timeout(20):
                await told.wait()
            assert "insufficient permissions" in collector.status.en

    asyncio.run(scenario())


def test_a_cursor_that_is_not_taken_is_given_up(tmp_path: Path, new_sink: Any, running: Any) -> None:
    surroundings = Surroundings(positions={"journal": {"cursor": "broken"}})

    async def scenario() -> None:
        sink = new_sink()
        collector = build("journal", {"journalctl": journalctl(tmp_path), "retry_seconds": 0.01}, surroundings)
        async with running(collector, sink):
            await sink.until(lambda: len(sink.records) == 5)

    asyncio.run(scenario())


def test_starts_again_where_it_was_when_journalctl_ends(tmp_path: Path, new_sink: Any, running: Any) -> None:
    program = journalctl(tmp_path, end="sys.exit(1)")

    async def scenario() -> None:
        sink = new_sink()
        collector = build("journal", {"journalctl": program, "retry_seconds": 0.01}, Surroundings())
        async with running(collector, sink):
            await sink.until(lambda: len(sink.records) == 5)
            with (tmp_path / "entries").open("a") as entries:
                entries.write(json.dumps({"__CURSOR": "c5", "MESSAGE": "m5"}) + "\n")
            await sink.until(lambda: len(sink.records) == 6)
        assert messages(sink) == [f"m{n}" for n in range(6)]

    asyncio.run(scenario())
