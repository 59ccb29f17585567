"""The service's own audit trail flows through the pipeline like any other source, exactly once.

The id of the last row lies in the same durable frame as the events made of the rows (the log's ``positions``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from monitors.record import Record
from secops import audit

if TYPE_CHECKING:
    from datetime import datetime

    from secops.audit import AuditRow
    from secops.db import Database

AUDIT = "audit"  # collector, format and position name
LIMIT = 500


def audit_records(database: Database, last_id: int, received: datetime) -> list[Record]:
    """Give the rows after ``last_id`` as records, each with its id as position."""
    with database.read() as tx:
        return [_record(row, received) for row in audit.after(tx, last_id, LIMIT)]


def _record(row: AuditRow, received: datetime) -> Record:
    return Record(
        raw=orjson.dumps(audit.as_dict(row)),
        received=received,
        collector=AUDIT,
        peer="",
        tenant=row.tenant or "city",
        format=AUDIT,
        position=(AUDIT, row.id),
    )
