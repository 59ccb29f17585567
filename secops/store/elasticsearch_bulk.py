"""Writing documents with back-pressure: what the server cannot take now is sent again, later and in smaller pieces.

Each document has its own id and is only ever created, so that sending it again is harmless: 409 means that it is there.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from elastic_transport import TransportError
from elasticsearch import ApiError

from secops.store.elasticsearch_server import BUSY, is_busy, reason
from secops.store.index import IndexUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from elasticsearch import Elasticsearch

CHUNK_DOCUMENTS: Final = 1000
CHUNK_BYTES: Final = 8 * 2**20
SENDERS: Final = 2  # pieces under way at once
TRIES: Final = 4  # of one chunk; whoever called then waits longer, and can be told to stop
FIRST_WAIT: Final = 0.25
THERE: Final = frozenset({200, 201, 409})
TOO_LARGE: Final = 413


class Document(NamedTuple):
    """A document and its id."""

    id: str
    body: bytes


class Refused(NamedTuple):
    """A document that the server does not take, and why."""

    id: str
    why: str


class Writer:
    """Creates documents in ``stream``; ``wait`` is given seconds, ``jitter`` gives 0 to 1."""

    def __init__(
        self,
        client: Elasticsearch,
        stream: str,
        *,
        refresh: bool,
        wait: Callable[[float], None],
        jitter: Callable[[], float],
    ) -> None:
        self._client, self._stream, self._refresh, self._wait, self._jitter = client, stream, refresh, wait, jitter

    def create(self, documents: Iterable[Document]) -> list[Refused]:
        """Write all documents; durable when it returns. Gives those that the server will never take.

        Pieces are sent while the next ones are made, ``SENDERS`` at a time.

        Raises:
            IndexUnavailable: the server is down or overloaded; some documents may be there.
        """
        refused: list[Refused] = []
        sending: deque[Future[list[Refused]]] = deque()
        with ThreadPoolExecutor(SENDERS) as senders:
            for chunk in chunked(documents):
                if len(sending) >= SENDERS:
                    refused += sending.popleft().result()
                sending.append(senders.submit(self._chunk, chunk))
            for each in sending:
                refused += each.result()
        return refused

    def _chunk(self, chunk: Sequence[Document]) -> list[Refused]:
        refused: list[Refused] = []
        why = ""
        for attempt in range(TRIES):
            if attempt:
                self._wait(FIRST_WAIT * 2**attempt * (0.5 + self._jitter()))
            try:
                items = self._send(chunk)
            except ApiError as error:
                if error.meta.status == TOO_LARGE and len(chunk) > 1:
                    half = len(chunk) // 2
                    return [*refused, *self._chunk(chunk[:half]), *self._chunk(chunk[half:])]
                if not is_busy(error):
                    raise
                why = reason(error)
                continue
            except TransportError as error:
                why = reason(error)
                continue
            refused += [Refused(item["_id"], str(item.get("error"))[:300]) for item in items if _is_refused(item)]
            busy = {item["_id"]: item for item in items if item["status"] in BUSY}
            if not busy:
                return refused
            why = str(next(iter(busy.values())).get("error"))[:300]
            chunk = [document for document in chunk if document.id in busy]
        raise IndexUnavailable(why, why)

    def _send(self, chunk: Sequence[Document]) -> list[dict[str, Any]]:
        lines: list[Any] = []  # JSON as bytes goes through the client as it is
        for document in chunk:
            lines += [orjson.dumps({"create": {"_id": document.id}}), document.body]
        answer = self._client.bulk(
            index=self._stream,
            operations=lines,
            refresh=self._refresh,
            filter_path=[
                "items.create._id",
                "items.create.status",
                "items.create.error.type",
                "items.create.error.reason",
            ],
        )
        return [item["create"] for item in answer.get("items", [])]


def chunked(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Pieces of bounded size, in order."""
    chunk: list[Document] = []
    size = 0
    for document in documents:
        if chunk and (len(chunk) >= CHUNK_DOCUMENTS or size + len(document.body) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(document)
        size += len(document.body)
    if chunk:
        yield chunk


def _is_refused(item: dict[str, Any]) -> bool:
    return item["status"] not in THERE and item["status"] not in BUSY
