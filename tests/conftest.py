"""What every test may ask for: databases, free ports, a PostgreSQL of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import kafka_server
import pytest
import sqlalchemy as sa
from elastic_server import ElasticServer, open_server

from secops.db import Database, create_all

REQUIRE_ALL = "SECOPS_REQUIRE_ALL"  # set in CI: a skipped test is a failed one
POSTGRES_BINS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure where everything must run."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(REQUIRE_ALL):
        report.outcome = "failed"
        report.longrepr = (
            f"{item.nodeid} was skipped, and {REQUIRE_ALL} forbids that: {call.excinfo and call.excinfo.value}"
        )
    return report


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A SQLite state database with every table."""
    from secops.migrations.metadata import METADATAS  # noqa: PLC0415 - only tests that want every table load every package

    found = Database(f"sqlite:///{tmp_path / 'state.db'}")
    create_all(found, METADATAS)
    yield found
    found.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server in a folder of its own, reached by a socket; skipped where PostgreSQL is not installed."""
    given = os.environ.get("SECOPS_TEST_POSTGRESQL")
    if given:
        yield given
        return
    if not POSTGRES_BINS:
        pytest.skip("PostgreSQL is not installed (/usr/lib/postgresql/*/bin)")
    bins = POSTGRES_BINS[-1]
    folder = Path(tempfile.mkdtemp(prefix="secops-pg-"))
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        owner = pwd.getpwnam("postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    run: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    subprocess.run(
        [*user, bins / "initdb", "-D", data, "-U", "secops", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
        check=True,
        **run,
    )
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
    subprocess.run(
        [*user, bins / "pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start"], check=True, **run
    )
    try:
        yield f"postgresql+psycopg://secops@/postgres?host={folder}"
    finally:
        subprocess.run([*user, bins / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=True, **run)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of this test's own."""
    name = f"t{abs(hash(tmp_path)):x}"[:40]
    admin = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    yield postgres_server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    admin.dispose()


@pytest.fixture(scope="session")
def kafka() -> Iterator[kafka_server.Broker]:
    """A Kafka of one node for all tests; skipped where Java or Maven is not installed."""
    if why := kafka_server.missing():
        pytest.skip(why)
    with kafka_server.broker() as running:
        yield running


@pytest.fixture
def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def elastic_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ElasticServer]:
    """A running Elasticsearch; tests that ask for it bear the mark ``process``: they run in one process and share it."""
    server = open_server(tmp_path_factory.mktemp("elasticsearch"))
    yield server
    server.stop()
