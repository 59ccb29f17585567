"""Which window a correlation rule keeps for each of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secops.match.window_counts import EventCount, Ranked, Summed, ValueCount
from secops.match.window_temporal import Temporal, TemporalOrdered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from secops.match.rule import Correlation
    from secops.match.window import Entry, Window


def window_of(body: Correlation, entries: Sequence[Entry] = ()) -> Window:
    """A window of the correlation's kind."""
    kinds: tuple[type[Window], ...] = (EventCount, ValueCount, Temporal, TemporalOrdered, Summed, Ranked)
    return next(kind for kind in kinds if body.type in kind.kinds)(body, entries)
