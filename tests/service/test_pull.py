"""A cloud's trail through the whole service: pulled, stored, searched, judged by a rule; the ingest role killed in between."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cloud_server import CLOUDS, World, far_end
from waiting import wait_until

from tests.service.running import service

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]


def test_from_the_cloud_to_the_search_through_a_kill(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with far_end(CLOUDS["alibaba_actiontrail"], World(now), tmp_path) as end:
        minutes = timedelta(minutes=1)
        end.world.entries += [end.cloud.entry(number, now - minutes * (20 + number)) for number in range(120)]
        settings = {
            "SECOPS_INGEST__COLLECTORS": json.dumps({"cloud": {"kind": end.cloud.kind, **end.settings}}),
            "SECOPS_INGEST__PULL_ENDPOINTS": json.dumps([end.host]),
        }

        def found() -> int:
            return int(running.command("search", "event.dataset:aliyun.actiontrail")["total"])

        with service(tmp_path / "var", **settings) as running:
            wait_until(lambda: found() == 120, timeout=60, what="the trail in the search")
            pid = running.kill("ingest")
            end.world.entries += [end.cloud.entry(number, now - minutes * 5) for number in range(200, 210)]
            wait_until(lambda: running.role("ingest").get("pid") != pid, timeout=60, what="the ingest role again")
            wait_until(lambda: found() == 130, timeout=60, what="what came after the kill")
            asked = len(end.world.asked)
            wait_until(lambda: len(end.world.asked) > asked + 2, timeout=60, what="further looks at the same minutes")
            assert found() == 130, "nothing twice"
            said = running.role("ingest")["detail"]["collectors"]["cloud"]
            assert (said["ok"], said["tenant"]) == (True, "county-a")
            shown = [row for row in running.command("source", "list", "--health") if row["collector"] == end.cloud.kind]
            assert [(row["tenant"], row["host"], row["unparsed"]) for row in shown] == [("county-a", "100", 0)]
