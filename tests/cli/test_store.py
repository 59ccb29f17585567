from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from secops import audit, status, wiring
from secops import settings as settings_module
from secops.cli.root import build
from secops.store import chain, checkpoints, ends, segment
from secops.store.files import FileLog
from secops.store.keeper import keeping
from secops.store.sqlite import SqliteIndex
from secops.wiring import Service

EVENTS = 8 * 20 * 4


def event(number: int) -> dict[str, Any]:
    return {
        "@timestamp": "2026-11-24T08:00:00Z",
        "organization.id": "ab"[number % 2],
        "agent.type": "syslog_tcp",
        "host.name": f"h{number % 3}",
        "message": f"event {number}",
    }


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    chosen = settings_module.load(tmp_path / "var")
    wiring.prepare(chosen)
    with wiring.opened(chosen) as opened:
        log = FileLog(opened.log_dir, partitions=4, writable=True, reserve_bytes=0, segment_bytes=2000)
        for number in range(8):
            log.append({p: [event(number * 20 + k) for k in range(20)] for p in range(4)}, {"s": number})
        index = SqliteIndex(opened.index_dir, log, writable=True)
        for partition in range(4):
            index.add(partition, log.read(partition, 0, 1000))
        index.close()
        log.close()
        keeper = opened.keeper()
        keeper.seal()
        keeper.checkpoint()
        yield opened


def run(service: Service, *arguments: str) -> Any:
    return CliRunner().invoke(build("store"), ["store", *arguments, "--state", str(service.settings.state)])


def damage(service: Service) -> Path:
    path = segment.list_segments(service.log_dir, 2)[0]
    content = bytearray(path.read_bytes())
    content[-40] ^= 0x55
    path.write_bytes(content)
    return path


def test_check_names_file_and_byte_and_repair_does_only_what_it_is_told_to(service: Service) -> None:
    whole = run(service, "check")
    assert (whole.exit_code, whole.output.splitlines()[-1]) == (0, "完整 / whole")
    path = damage(service)
    found = run(service, "check")
    assert found.exit_code == 1
    assert f"{path} @ " in found.output
    assert "store-torn.md" in found.output
    said = orjson.loads(run(service, "check", "--json", "--quick").output)
    assert said["whole"] is False
    assert said["flaws"][0]["path"] == str(path)
    planned = run(service, "repair")
    assert planned.exit_code == 1
    assert "--yes" in planned.output
    assert run(service, "check").exit_code == 1, "nothing was done"
    done = run(service, "repair", "--yes", "--json")
    assert done.exit_code == 0, done.output
    said = orjson.loads(done.output)
    assert said["lost_events"] == sum(hole["end"] - hole["first"] for hole in said["lost"]) > 0
    assert Path(said["aside"][0]).parent == service.log_dir / "damaged" / "2"
    fill_index(service)  # as the index role does from where it is: it was emptied
    again = run(service, "check")
    assert again.exit_code == 0, again.output
    assert run(service, "repair").output.startswith("无需修复")
    with service.database.read() as tx:
        (row,) = audit.about(tx, ["store:log"])
    assert row.action == "store.repair"
    assert row.detail["lost_events"] == said["lost_events"]


def fill_index(service: Service) -> None:
    index = SqliteIndex(service.index_dir, service.log, writable=True)
    for partition in range(4):
        index.add(partition, service.log.read(partition, index.position(partition), 1000))
    index.close()


def test_a_damaged_index_alone_is_emptied_for_the_index_role(service: Service) -> None:
    (path,) = service.index_dir.glob("*.idx")
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes(8192)
    path.write_bytes(content)
    assert run(service, "check").exit_code == 1
    assert run(service, "repair", "--yes").exit_code == 0
    fill_index(service)
    assert run(service, "check").exit_code == 0


def test_a_watermark_that_is_gone_is_written_anew(service: Service) -> None:
    (service.log_dir / ends.NAME).write_bytes(b"?")
    found = run(service, "check")
    assert found.exit_code == 1
    assert "watermark" in found.output
    assert run(service, "repair", "--yes").exit_code == 0
    assert run(service, "check").exit_code == 0


def test_repair_refuses_while_a_role_runs_writes_or_a_backup_is_taken(service: Service) -> None:
    damage(service)
    status.report(service.run_dir, "index", {}, service.clock())
    refused = run(service, "repair", "--yes")
    assert refused.exit_code == 2
    assert "index (" in refused.output
    (service.run_dir / "index.json").unlink()
    writer = FileLog(service.log_dir, partitions=4, writable=True, reserve_bytes=0)
    assert run(service, "repair", "--yes").exit_code == 2
    assert run(service, "check").exit_code == 1, "checking goes on beside a writer"
    writer.close()
    with keeping(service.log_dir):
        assert run(service, "repair", "--yes").exit_code == 2
    assert run(service, "repair", "--yes").exit_code == 0


