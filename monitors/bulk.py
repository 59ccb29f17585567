"""The body of Elasticsearch's ``_bulk``: lines of JSON, in turn what to do and with what; and the answer to each."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from monitors.body import BodyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ADDING: Final = frozenset({"index", "create"})
_ACTIONS: Final = frozenset({*ADDING, "update", "delete"})
_LONGEST_ACTION: Final = 4096  # bytes of a line that says what to do
_LONGEST_NAME: Final = 512  # characters of an index's name or a document's id that are repeated in the answer
_REFUSED: Final = {
    "type": "illegal_argument_exception",
    "reason": "事件只能追加，不能修改或删除 / events are only added, never changed or deleted",
}


class Operation(NamedTuple):
    """One thing that a bulk asks for."""

    action: str  # index, create, update, delete
    target: str  # the index it names
    id: str  # "" when the sender gave none
    source: bytes  # the document as it was written; empty for delete

    @property
    def adds(self) -> bool:
        """Whether it is a new event."""
        return self.action in ADDING


def read(body: bytes, most: int, index: str = "") -> list[Operation]:
    """Read a bulk of at most ``most`` operations; ``index`` stands in the request's path.

    Documents are not looked into: what is no JSON goes to quarantine like any event that cannot be read.

    Raises:
        BodyError: 400 when a line is no action or a document is missing, 413 for more operations.
    """
    if body.count(b"\n") > 4 * most + 64:  # far more than its operations need, blank lines included
        raise _too_many(most)
    known: dict[bytes, tuple[str, str, str]] = {}  # senders repeat the line that says what to do
    found: list[Operation] = []
    lines = iter(enumerate(body.split(b"\n"), start=1))
    for number, line in lines:
        head = line.strip()
        if not head:
            continue
        action, named, identity = known.get(head) or known.setdefault(head, _action(head, number))
        source = b"" if action == "delete" else next(lines, (0, b""))[1].strip(b"\r \t")
        if not source and action != "delete":
            raise BodyError(400, f"第 {number} 行的操作缺少文档", f"the action in line {number} has no document")
        found.append(Operation(action, named or index, identity, source))
        if len(found) > most:
            raise _too_many(most)
    return found


def _action(line: bytes, number: int) -> tuple[str, str, str]:
    """Read ``{"index": {"_index": …, "_id": …}}``."""
    try:
        said = orjson.loads(line) if len(line) <= _LONGEST_ACTION else None
    except orjson.JSONDecodeError:
        said = None
    action = next(iter(said)) if isinstance(said, dict) and len(said) == 1 else ""
    if action not in _ACTIONS or not isinstance(said, dict) or not isinstance(said[action], dict):
        raise BodyError(
            400,
            f'第 {number} 行应说明操作（index 或 create），例如 {{"create":{{}}}}',
            f'line {number} should say what to do (index or create), like {{"create":{{}}}}',
        )
    return action, _name(said[action], "_index"), _name(said[action], "_id")


def _name(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    return str(value)[:_LONGEST_NAME] if isinstance(value, (str, int)) else ""


def _too_many(most: int) -> BodyError:
    return BodyError(413, f"一次超过 {most} 条；请分批发送", f"more than {most} operations; send less at a time")


def result(operation: Operation, *, short: bool) -> dict[str, Any]:
    """What the sender hears of one operation once the bulk is durable; ``short`` leaves out what it did not ask for."""
    if not operation.adds:
        return {operation.action: {**_place(operation, short=short), "status": 400, "error": _REFUSED}}
    if short:
        return {operation.action: {"status": 201}}
    return {operation.action: created(operation)}


def created(operation: Operation) -> dict[str, Any]:
    """What is said of a document that was stored."""
    return {
        **_place(operation, short=False),
        "_version": 1,
        "result": "created",
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": 0,
        "_primary_term": 1,
        "status": 201,
    }


def _place(operation: Operation, *, short: bool) -> dict[str, str]:
    if short:
        return {}
    return {"_index": operation.target or "events", "_id": operation.id or _own_id(operation.source)}


def _own_id(source: bytes) -> str:
    """An id for a document that came without: a digest, of the shape of Elasticsearch's own."""
    return base64.urlsafe_b64encode(hashlib.blake2b(source, digest_size=15).digest()).decode()


def answer(operations: Iterable[Operation], *, took: int, short: bool) -> dict[str, Any]:
    """The answer to a bulk; ``took`` in milliseconds."""
    operations = list(operations)
    items = [result(operation, short=short) for operation in operations]
    return {"took": took, "errors": any(not operation.adds for operation in operations), "items": items}
