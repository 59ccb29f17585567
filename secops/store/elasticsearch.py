"""The index for more machines: a data stream in Elasticsearch, filled from the event log.

The embedded index and this one give the same hits for the same query: what Elasticsearch cannot decide as ``evaluate`` does is
confirmed on the events (``elasticsearch_plan``, ``elasticsearch_find``).

* A document's id is ``event.id`` and it is only ever created, so writing it again changes nothing.
* The place of each partition lies in the index ``<stream>-places``, moved after the documents below it are durable. After a
  start or a failure, what a broken-off write left behind is asked for first: ids are unique within one backing index only.
* The stream rolls over when it is large or old (``Rollover``), asked for after a write, so that no life-cycle module is needed.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson
from elasticsearch import ConflictError, NotFoundError

from secops.errors import UserError
from secops.records import EVENT_ID, EventId
from secops.store import elasticsearch_document as documents
from secops.store.elasticsearch_bulk import Document, Writer
from secops.store.elasticsearch_find import Search
from secops.store.elasticsearch_server import talking
from secops.store.finding import Deadline
from secops.store.shard import id_of, row_of
from secops.store.sqlite import COUNT_SECONDS, PAGE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from elasticsearch import Elasticsearch

    from secops.records import Event
    from secops.store.index import Page, Query

ROLLOVER_CHECK_SECONDS: Final = 60.0
PRESENT: Final = 10_000  # ids asked for at once
PRIORITY: Final = 500  # above the templates that Elasticsearch brings for `logs-*`


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the stream's indices are laid out: shards, copies, and when a new one is begun."""

    shards: int = 1
    replicas: int = 1
    rollover_size: str = "30gb"  # of the largest shard
    rollover_age: str = "30d"


