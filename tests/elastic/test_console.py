"""The same pages, API and command over Elasticsearch; and what people see while it is away."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from elastic_server import ElasticServer
from waiting import wait_until

from secops import status
from secops.settings import Index
from secops.store.elasticsearch import ElasticIndex
from secops.store.index import Query
from tests.console.world import FAILED, World, make_world

pytestmark = [pytest.mark.live, pytest.mark.process, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, elastic_server: ElasticServer) -> Iterator[World]:
    settings = Index(engine="elasticsearch", url=elastic_server.url, name=f"t{secrets.token_hex(6)}", replicas=0)
    made = make_world(tmp_path_factory.mktemp("elastic") / "var", index=settings)
    try:
        made.set_up()
        made.start()
        for tenant, host in (("city", "web-01"), ("north", "web-02")):
            lines = [FAILED.format(at=made.clock(), host=host, user=f"user{n}", ip="203.0.113.7") for n in range(5)]
            made.ingest(*lines, tenant=tenant)
        search = made.service.index.search
        wait_until(lambda: search(Query(tenants=None)).total == 10, what="the refresh of the index")
        yield made
        index = made.service.writable_index()
        assert isinstance(index, ElasticIndex)
        index.rebuild()
        index.close()
    finally:
        made.end()


def test_search_page_api_export_and_overview_answer(world: World) -> None:
    with world.client("officer") as client:
        page = client.get("/events?q=source.ip:203.0.113.0/24&range=all")
        assert page.status_code == 200
        assert page.text.count("Failed password") >= 10
        assert "web-01" in page.text
        assert "<svg" in page.text
        found = client.get("/api/v1/events", params={"q": "host.name:web-0?", "limit": 4}).json()
        assert (found["total"], found["total_exact"], len(found["hits"])) == (10, True, 4)
        rest = client.get(
            "/api/v1/events", params={"q": "host.name:web-0?", "limit": 9, "before": found["next"]}
        ).json()
        ids = [hit["event.id"] for hit in (*found["hits"], *rest["hits"])]
        assert len(set(ids)) == 10
        assert len(client.get("/events/export?q=failed&range=all").text.splitlines()) == 10
        assert client.get(f"/events/{ids[0]}").status_code == 200
        assert client.get("/events?q=(").status_code == 400
        assert "web-02" in client.get("/").text


def test_a_county_sees_its_own_events_only(world: World) -> None:
    with world.client("county") as client:
        for text in ("", "failed", "NOT nothing", "organization.id:city OR failed", "source.ip:203.0.113.7"):
            hits = client.get("/api/v1/events", params={"q": text}).json()["hits"]
            assert {hit["organization.id"] for hit in hits} == {"north"}, text


def test_the_command_searches_it(world: World, elastic_server: ElasticServer) -> None:
    said = world.service.settings.index
    variables = {"ENGINE": "elasticsearch", "URL": elastic_server.url, "NAME": said.name, "CREDENTIALS": "user:secret"}
    found = _command(world, variables, "search", "user.name:user3", "--tenant", "north")
    assert (found["total"], found["hits"][0]["host.name"]) == (1, "web-02")
    shown = _command(world, variables, "config", "show")
    assert shown["index"]["url"] == elastic_server.url
    assert "secret" not in str(shown)


def _command(world: World, variables: dict[str, str], *arguments: str) -> Any:
    state = str(Path(world.service.settings.state))
    done = subprocess.run(
        [sys.executable, "-m", "secops", *arguments, "--state", state, "--json"],
        capture_output=True,
        check=False,
        env={**os.environ, **{f"SECOPS_INDEX__{name}": value for name, value in variables.items()}},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return orjson.loads(done.stdout)


def test_without_the_server_the_overview_stands_and_a_search_says_why(
    world: World, elastic_server: ElasticServer
) -> None:
    if not elastic_server.ours:
        pytest.skip("a server that others use is not killed")
    elastic_server.kill()
    try:
        status.report(world.service.run_dir, "index", {"lag": 1234, "waiting": "no node"}, world.clock())
        with world.client("officer") as client:
            overview = client.get("/")
            assert overview.status_code == 200
            assert "搜索引擎暂不接收日志" in overview.text
            assert "1,234" in overview.text
            page = client.get("/events?q=failed")
            assert page.status_code == 503
            assert "搜索引擎暂不可用" in page.text
            answer = client.get("/api/v1/events")
            assert (answer.status_code, answer.json()["code"]) == (503, "index.busy")
    finally:
        elastic_server.start()
    with world.client("officer") as client:
        wait_until(lambda: client.get("/api/v1/events").status_code == 200, timeout=60, interval=0.2)
