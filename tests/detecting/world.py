"""A detect role over a real state folder and a real log, driven by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from waiting import wait_until

from monitors.record import Record
from secops import pipeline, wiring
from secops.alert.tables import AlertRow
from secops.rulebook import stats
from secops.settings import Detect, Settings
from secops.wiring import Service
from secops.worker import batches, metrics
from secops.worker.detect import DetectRole
from secops.worker.rule_watch import RuleWatch

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
RULE = """
title: {title}
id: {id}
level: high
logsource: {{product: linux}}
detection:
  selection: {{message|contains: {text}}}
  condition: selection
"""


@contextmanager
def service(state: Path, **detect: object) -> Iterator[Service]:
    """A prepared installation whose rules are looked at all the time."""
    settings = Settings(state=state, detect=Detect(reload_seconds=0.01, batch_events=50, **detect))  # type: ignore[arg-type]
    wiring.prepare(settings)
    with wiring.opened(settings) as found:
        found.clock = lambda: NOW + timedelta(minutes=10)
        yield found


@contextmanager
def detecting(found: Service) -> Iterator[DetectRole]:
    """The detect role, not yet running."""
    registry = CollectorRegistry()
    source = batches.source(found.settings, found.log, log_dir=found.log_dir, cache_dir=found.cache_dir)
    watch = RuleWatch(found.settings)
    role = DetectRole(found, watch, source, metrics.consumer(registry, "detect"), metrics.detect(registry))
    try:
        role.use(watch.running)
        yield role
    finally:
        source.close()
        watch.close()


def store(found: Service, lines: Sequence[str], *, tenant: str = "city", first: int = 0) -> None:
    """Put syslog lines into the log, a second apart."""
    records = [
        Record(line.encode(), NOW + timedelta(seconds=first + n), "test", "192.0.2.1:514", tenant, "syslog")
        for n, line in enumerate(lines)
    ]
    log = found.writable_log()
    try:
        pipeline.ingest(records, log, UTC)
    finally:
        log.close()


def finish(role: DetectRole) -> None:
    """Run rounds until everything that is stored has been matched."""
    log = role.service.log

    def done() -> bool:
        role.round()
        return all(log.end(partition) <= offset for partition, offset in role.offsets.items())

    wait_until(done, timeout=60, what="the log to be matched")


def look_until_used(role: DetectRole, rule_id: str) -> None:
    """Wait until a changed set is in force."""

    def used() -> bool:
        role.look()
        return rule_id in role.infos

    wait_until(used, timeout=60, what=f"rule {rule_id} to run")


def alerts(found: Service) -> list[tuple[str, str, dict[str, str], int]]:
    """(rule, tenant, group, count) of every alert."""
    with found.database.read() as tx:
        rows = tx.scalars(sa.select(AlertRow)).all()
        listed = [(row.rule_id, row.tenant, dict(row.group), row.count) for row in rows]
        return sorted(listed, key=repr)


def write_rule(found: Service, rule_id: str, text: str) -> Path:
    """Put a rule into the state folder."""
    path = found.settings.state / "rules" / f"{rule_id}.yml"
    path.write_text(RULE.format(title=rule_id, id=rule_id, text=text))
    return path


def outcome(found: Service) -> tuple[set[tuple[str, str, str]], dict[str, int]]:
    """Which alerts there are, and how often each rule was hit: what must not depend on how batches were cut."""
    with found.database.read() as tx:
        hits = {rule_id: stat.hits for rule_id, stat in stats.all(tx).items() if stat.hits}
    return {(rule, tenant, repr(sorted(group.items()))) for rule, tenant, group, _ in alerts(found)}, hits
