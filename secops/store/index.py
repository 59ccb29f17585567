"""The search index over the event log: a consumer of the log that can always be rebuilt from it.

Kept apart from its engines (``sqlite`` embedded, ``elasticsearch`` for more machines), so that console and API know only this shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from secops.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from secops.records import Event


class QuerySyntaxError(UserError):
    """A query that cannot be understood or that is too large; ``position`` is the 0-based character, or None."""

    def __init__(self, zh: str, en: str, position: int | None = None) -> None:
        where_zh = "" if position is None else f"（第 {position + 1} 个字符处）"
        where_en = "" if position is None else f" (at character {position + 1})"
        super().__init__("search.syntax", f"{zh}{where_zh}", f"{en}{where_en}")
        self.position = position


class IndexUnavailable(UserError):  # noqa: N818 - a state of the server, named as the callers say it
    """The index's server does not answer or takes no more for now: nothing is lost, the same call may be made later."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(
            "index.busy",
            f"搜索引擎暂不可用：{zh}。日志仍在接收，恢复后自动补齐索引",
            f"the search engine is not available: {en}. Gathering goes on; the index catches up by itself",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What to look for. ``text`` is Lucene syntax, empty for everything.

    ``tenants`` limits every answer to events of those tenants (None: all tenants; empty: nothing). ``start`` is
    inclusive, ``end`` exclusive, both aware and by ``@timestamp``. ``before`` is the ``next`` of an earlier page.
    """

    text: str = ""
    tenants: frozenset[str] | None
    start: datetime | None = None
    end: datetime | None = None
    limit: int = 50
    before: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Hits, newest first by ``(@timestamp, id)``.

    ``total`` counts all hits, not only this page's; it is a lower bound when ``total_exact`` is False (a cap or the
    deadline was reached). ``next`` is None on the last page.
    """

    hits: list[Event]
    total: int
    total_exact: bool
    next: str | None
    took_ms: float


class Index(Protocol):
    """Search over the log."""

    def search(self, query: Query) -> Page:
        """One page of hits, newest first.

        Raises:
            QuerySyntaxError: the text or the cursor cannot be understood, or the query is too large.
            IndexUnavailable: a server does not answer.
        """
        ...

    def histogram(self, query: Query, buckets: int) -> list[tuple[datetime, int]]:
        """``(start of bucket, hits)`` for ``buckets`` equal spans of the query's (or the hits') time range."""
        ...

    def facets(self, query: Query, field: str, size: int) -> list[tuple[str, int]]:
        """The ``size`` commonest values of ``field`` among the hits with their counts, commonest first."""
        ...

    def add(self, partition: int, events: Sequence[Event]) -> None:
        """Index ``events`` read from the log (``event.id`` set, in order); what is already indexed is skipped.

        Raises:
            IndexUnavailable: a server is down or overloaded; the same call may be made later.
        """
        ...

    def position(self, partition: int) -> int:
        """The offset of ``partition`` from which ``add`` expects to go on."""
        ...

    def drop(self, firsts: Mapping[int, int]) -> int:
        """Remove what lies wholly below the log's oldest offsets ``firsts`` (partition -> offset); gives how many files went.

        So events leave the index when they have left the log, by the retention of their tenants, and never before.
        """
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...
