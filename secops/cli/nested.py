"""Raw events that are not flat: JSON with objects inside, as clouds and converters of event files write it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from monitors.record import Record
from secops.normalise import normalise
from secops.normalise.documents import flatten
from secops.normalise.parser import UnreadableError
from secops.records import DATASET, ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOW: Final = datetime(1970, 1, 1, tzinfo=UTC)  # when the line is received, which nobody asks here


def flat(event: dict[str, Any]) -> dict[str, Any]:
    """A raw event with its fields side by side: ``a: {b: 1}`` is the field ``a.b``; the same object when it is flat.

    Windows events as ``evtx_dump`` and Winlogbeat write them get the names that rules use. What is nested beyond the
    limits of normalisation stays as it is.
    """
    if DATASET in event or not any(type(value) in {dict, list} for value in event.values()):
        return event
    if "Event" in event or "winlog" in event:
        return _windows(event) or event
    try:
        return flatten(event)
    except UnreadableError:
        return event


def _windows(event: Mapping[str, Any]) -> dict[str, Any] | None:
    [read] = normalise([Record(orjson.dumps(event), _NOW, "file", "", "", "json")])
    original: dict[str, Any] | None = read.get(ORIGINAL)
    return original