class ElasticIndex:
    """``Index`` over Elasticsearch; ``writable`` in the process that has the partition, readable in any."""

    def __init__(
        self,
        client: Elasticsearch,
        name: str,
        *,
        writable: bool = False,
        layout: Layout | None = None,
        refresh: bool = False,
        page_seconds: float = PAGE_SECONDS,
        count_seconds: float = COUNT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """``refresh``: what is added is found at once, at a price; else within a second."""
        self._client, self._stream, self._writable = client, f"{name}-v{documents.SCHEMA}", writable
        self._places_index = f"{self._stream}-places"
        self._layout = layout or Layout()
        self._page_seconds, self._count_seconds, self._clock = page_seconds, count_seconds, clock
        self._writer = Writer(client, self._stream, refresh=refresh, wait=wait, jitter=jitter)
        self._prepared = False
        self._places: dict[int, int] = {}  # a writer's own; what it wrote last
        self._clean: set[int] = set()  # partitions whose last write ended well here
        self._looked = clock()
        self._dropped: dict[int, int] = {}  # what the log had when indices were last looked through

    def search(self, query: Query) -> Page:
        """See ``Index.search``."""
        with talking():
            return self._search(query).page()

    def histogram(self, query: Query, buckets: int) -> list[tuple[datetime, int]]:
        """See ``Index.histogram``. What must be confirmed and is not within the deadline is missing."""
        with talking():
            return self._search(query).histogram(buckets)

    def facets(self, query: Query, field: str, size: int) -> list[tuple[str, int]]:
        """See ``Index.facets``. What must be confirmed and is not within the deadline is missing."""
        with talking():
            return self._search(query).facets(field, size)

    def add(self, partition: int, events: Sequence[Event]) -> None:
        """See ``Index.add``; fastest with some thousand events at a time."""
        with talking():
            if not self._prepared:
                self._prepare()
            expected = self._ask_place(partition)
            if expected != self._places.get(partition):  # new here, or another process had the partition meanwhile
                self._clean.discard(partition)
            self._places[partition] = expected
            new = [event for event in events if EventId.parse(event[EVENT_ID]).offset >= expected]
            if not new:
                return
            present = frozenset() if partition in self._clean else self._present(new)
            self._clean.discard(partition)
            self._write([event for event in new if event[EVENT_ID] not in present])
            self._move(partition, EventId.parse(new[-1][EVENT_ID]).offset + 1)
            self._roll_over()

    def position(self, partition: int) -> int:
        """See ``Index.position``; a writer knows what it wrote last, ``add`` asks in any case."""
        if partition in self._places:
            return self._places[partition]
        with talking():
            place = self._ask_place(partition)
        if self._writable:
            self._places[partition] = place
        return place

    def drop(self, firsts: Mapping[int, int]) -> int:
        """See ``Index.drop``: backing indices go whole, and the one that is written to stays."""
        if not any(firsts.values()) or firsts == self._dropped:
            return 0
        kept = [
            {"range": {"row": {"gte": row_of(EventId(partition, first)), "lt": row_of(EventId(partition + 1, 0))}}}
            for partition, first in firsts.items()
        ]
        gone = 0
        with talking():
            for index in self._backing()[:-1]:
                client = self._client.options(ignore_status=404)  # another process may have been quicker
                client.indices.refresh(index=index)
                found = client.search(
                    index=index,
                    size=0,
                    track_total_hits=1,
                    allow_partial_search_results=False,
                    query={"bool": {"should": kept, "minimum_should_match": 1}},
                )
                if "hits" in found and not found["hits"]["total"]["value"]:
                    client.indices.delete(index=index)
                    gone += 1
        self._dropped = dict(firsts)
        return gone

    def rebuild(self) -> None:
        """Forget everything; ``position`` is then 0 for each partition and the consumer starts again."""
        with talking():
            self._client.options(ignore_status=404).indices.delete_data_stream(name=self._stream)
            self._client.options(ignore_status=404).indices.delete(index=self._places_index)
        self._places.clear()
        self._clean.clear()
        self._prepared = False

    def stored_bytes(self) -> int:
        """What all copies of the stream take on the servers' disks, once all that was written is in view."""
        with talking():
            self._client.indices.refresh(index=self._stream)
            self._client.indices.flush(index=self._stream)
            stats = self._client.indices.stats(index=self._stream, metric="store")
        return int(stats["_all"]["total"]["store"]["size_in_bytes"])

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _search(self, query: Query) -> Search:
        deadline = Deadline(self._clock, self._page_seconds, self._count_seconds)
        return Search(self._client, self._stream, query, deadline)

    def _prepare(self) -> None:
        """Put the template that the stream is made from; the stream is made by the first write."""
        layout = self._layout
        copies = {"number_of_shards": layout.shards, "number_of_replicas": layout.replicas}
        self._client.indices.put_index_template(
            name=self._stream,
            index_patterns=[self._stream],
            priority=PRIORITY,
            data_stream={},
            template={
                "settings": {"index": {**copies, "codec": "best_compression", "refresh_interval": "1s"}},
                "mappings": documents.mapping(),
            },
        )
        self._client.indices.put_index_template(
            name=self._places_index,
            index_patterns=[self._places_index],
            priority=PRIORITY,
            template={
                "settings": {"index": {"number_of_shards": 1, "number_of_replicas": layout.replicas}},
                "mappings": {"dynamic": False, "properties": {"next": {"type": "long"}}},
            },
        )
        self._prepared = True

    def _write(self, events: Sequence[Event]) -> None:
        refused = self._writer.create(
            Document(event[EVENT_ID], orjson.dumps(documents.to_document(event))) for event in events
        )
        if not refused:
            return
        again = {each.id for each in refused}
        left = self._writer.create(
            [
                Document(event[EVENT_ID], orjson.dumps(documents.bare(event)))
                for event in events
                if event[EVENT_ID] in again
            ]
        )
        if left:
            raise UserError(
                "index.refused",
                f"Elasticsearch 拒绝写入事件 {left[0].id}：{left[0].why}",
                f"Elasticsearch refuses event {left[0].id}: {left[0].why}",
            )

    def _present(self, events: Sequence[Event]) -> frozenset[str]:
        """Which of the events are already there, in whichever backing index."""
        first, last = (row_of(EventId.parse(events[at][EVENT_ID])) for at in (0, -1))
        self._client.options(ignore_status=404).indices.refresh(index=self._stream)
        found: set[str] = set()
        while True:
            hits = self._client.search(
                index=self._stream,
                ignore_unavailable=True,
                allow_partial_search_results=False,
                size=PRESENT,
                query={"range": {"row": {"gte": first, "lte": last}}},
                sort=[{"row": "asc"}],
                source=False,
                track_total_hits=False,
            )["hits"]["hits"]
            found.update(str(id_of(int(hit["sort"][0]))) for hit in hits)
            if len(hits) < PRESENT:
                return frozenset(found)
            first = int(hits[-1]["sort"][0]) + 1

    def _ask_place(self, partition: int) -> int:
        try:
            return int(self._client.get(index=self._places_index, id=str(partition))["_source"]["next"])
        except NotFoundError:
            return 0

    def _move(self, partition: int, place: int) -> None:
        """Move the place of a partition, never back: a process that no longer has the partition may come late."""
        try:
            self._client.index(
                index=self._places_index,
                id=str(partition),
                document={"next": place},
                version=place,
                version_type="external_gte",
            )
        except ConflictError:
            self._places.pop(partition, None)
            return
        self._places[partition] = place
        self._clean.add(partition)

    def _roll_over(self) -> None:
        now = self._clock()
        if now - self._looked < ROLLOVER_CHECK_SECONDS:
            return
        self._looked = now
        conditions = {"max_primary_shard_size": self._layout.rollover_size, "max_age": self._layout.rollover_age}
        self._client.indices.rollover(alias=self._stream, conditions={**conditions, "min_docs": 1})

    def _backing(self) -> list[str]:
        """The backing indices, oldest first."""
        found: Any = self._client.options(ignore_status=404).indices.get(
            index=f".ds-{self._stream}-*", expand_wildcards="all", features="aliases"
        )
        return sorted(name for name in found.body if name.startswith(".ds-"))
