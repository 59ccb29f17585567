from __future__ import annotations

from typing import TYPE_CHECKING, Final

from secops.normalise.documents import flatten, load
from secops.normalise.parser import FormatParser, UnreadableError
from secops.normalise.schema import text
from secops.normalise.times import iso

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

_OUTCOMES: Final = {"pass": "success", "fail": "failure", "unknown": "unknown"}


def parse(record: Record, line: str, desk: Desk) -> list[Event]:
    """Read what a probe saw (``monitors.probe.observe``): subject, check, outcome, times, detail."""
    seen = load(line)
    outcome = seen.get("outcome") if isinstance(seen, dict) else None
    if not isinstance(outcome, str) or outcome not in _OUTCOMES:
        raise UnreadableError("malformed", "no observation")
    event = desk.event(record, line)
    event["event.kind"] = "metric"
    event["event.module"] = "secops"
    event["event.dataset"] = "secops.probe"
    event["event.action"] = f"probe_{text(seen.get('check')) or record.collector}"
    event["event.outcome"] = _OUTCOMES[outcome]
    event["event.category"], event["event.type"] = ["host"], ["info"]
    event["host.name"] = event["host.name"] or "secops"
    event["service.name"] = subject = text(seen.get("subject")) or ""
    event["original"] = flatten(seen)
    reason = event["original"].get("detail.reason")
    event["message"] = f"{seen.get('check')} {subject}: {outcome}" + (f" ({reason})" if reason else "")
    if isinstance(at := seen.get("observed_to"), str):
        desk.stamp(event, iso(at, desk.zone))
    return [event]


PARSERS = (FormatParser("probe", parse),)
