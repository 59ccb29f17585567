"""What the fields of an event mean to a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secops.records import (
    DATASET,
    EVENT_ID,
    HOST,
    INGESTED,
    KIND,
    MODULE,
    ORIGINAL,
    TENANT,
    TIMESTAMP,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from secops.records import Event

# Indexed as whole values, and kept as columns for facets. A change needs a rebuild of the index (SCHEMA in shard.py).
KEYWORDS: Final = (
    TENANT,
    KIND,
    MODULE,
    DATASET,
    HOST,
    "event.category",
    "event.action",
    "event.outcome",
    "event.code",
    "user.name",
    "source.ip",
    "destination.ip",
    "process.name",
    "http.response.status_code",
    "log.syslog.severity.code",
    "agent.type",
)
KEYWORD_SET: Final = frozenset(KEYWORDS)

# Not part of "all text": a bare word does not look at them.
HIDDEN: Final = frozenset(
    {TIMESTAMP, INGESTED, EVENT_ID, TENANT, KIND, MODULE, "agent.type", "log.source.address", "raw.base64"}
)


def scalars(value: object) -> Iterator[str]:
    """The texts of a field's value: one for a scalar, several for a list or mapping, none for null."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, int | float):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from scalars(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in HIDDEN:
                yield from scalars(item)


def lookup(event: Event, field: str) -> Any:  # noqa: ANN401 - an event's values are of any JSON type
    """A field's value: of the event, else of its original fields, else below a dotted prefix; None when absent."""
    if field in event:
        return event[field]
    original = event.get(ORIGINAL)
    if isinstance(original, dict) and field in original:
        return original[field]
    head, dot, _ = field.rpartition(".")
    while dot:
        nested = event.get(head)
        if isinstance(nested, dict):
            return nested.get(field[len(head) + 1 :])
        head, dot, _ = head.rpartition(".")
    return None


def all_texts(event: Event) -> Iterator[str]:
    """Every text that a bare word looks at."""
    for field, value in event.items():
        if field not in HIDDEN:
            yield from scalars(value)
