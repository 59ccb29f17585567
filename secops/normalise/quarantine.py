from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Final

from secops.normalise.decode import escape

if TYPE_CHECKING:
    from monitors.record import Record
    from secops.normalise.parser import Desk
    from secops.records import Event

KEPT: Final = 4096  # bytes of a quarantined message that are kept


def quarantine(record: Record, desk: Desk, error_type: str, message: str) -> Event:
    """Give the event that stands for a message that cannot be read, with enough of it to look at and to find it again."""
    event = desk.event(record, escape(record.raw, KEPT))
    event["event.kind"] = "pipeline_error"
    event["event.module"] = "secops"
    event["event.dataset"] = "secops.pipeline"
    event["message"] = message
    event["error.type"] = error_type
    event["error.message"] = message
    event["original"] = {
        "raw.sha256": hashlib.sha256(record.raw).hexdigest(),
        "raw.length": len(record.raw),
        "raw.base64": base64.b64encode(record.raw[:KEPT]).decode("ascii"),
    }
    return event
