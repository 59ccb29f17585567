"""The service's own metrics (prometheus-client); made by a role when it starts, never at import.

The roles are processes of their own; prometheus-client's multi-process files (``run/metrics``) bring them together, and
the supervisor serves them at ``/metrics``. ``docs/metrics.md`` lists them, ``dashboards/`` draws them; tests hold both.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
BATCH_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


@dataclass(frozen=True, slots=True)
class IngestMetrics:
    """What the ingest role counts; ``collector`` is the kind."""

    received: Counter
    dropped: Counter
    rejected: Counter
    connections: Gauge
    handshakes: Gauge
    handshakes_failed: Counter
    silent: Counter
    stored: Counter
    quarantined: Counter
    batch_seconds: Histogram
    queued: Gauge
    accepting: Gauge
    quota_slowed: Counter
    quota_dropped: Counter


@dataclass(frozen=True, slots=True)
class ConsumerMetrics:
    """What a consumer of the log counts."""

    events: Counter
    lag: Gauge
    batch_seconds: Histogram


@dataclass(frozen=True, slots=True)
class DetectMetrics:
    """What the detect role counts beside its progress."""

    matches: Counter
    rules: Gauge
    refused: Gauge
    unused: Counter  # by reason: late, undated, dropped, evicted, excepted, switched_off
    restarts: Counter
    reload_seconds: Gauge


@dataclass(frozen=True, slots=True)
class JobsMetrics:
    """What the jobs role counts."""

    outbox: Counter
    disk_free: Gauge
    detect_lag: Gauge  # seen from outside the detect role, which may hang


@dataclass(frozen=True, slots=True)
class SourceMetrics:
    """How sources are doing, by organisation and kind of collector."""

    known: Gauge
    silent: Gauge
    rate: Gauge
    lag: Gauge
    ahead: Gauge
    unread: Gauge


@dataclass(frozen=True, slots=True)
class StoreMetrics:
    """What keeping the event log counts."""

    sealed: Counter
    checkpoints: Counter
    expired: Counter


def ingest(registry: CollectorRegistry) -> IngestMetrics:
    """Make the ingest role's metrics."""
    by = ["collector"]
    return IngestMetrics(
        received=Counter("secops_ingest_received_total", "Messages taken from sources", by, registry=registry),
        dropped=Counter("secops_ingest_dropped_total", "Messages lost before they were durable", by, registry=registry),
        rejected=Counter(
            "secops_ingest_rejected_total", "Messages or connections refused on purpose", by, registry=registry
        ),
        connections=Gauge(
            "secops_ingest_connections", "Connections open now", by, registry=registry, multiprocess_mode="livesum"
        ),
        handshakes=Gauge(
            "secops_ingest_handshakes", "TLS handshakes under way", by, registry=registry, multiprocess_mode="livesum"
        ),
        handshakes_failed=Counter(
            "secops_ingest_handshakes_failed_total",
            "TLS handshakes that failed or took too long",
            by,
            registry=registry,
        ),
        silent=Counter(
            "secops_ingest_silent_total", "Connections closed because no message ever began", by, registry=registry
        ),
        stored=Counter("secops_events_stored_total", "Events durable in the log", registry=registry),
        quarantined=Counter(
            "secops_events_quarantined_total", "Messages that could not be understood", registry=registry
        ),
        batch_seconds=Histogram(
            "secops_ingest_batch_seconds", "Normalise and append of one batch", registry=registry, buckets=BATCH_SECONDS
        ),
        quota_slowed=Counter(
            "secops_ingest_quota_slowed_total",
            "Submissions that waited for the tenant's quota",
            ["tenant"],
            registry=registry,
        ),
        quota_dropped=Counter(
            "secops_ingest_quota_dropped_total",
            "Datagrams not taken because of the tenant's quota",
            ["tenant"],
            registry=registry,
        ),
        queued=Gauge("secops_ingest_queued_events", "Records waiting", registry=registry, multiprocess_mode="livesum"),
        accepting=Gauge(
            "secops_ingest_accepting",
            "1 while events are acknowledged, 0 when the disk is full",
            registry=registry,
            multiprocess_mode="livemin",
        ),
    )


def consumer(registry: CollectorRegistry, name: str) -> ConsumerMetrics:
    """Make the metrics of the consumer ``name`` (index or detect)."""
    return ConsumerMetrics(
        events=Counter(f"secops_{name}_events_total", f"Events read from the log by {name}", registry=registry),
        lag=Gauge(
            f"secops_{name}_lag_events",
            f"Events not yet seen by {name}",
            registry=registry,
            multiprocess_mode="livesum",
        ),
        batch_seconds=Histogram(
            f"secops_{name}_batch_seconds", f"One batch of {name}", registry=registry, buckets=BATCH_SECONDS
        ),
    )


def detect(registry: CollectorRegistry) -> DetectMetrics:
    """Make the detect role's own metrics."""
    return DetectMetrics(
        matches=Counter("secops_detect_matches_total", "Rule hits", registry=registry),
        rules=Gauge("secops_detect_rules", "Rules running", registry=registry, multiprocess_mode="livemax"),
        refused=Gauge("secops_detect_rules_refused", "Rules refused", registry=registry, multiprocess_mode="livemax"),
        unused=Counter("secops_detect_unused_total", "Hits and state not used", ["reason"], registry=registry),
        restarts=Counter("secops_detect_matcher_restarts_total", "Matcher processes started again", registry=registry),
        reload_seconds=Gauge(
            "secops_detect_reload_seconds",
            "From a change of the rules to its being in force, last time",
            registry=registry,
            multiprocess_mode="livemax",
        ),
    )


def jobs(registry: CollectorRegistry) -> JobsMetrics:
    """Make the jobs role's metrics."""
    return JobsMetrics(
        outbox=Counter("secops_outbox_handled_total", "Outbox messages tried", registry=registry),
        detect_lag=Gauge(
            "secops_detect_lag_seconds",
            "Since the oldest unmatched event was received",
            registry=registry,
            multiprocess_mode="livemax",
        ),
        disk_free=Gauge(
            "secops_disk_free_bytes", "Free bytes where the state lies", registry=registry, multiprocess_mode="livemin"
        ),
    )


def sources(registry: CollectorRegistry) -> SourceMetrics:
    """Make the metrics of sources, as the jobs role sees them; one source each would be too many series."""

    def gauge(name: str, text: str) -> Gauge:
        by = ["tenant", "collector"]
        return Gauge(f"secops_sources_{name}", text, by, registry=registry, multiprocess_mode="livemax")

    return SourceMetrics(
        known=gauge("known", "Sources that were ever heard and not taken off the list"),
        silent=gauge("silent", "Sources silent for as long as the watch allows"),
        rate=gauge("events_per_second", "Events a second of all of them"),
        lag=gauge("lag_seconds", "From event to receipt lately, the greatest of any source that sends"),
        ahead=gauge("clock_ahead_seconds", "By how much the clock of any source that sends runs ahead, the greatest"),
        unread=gauge("unread", "Events of all of them that nobody could read or parse, so far"),
    )


def store(registry: CollectorRegistry) -> StoreMetrics:
    """Make the metrics of keeping the event log."""
    return StoreMetrics(
        sealed=Counter("secops_store_sealed_total", "Segments sealed", registry=registry),
        checkpoints=Counter("secops_store_checkpoints_total", "Checkpoints signed over the seals", registry=registry),
        expired=Counter(
            "secops_store_expired_events_total", "Events that left after their retention", registry=registry
        ),
    )