def test_a_chain_of_seals_that_cannot_be_read_is_renewed_only_when_asked(service: Service) -> None:
    path = chain.path_of(service.log_dir, 0)
    path.write_bytes(b"{" + path.read_bytes())
    assert run(service, "check").exit_code == 1
    assert run(service, "repair", "--yes").exit_code == 0
    assert run(service, "check").exit_code == 1, "seals are evidence: they are not made good silently"
    assert run(service, "repair", "--yes", "--renew-seals").exit_code == 0
    checked = run(service, "check")
    assert checked.exit_code == 0, checked.output


def test_statistics_per_partition_tenant_day_and_source(service: Service) -> None:
    said = orjson.loads(run(service, "stats", "--json", "--by", "day", "--by", "source").output)
    assert [part["events"] for part in said["partitions"]] == [160] * 4
    assert {name: one["events"] for name, one in said["tenants"].items()} == {"a": EVENTS / 2, "b": EVENTS / 2}
    assert said["tenants"]["a"]["retention_days"] == 184
    assert said["log_bytes"] == sum(part["disk_bytes"] for part in said["partitions"]) > 0
    rows = {(row["tenant"], row["collector"], row["host"]): row for row in said["detail"]}
    assert rows.keys() == {(tenant, "syslog_tcp", f"h{n}") for tenant in "ab" for n in range(3)}
    assert sum(row["events"] for row in said["detail"]) == EVENTS
    assert sum(row["raw_bytes"] for row in said["detail"]) == sum(part["raw_bytes"] for part in said["partitions"])
    text = run(service, "stats", "--by", "source")
    assert text.exit_code == 0
    assert "h2" in text.output
    assert run(service, "stats", "--by", "colour").exit_code == 2


def test_export_writes_what_was_asked_for_and_is_audited(service: Service, tmp_path: Path) -> None:
    out = tmp_path / "a.ndjson"
    arguments = ("--format", "ndjson", "--tenant", "a", "--query", "host.name:h1", "--from", "2026-11-24", "--json")
    said = orjson.loads(run(service, "export", "--out", str(out), *arguments).output)
    found = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert len(found) == said["events"] > 0
    assert {(one["organization.id"], one["host.name"]) for one in found} == {("a", "h1")}
    assert run(service, "export", "--out", str(out), *arguments).exit_code == 2, "it is there already"
    with service.database.read() as tx:
        row = audit.about(tx, [f"file:{out}"])[0]
    assert (row.action, row.detail["tenants"]) == ("events.export", ["a"])


def test_retention_is_set_and_listed_and_never_below_the_law(service: Service) -> None:
    assert run(service, "retention", "set", "a", "365", "--reason", "审计").exit_code == 0
    refused = run(service, "retention", "set", "a", "90", "--reason", "r")
    assert refused.exit_code == 2
    assert "网络安全法" in refused.output
    assert "365" in run(service, "retention", "list").output


def test_with_kafka_the_commands_of_the_embedded_log_say_so(tmp_path: Path, service: Service) -> None:
    (service.settings.state / "secops.toml").write_text(
        '[log]\nengine = "kafka"\n[log.kafka]\nbootstrap = "127.0.0.1:1"\n[index]\nengine = "sqlite"\n'
    )
    for command in ("check", "repair", "stats"):
        refused = run(service, command)
        assert refused.exit_code == 2, refused.output
        assert "Kafka" in refused.output


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_changed_byte_of_a_signed_checkpoint_passes_or_breaks_the_check(
    data: st.DataObject, service: Service
) -> None:
    """With the authority's own signature and certificates; line ends within PEM say nothing."""
    (line,) = chain.whole_lines(checkpoints.path_of(service.log_dir))
    links = {p: chain.whole_lines(chain.path_of(service.log_dir, p)) for p in range(4)}
    changed = bytearray(line)
    at = data.draw(st.integers(0, len(line) - 1))
    changed[at] ^= data.draw(st.integers(1, 255))
    found = checkpoints.find_break([bytes(changed)], links, service.witness())
    if found is None:
        before, after = checkpoints.parse(line), checkpoints.parse(bytes(changed))
        assert (before.text, before.signature) == (after.text, after.signature)
        assert x509.load_pem_x509_certificates(before.chain_pem) == x509.load_pem_x509_certificates(after.chain_pem)
