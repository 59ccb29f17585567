from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitors.record import Record
    from secops.records import Event


def normalise(records: Sequence[Record]) -> list[Event]:
    """Turn records into events, in order, at least one event per record; what cannot be read is quarantined.

    Never raises for input, takes bounded time for every record, and gives the same events for the same records.
    """
    raise NotImplementedError
