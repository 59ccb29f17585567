"""Answering one query from Elasticsearch: what the plan decides is counted there, all else is confirmed on the events."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from secops.records import TENANT
from secops.store import columns, elasticsearch_plan
from secops.store import query as language
from secops.store.aggregate import MAX_BUCKETS
from secops.store.elasticsearch_document import ADDRESSES, WHOLE, column, long, tenant_key, to_event, to_micros
from secops.store.evaluate import compile_query
from secops.store.fields import KEYWORD_SET, lookup, scalars
from secops.store.finding import CONFIRM, MAX_LIMIT, TOTAL_CAP, Cursor, Deadline, Key
from secops.store.index import Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from elasticsearch import Elasticsearch

    from secops.records import Event
    from secops.store.index import Query

MAX_TERMS: Final = 10_000  # values that a shard reports of one part of a facet
MAX_PARTS: Final = 256
SORT: Final = [{"micros": "desc"}, {"row": "desc"}]


class Search:
    """One query, as the documents are now."""

    def __init__(self, client: Elasticsearch, stream: str, query: Query, deadline: Deadline) -> None:
        self._client, self._stream, self._query, self._deadline = client, stream, query, deadline
        self._node = language.parse(query.text)
        self._predicate = compile_query(self._node)
        self._nothing = query.tenants is not None and not query.tenants
        self._limit = min(max(query.limit, 0), MAX_LIMIT)
        self._before = Cursor.parse(query.before) if query.before else None
        self._start = None if query.start is None else to_micros(query.start)
        self._end = None if query.end is None else to_micros(query.end)
        self._base = self._limits()

    def page(self) -> Page:
        """The hits of a page, newest first."""
        if self._nothing:
            return self._page([], 0, complete=True, following=None)
        plan = self._plan()
        return self._decided_page(plan) if plan.exact else self._confirmed_page(plan)

    def facets(self, field: str, size: int) -> list[tuple[str, int]]:
        """See ``Index.facets``."""
        if self._nothing or size <= 0:
            return []
        plan = self._plan(column(field), long(field))
        if plan.exact and field in KEYWORD_SET:
            return self._terms(plan, field, size)
        counts: Counter[str] = Counter()
        for _, event in self._hits(plan):
            counts.update(set(scalars(lookup(event, field))))
        return heapq.nsmallest(size, counts.items(), key=lambda item: (-item[1], item[0]))

    def histogram(self, buckets: int) -> list[tuple[datetime, int]]:
        """See ``Index.histogram``."""
        buckets = min(max(buckets, 1), MAX_BUCKETS)
        if self._nothing:
            return spread([], self._start, self._end, buckets)
        plan = self._plan()
        if not plan.exact:
            return spread([key.moment for key, _ in self._hits(plan)], self._start, self._end, buckets)
        outer = self._outermost(plan)
        if outer is None:
            return spread([], self._start, self._end, buckets)
        answer = self._ask(
            self._body(plan),
            size=0,
            aggs={"spans": {"range": {"field": "micros", "keyed": True, "ranges": _ranges(borders(*outer, buckets))}}},
        )
        counted = answer.get("aggregations", {}).get("spans", {}).get("buckets", {})
        return [
            (columns.to_datetime(at), counted.get(str(n), {}).get("doc_count", 0))
            for n, at in enumerate(starts(*outer, buckets))
        ]

    def _plan(self, *marks: str) -> elasticsearch_plan.Plan:
        """The plan, made again for the odd events in question where there are some."""
        plan = elasticsearch_plan.make(self._node)
        marks = (*marks, *plan.provisos)
        if not marks and plan.dsl is None and plan.exact:
            return plan
        odd = self._odd(frozenset({*marks, WHOLE}))
        if not odd:
            return plan
        plan = elasticsearch_plan.make(self._node, odd)
        if WHOLE in odd:
            plan = elasticsearch_plan.Plan(elasticsearch_plan.either(plan.dsl, [WHOLE]), exact=False)
        return elasticsearch_plan.Plan(plan.dsl, plan.exact and odd.isdisjoint(marks))

    def _odd(self, marks: frozenset[str]) -> frozenset[str]:
        wanted = sorted(marks)
        answer = self._ask(
            [*self._base, {"terms": {"odd": wanted}}],
            size=0,
            aggs={"odd": {"terms": {"field": "odd", "include": wanted, "size": len(wanted)}}},
        )
        found = answer.get("aggregations", {}).get("odd", {}).get("buckets", [])
        return frozenset(bucket["key"] for bucket in found)

    def _decided_page(self, plan: elasticsearch_plan.Plan) -> Page:
        hits = self._listed(plan, None if self._before is None else self._before.key, self._limit + 1)
        more = len(hits) > self._limit
        following = hits[self._limit - 1][0] if more and self._limit else None
        total = self._total(plan) if more and self._before is None else len(hits)
        return self._page(hits[: self._limit], total, complete=True, following=following)

    def _total(self, plan: elasticsearch_plan.Plan) -> int:
        """All hits. Asked apart: the newest are found without looking at all of them, and all are counted without sorting."""
        return int(self._ask(self._body(plan), size=0, track_total_hits=True)["hits"]["total"]["value"])

    def _confirmed_page(self, plan: elasticsearch_plan.Plan) -> Page:
        hits: list[tuple[Key, Event]] = []
        total, complete, reached, settled = 0, True, None, False
        for batch in self._batches(plan, None if self._before is None else self._before.key):
            kept = [(key, event) for key, event in batch if self._holds(event)]
            total += len(kept)
            hits += kept[: self._limit + 1 - len(hits)]
            reached = batch[-1][0]
            if not settled and len(hits) > self._limit:
                settled = True
                self._deadline.settle()
            if self._deadline.expired() or (settled and (self._before is not None or total >= TOTAL_CAP)):
                complete = len(batch) < CONFIRM
                break
        following = hits[self._limit - 1][0] if len(hits) > self._limit > 0 else None
        if following is None and not complete:
            following = reached
        return self._page(hits[: self._limit], total, complete=complete, following=following)

    def _page(self, hits: list[tuple[Key, Event]], total: int, *, complete: bool, following: Key | None) -> Page:
        if self._before is not None:
            total, complete = self._before.total, self._before.exact
        return Page(
            hits=[event for _, event in hits if self._may_see(event)],
            total=total,
            total_exact=complete,
            next=None if following is None else str(Cursor(following, total, complete)),
            took_ms=self._deadline.took_ms(),
        )

    def _hits(self, plan: elasticsearch_plan.Plan) -> Iterator[tuple[Key, Event]]:
        """All hits until the deadline, newest first, confirmed where the plan is not exact."""
        for batch in self._batches(plan, None):
            for key, event in batch:
                if plan.exact or self._holds(event):
                    yield key, event
            if self._deadline.expired():
                return

    def _batches(self, plan: elasticsearch_plan.Plan, after: Key | None) -> Iterator[list[tuple[Key, Event]]]:
        while True:
            batch = self._listed(plan, after, CONFIRM)
            if batch:
                yield batch
                after = batch[-1][0]
            if len(batch) < CONFIRM:
                return

    def _holds(self, event: Event) -> bool:
        return self._predicate(event) and self._may_see(event)

    def _may_see(self, event: Event) -> bool:
        """The tenants again, on the event itself."""
        return self._query.tenants is None or event.get(TENANT) in self._query.tenants

    def _listed(self, plan: elasticsearch_plan.Plan, after: Key | None, size: int) -> list[tuple[Key, Event]]:
        more: dict[str, Any] = {} if after is None else {"search_after": list(after)}
        found = self._ask(self._body(plan), size=size, sort=SORT, source=True, **more)
        return [_read(hit) for hit in found["hits"]["hits"]]

    def _terms(self, plan: elasticsearch_plan.Plan, field: str, size: int) -> list[tuple[str, int]]:
        """Counted by the server. Where shards hold so many values that their counts may miss some, part by part."""
        parts = 1
        while True:
            counts: list[tuple[str, int]] = []
            certain = True
            for part in range(parts):
                found = self._part(plan, field, size, part, parts)
                certain = certain and not found.get("doc_count_error_upper_bound", 0)
                counts += [(bucket["key"], bucket["doc_count"]) for bucket in found.get("buckets", [])]
            if certain or parts >= MAX_PARTS or self._deadline.expired():
                return heapq.nsmallest(size, counts, key=lambda item: (-item[1], item[0]))
            parts *= 4

    def _part(self, plan: elasticsearch_plan.Plan, field: str, size: int, part: int, parts: int) -> dict[str, Any]:
        terms: dict[str, Any] = {
            "field": f"{field}.text" if field in ADDRESSES else field,
            "size": size,
            "shard_size": max(size, MAX_TERMS),
            "order": [{"_count": "desc"}, {"_key": "asc"}],
        }
        if parts > 1:
            terms["include"] = {"partition": part, "num_partitions": parts}
        answer = self._ask(self._body(plan), size=0, aggs={"values": {"terms": terms}})
        found: dict[str, Any] = answer.get("aggregations", {}).get("values", {})
        return found

    def _outermost(self, plan: elasticsearch_plan.Plan) -> tuple[int, int] | None:
        """The first microsecond of the picture and the one after the last; None without hits or bounds."""
        if self._start is not None and self._end is not None:
            return self._start, self._end
        ends = []
        for way in ("asc", "desc"):
            found = self._ask(self._body(plan), size=1, sort=[{"micros": way}])["hits"]["hits"]
            if not found:
                return None
            ends.append(int(found[0]["sort"][0]))
        return ends[0] if self._start is None else self._start, ends[1] + 1 if self._end is None else self._end

    def _limits(self) -> list[elasticsearch_plan.Dsl]:
        found: list[elasticsearch_plan.Dsl] = []
        if self._query.tenants is not None:
            found.append({"terms": {"tenant": sorted(map(tenant_key, self._query.tenants))}})
        if self._start is not None or self._end is not None:
            bounds = {"gte": self._start, "lt": self._end}
            found.append({"range": {"micros": {name: at for name, at in bounds.items() if at is not None}}})
        return found

    def _body(self, plan: elasticsearch_plan.Plan) -> list[elasticsearch_plan.Dsl]:
        return self._base if plan.dsl is None else [*self._base, plan.dsl]

    def _ask(
        self,
        filters: list[elasticsearch_plan.Dsl],
        *,
        source: bool = False,
        track_total_hits: bool = False,
        **body: Any,  # noqa: ANN401 - JSON
    ) -> Any:  # noqa: ANN401 - JSON
        return self._client.search(
            index=self._stream,
            ignore_unavailable=True,
            allow_partial_search_results=False,
            query={"bool": {"filter": filters}} if filters else {"match_all": {}},
            source=source,
            track_total_hits=track_total_hits,
            **body,
        ).body


def _read(hit: dict[str, Any]) -> tuple[Key, Event]:
    moment, row = hit["sort"]
    return Key(moment, row), to_event(hit["_source"])


def borders(first: int, last: int, buckets: int) -> list[int]:
    """The lowest whole microsecond of each of ``buckets`` equal spans from ``first`` to before ``last``."""
    width = max((last - first) / buckets, 1.0)
    found = []
    for number in range(buckets):
        at = first + int(number * width)
        while int((at - first) / width) < number:  # where the product was rounded down
            at += 1
        found.append(at)
    return found


def starts(first: int, last: int, buckets: int) -> list[int]:
    """What each span is labelled with."""
    width = max((last - first) / buckets, 1.0)
    return [first + int(number * width) for number in range(buckets)]


def spread(moments: list[int], start: int | None, end: int | None, buckets: int) -> list[tuple[datetime, int]]:
    """Moments in equal spans; where a bound is open, the outermost moment stands for it."""
    if not moments and (start is None or end is None):
        return []
    first = min(moments) if start is None else start
    last = max(moments) + 1 if end is None else end
    width = max((last - first) / buckets, 1.0)
    counts = Counter(min(int((moment - first) / width), buckets - 1) for moment in moments)
    return [(columns.to_datetime(at), counts[number]) for number, at in enumerate(starts(first, last, buckets))]


def _ranges(bounds: list[int]) -> list[dict[str, Any]]:
    """Spans of a range aggregation; the outermost are open, the query's own limits hold there."""
    last = len(bounds) - 1
    found: list[dict[str, Any]] = []
    for number, at in enumerate(bounds):
        span: dict[str, Any] = {"key": str(number)}
        if number:
            span["from"] = at
        if number < last:
            span["to"] = bounds[number + 1]
        found.append(span)
    return found
