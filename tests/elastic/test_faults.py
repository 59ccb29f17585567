"""Processes and servers end at the worst moment: what was acknowledged is there, once."""

from __future__ import annotations

import itertools
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elastic_server import ElasticServer
from prometheus_client import CollectorRegistry
from waiting import wait_until

from secops.store.elasticsearch import ElasticIndex, Layout
from secops.store.elasticsearch_server import connect
from secops.store.files import FileLog
from secops.store.index import IndexUnavailable, Query
from secops.worker import metrics
from secops.worker.index import Indexing

pytestmark = [pytest.mark.live, pytest.mark.process, pytest.mark.timeout(600)]

EVERYTHING = Query(tenants=None, limit=1000)


def event(number: int) -> dict[str, Any]:
    return {
        "@timestamp": f"2026-11-24T08:{number // 60 % 60:02}:{number % 60:02}.000000Z",
        "organization.id": "city",
        "message": f"event number {number}",
        "user.name": f"user{number % 7}",
    }


@pytest.fixture
def name() -> str:
    return f"t{secrets.token_hex(6)}"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    opened = FileLog(tmp_path / "log", partitions=2, writable=True, reserve_bytes=0)
    yield opened
    opened.close()


@contextmanager
def opened(server: ElasticServer, name: str, **more: Any) -> Iterator[ElasticIndex]:
    index = ElasticIndex(
        connect([server.url], seconds=60), name, writable=True, refresh=True, layout=Layout(replicas=0), **more
    )
    try:
        yield index
    finally:
        index.close()


def ids(index: ElasticIndex) -> Counter[str]:
    found: Counter[str] = Counter()
    before = None
    while True:
        page = index.search(Query(tenants=None, limit=1000, before=before))
        found.update(hit["event.id"] for hit in page.hits)
        if (before := page.next) is None:
            assert sum(found.values()) == page.total
            return found


def test_server_killed_during_a_write_keeps_all_it_acknowledged_and_doubles_nothing(
    elastic_server: ElasticServer, name: str, log: FileLog
) -> None:
    if not elastic_server.ours:
        pytest.skip("a server that others use is not killed")
    log.append({partition: [event(number) for number in range(6000)] for partition in (0, 1)})
    wrote, acknowledged = threading.Event(), {0: 0, 1: 0}

    def write(index: ElasticIndex) -> None:
        for partition in itertools.cycle((0, 1)):
            events = log.read(partition, index.position(partition), 200)
            if not events and partition:
                return
            index.add(partition, events)
            acknowledged[partition] = index.position(partition)
            wrote.set()

    def write_until_refused(index: ElasticIndex) -> None:
        with pytest.raises(IndexUnavailable):
            write(index)

    with opened(elastic_server, name, wait=lambda _: None) as index:
        writer = threading.Thread(target=write_until_refused, args=(index,))
        writer.start()
        assert wrote.wait(60)
        elastic_server.kill()
        writer.join(120)
        assert not writer.is_alive()
    try:
        assert 0 < sum(acknowledged.values()) < 12_000, "killed too late to show anything"
    finally:
        elastic_server.start()
    with opened(elastic_server, name) as index:
        kept = wait_until(lambda: _answer(lambda: ids(index)), timeout=60, what="search after the restart")
        assert kept.keys() >= {f"{p}-{n}" for p, end in acknowledged.items() for n in range(end)}
        assert max(kept.values()) == 1
        write(index)
        assert ids(index) == Counter(f"{p}-{n}" for p in (0, 1) for n in range(6000))
        index.rebuild()


def _answer(ask: Any) -> Any:
    try:
        return ask()
    except IndexUnavailable:
        return None


WRITING = """
import sys
from pathlib import Path
from secops.store.elasticsearch import ElasticIndex, Layout
from secops.store.elasticsearch_server import connect
from secops.store.files import FileLog
url, name, folder = sys.argv[1:]
log = FileLog(Path(folder), partitions=2)
index = ElasticIndex(connect([url], seconds=60), name, writable=True, layout=Layout(replicas=0))
while events := log.read(0, index.position(0), 300):
    index.add(0, events)
    print(index.position(0), flush=True)
index.close()
"""


