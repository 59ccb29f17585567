from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elastic_server import ElasticServer

from secops.store.elasticsearch import ElasticIndex, Layout
from secops.store.elasticsearch_server import connect
from secops.store.files import FileLog
from secops.store.log import Log
from secops.store.sqlite import SqliteIndex

LIVE = [pytest.mark.live, pytest.mark.process, pytest.mark.timeout(600)]
ENGINES = ["sqlite", pytest.param("elasticsearch", marks=LIVE)]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[FileLog]:
    opened = FileLog(tmp_path / "log", writable=True, reserve_bytes=0)
    yield opened
    opened.close()


class Engine:
    """Opens empty indexes of one kind, and removes them at the end."""

    def __init__(self, name: str, server: ElasticServer | None) -> None:
        self.name, self._server = name, server

    @contextmanager
    def opened(self, folder: Path, log: Log, **more: Any) -> Iterator[SqliteIndex | ElasticIndex]:
        """An index of its own; ``more`` goes to the embedded one, whose deadlines and sizes can be set."""
        if self._server is None:
            index: SqliteIndex | ElasticIndex = SqliteIndex(folder / "index", log, writable=True, **more)
            yield index
            index.close()
            return
        client = connect([self._server.url], seconds=60)
        index = ElasticIndex(client, f"t{secrets.token_hex(6)}", writable=True, refresh=True, layout=Layout(replicas=0))
        try:
            yield index
            index.rebuild()
        finally:
            index.close()


@pytest.fixture(params=ENGINES, scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    name = request.param
    return Engine(name, request.getfixturevalue("elastic_server") if name == "elasticsearch" else None)


@pytest.fixture
def index(tmp_path: Path, log: FileLog, engine: Engine) -> Iterator[SqliteIndex | ElasticIndex]:
    with engine.opened(tmp_path, log) as opened:
        yield opened