def test_writer_killed_again_and_again_doubles_nothing(
    elastic_server: ElasticServer, name: str, log: FileLog, tmp_path: Path
) -> None:
    log.append({0: [event(number) for number in range(5000)]})
    command = [sys.executable, "-c", WRITING, elastic_server.url, name, str(tmp_path / "log")]
    for places in (1, 2, 3, 10_000):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in itertools.islice(process.stdout, places):
                pass
            process.send_signal(signal.SIGKILL)
        with opened(elastic_server, name) as index:
            elastic_server.roll_over(f"{name}-v1")  # ids are unique within one backing index only
            index._client.indices.refresh(index=index._stream)
            assert set(ids(index).values()) == {1}
    with opened(elastic_server, name) as index:
        assert index.position(0) == 5000
        assert ids(index) == Counter(f"0-{n}" for n in range(5000))
        index.rebuild()


def test_write_broken_off_before_a_roll_over_is_not_repeated(
    elastic_server: ElasticServer, name: str, log: FileLog
) -> None:
    log.append({0: [event(number) for number in range(1000)]})
    events = log.read(0, 0, 1000)
    with opened(elastic_server, name) as index:
        index.add(0, events[:300])
        index._write(events[300:1000:3])  # durable, but the place was not moved: the process ended here
        elastic_server.roll_over(index._stream)
    with opened(elastic_server, name) as index:
        assert index.position(0) == 300
        index.add(0, events[300:])
        assert ids(index) == Counter(f"0-{n}" for n in range(1000))
        index.rebuild()


def test_partition_that_was_with_another_process_meanwhile_is_not_repeated(
    elastic_server: ElasticServer, name: str, log: FileLog
) -> None:
    log.append({0: [event(number) for number in range(1000)]})
    events = log.read(0, 0, 1000)
    with opened(elastic_server, name) as one, opened(elastic_server, name) as other:
        one.add(0, events[:100])
        other.add(0, events[100:600])
        elastic_server.roll_over(one._stream)
        assert one.position(0) == 100  # as it knew it
        one.add(0, events[100:400])
        assert one.position(0) == 600
        one.add(0, events[600:700])
        other._move(0, 650)  # late
        assert other.position(0) == 700
        other.add(0, events[600:])
        assert ids(other) == Counter(f"0-{n}" for n in range(1000))
        other.rebuild()


def test_role_waits_for_the_server_says_how_far_behind_it_is_and_goes_on(
    elastic_server: ElasticServer, name: str, log: FileLog
) -> None:
    if not elastic_server.ours:
        pytest.skip("a server that others use is not killed")
    log.append({0: [event(number) for number in range(100)]})
    with opened(elastic_server, name, wait=lambda _: None) as index:
        counted = metrics.consumer(CollectorRegistry(), "index")
        role = Indexing(log, index, counted)
        assert role.step(0.0) == 100
        assert role.detail() == {"lag": 0}
        elastic_server.kill()
        try:
            log.append({1: [event(number) for number in range(50)]})
            assert role.step(1.0) == 0
            said = role.detail()
            assert said["lag"] == 50
            assert "not available" in said["waiting"]
            assert role.step(1.5) == 0  # not asked again so soon
            with pytest.raises(IndexUnavailable) as told:
                index.search(EVERYTHING)
            assert told.value.code == "index.busy"
        finally:
            elastic_server.start()
        assert wait_until(lambda: role.step(1000.0 + next(TICKS)), timeout=60) == 50
        assert role.detail() == {"lag": 0}
        assert set(ids(index).values()) == {1}
        assert sum(ids(index).values()) == 150
        index.rebuild()


TICKS = itertools.count(0, 100)


def test_a_role_started_while_the_server_is_away_waits_for_it(name: str, log: FileLog, free_port: int) -> None:
    log.append({0: [event(1)]})
    index = ElasticIndex(connect([f"http://127.0.0.1:{free_port}"]), name, writable=True, wait=lambda _: None)
    role = Indexing(log, index, metrics.consumer(CollectorRegistry(), "index"))
    assert role.step(0.0) == 0
    assert role.detail()["lag"] == 1
    index.close()
