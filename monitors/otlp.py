"""OTLP's log export (opentelemetry-proto, collector/logs/v1): requests become one JSON document for each log record.

A document is ``{"resource": {…}, "scope": {…}, "logRecord": {…}}`` with attributes as plain objects and the names of OTLP's
JSON. The outer messages are cut by hand and only bounded pieces are decoded, because a few megabytes may claim to hold
millions of empty records.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from monitors.body import BodyError, bear

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_RESOURCE_LOGS: Final = 1  # field of ExportLogsServiceRequest
_HEAD: Final = 1  # ResourceLogs.resource, ScopeLogs.scope
_INNER: Final = 2  # ResourceLogs.scope_logs, ScopeLogs.log_records
_DEEPEST: Final = 64  # values inside one another
_GROWTH: Final = 4  # how much larger than the body the documents may be together: each repeats its resource
_PLAIN: Final = ("severityNumber", "severityText", "droppedAttributesCount", "flags", "traceId", "spanId", "eventName")
_LONGS: Final = range(-(1 << 63), 1 << 64)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_MOST_VARINT: Final = 10  # bytes


class Logs(NamedTuple):
    """What a request holds."""

    documents: list[bytes]
    damaged: list[bytes]  # records that cannot be decoded, as they came


class _Gathering:
    """Documents so far, within the bounds of one request."""

    def __init__(self, most: int, longest: int, size: int) -> None:
        self.logs = Logs([], [])
        self.longest = longest
        self._most, self._left = most, _GROWTH * max(size, 1 << 20)

    def add(self, document: bytes, *, damaged: bool = False) -> None:
        (self.logs.damaged if damaged else self.logs.documents).append(document)
        self._left -= len(document)
        if len(self.logs.documents) + len(self.logs.damaged) > self._most:
            raise BodyError(
                413, f"一次超过 {self._most} 条；请分批发送", f"more than {self._most} records; send less at a time"
            )
        if self._left < 0:
            raise BodyError(
                413, "资源属性过大；请分批发送", "attributes of resources are too large; send less at a time"
            )


def read_protobuf(body: bytes, *, most: int, longest: int) -> Logs:
    """Read an ``ExportLogsServiceRequest`` of at most ``most`` records of ``longest`` bytes each.

    Raises:
        BodyError: 400 when it is none, 413 when it is too large.
    """
    found = _Gathering(most, longest, len(body))
    for start, end in _pieces(body, 0, len(body), _RESOURCE_LOGS):
        resource = _head(body, start, end, Resource, longest)
        for begin, stop in _pieces(body, start, end, _INNER):
            scope = _head(body, begin, stop, InstrumentationScope, longest)
            for first, last in _pieces(body, begin, stop, _INNER):
                _record(body[first:last], resource, scope, found)
    return found.logs


def _record(raw: bytes, resource: orjson.Fragment, scope: orjson.Fragment, found: _Gathering) -> None:
    if len(raw) > found.longest:
        found.add(raw[: found.longest], damaged=True)
        return
    try:
        log = _from_protobuf(LogRecord.FromString(raw))
    except (DecodeError, _DeepError):
        found.add(raw, damaged=True)
        return
    found.add(orjson.dumps({"resource": resource, "scope": scope, "logRecord": log}))


def _from_protobuf(log: LogRecord) -> dict[str, Any]:
    return {
        "timeUnixNano": log.time_unix_nano,
        "observedTimeUnixNano": log.observed_time_unix_nano,
        "severityNumber": int(log.severity_number),
        "severityText": log.severity_text,
        "body": _value(log.body, 0),
        "attributes": _attributes(log.attributes, 0),
        "droppedAttributesCount": log.dropped_attributes_count,
        "flags": log.flags,
        "traceId": log.trace_id.hex(),
        "spanId": log.span_id.hex(),
        "eventName": log.event_name,
    }


def _head(
    body: bytes, start: int, end: int, kind: type[Resource | InstrumentationScope], longest: int
) -> orjson.Fragment:
    """Give the resource or scope of a message as JSON."""
    head: dict[str, Any] = {}
    for first, last in _pieces(body, start, end, _HEAD):
        if last - first > longest:
            raise BodyError(
                413, f"资源属性超过 {longest} 字节", f"attributes of a resource of more than {longest} bytes"
            )
        try:
            made = kind.FromString(body[first:last])
            head |= _attributes(made.attributes, 0)
        except (DecodeError, _DeepError) as error:
            raise _damaged() from error
        if isinstance(made, InstrumentationScope):
            head |= {"name": made.name, "version": made.version}
    return orjson.Fragment(orjson.dumps(head))


class _DeepError(ValueError):
    """Values inside one another beyond what we follow."""


def _attributes(pairs: Iterable[KeyValue], depth: int) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth) for pair in pairs}


def _value(value: AnyValue, depth: int) -> Any:  # noqa: ANN401 - a value can be anything
    if depth > _DEEPEST:
        raise _DeepError
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item, depth + 1) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values, depth + 1)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind)


def _pieces(body: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Give where each length-delimited field of number ``wanted`` lies in the message between ``start`` and ``end``.

    Raises:
        BodyError: 400, it is no protobuf message.
    """
    while start < end:
        tag, start = _varint(body, start, end)
        wire, length = tag & 7, 0
        if wire == _VARINT:
            _, start = _varint(body, start, end)
        elif wire == _BYTES:
            length, start = _varint(body, start, end)
        elif wire in {_FIXED64, _FIXED32}:
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _damaged()
        if length > end - start:
            raise _damaged()
        if wire == _BYTES and tag >> 3 == wanted:
            yield start, start + length
        start += length


def _varint(body: bytes, start: int, end: int) -> tuple[int, int]:
    value = 0
    for shift, position in enumerate(range(start, min(end, start + _MOST_VARINT))):
        byte = body[position]
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says more follows
            return value, position + 1
    raise _damaged()


def _damaged() -> BodyError:
    return BodyError(400, "不是 OTLP 日志请求（ExportLogsServiceRequest）", "not an OTLP request for logs")


def read_json(body: bytes, *, most: int, longest: int) -> Logs:
    """Read the same request in OTLP's JSON.

    Raises:
        BodyError: 400 when it is none, 413 when it is too large.
    """
    bear(body)
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(400, f"不是 JSON: {error}", f"not JSON: {error}") from error
    found = _Gathering(most, longest, len(body))
    for resource_logs in _objects(request, "resourceLogs"):
        resource = _json_head(resource_logs.get("resource"))
        for scope_logs in _objects(resource_logs, "scopeLogs"):
            scope = _json_head(scope_logs.get("scope"))
            for log in _objects(scope_logs, "logRecords"):
                _json_record(log, resource, scope, found)
    return found.logs


def _json_record(log: dict[str, Any], resource: orjson.Fragment, scope: orjson.Fragment, found: _Gathering) -> None:
    try:
        plain = {
            **{name: log[name] for name in _PLAIN if isinstance(log.get(name), (str, int))},
            "timeUnixNano": _long(log.get("timeUnixNano")),
            "observedTimeUnixNano": _long(log.get("observedTimeUnixNano")),
            "body": _json_value(log.get("body"), 0),
            "attributes": _json_attributes(log.get("attributes"), 0),
        }
    except (_DeepError, ValueError):
        found.add(_shown(log)[: found.longest], damaged=True)
        return
    found.add(orjson.dumps({"resource": resource, "scope": scope, "logRecord": plain}))


def _shown(log: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(log)
    except TypeError as error:  # nested deeper than is ever written again
        raise _damaged() from error


def _json_head(head: object) -> orjson.Fragment:
    if not isinstance(head, dict):
        return orjson.Fragment(b"{}")
    try:
        plain = _json_attributes(head.get("attributes"), 0)
    except (_DeepError, ValueError) as error:
        raise _damaged() from error
    return orjson.Fragment(
        orjson.dumps(plain | {k: head[k] for k in ("name", "version") if isinstance(head.get(k), str)})
    )


def _objects(parent: object, name: str) -> list[dict[str, Any]]:
    """Give the objects in the list ``name`` of ``parent``; nothing when it is absent.

    Raises:
        BodyError: 400, it is something else.
    """
    if not isinstance(parent, dict):
        raise _damaged()
    items = parent.get(name) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _damaged()
    return items


def _json_attributes(pairs: object, depth: int) -> dict[str, Any]:
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise ValueError("attributes are no list")  # noqa: TRY004 - one error for what cannot be read
    return {
        str(pair["key"]): _json_value(pair.get("value"), depth)
        for pair in pairs
        if isinstance(pair, dict) and "key" in pair
    }


def _json_value(value: object, depth: int) -> Any:  # noqa: ANN401 - a value can be anything
    if depth > _DEEPEST:
        raise _DeepError
    if not isinstance(value, dict) or not value:
        return None
    kind, inner = next(iter(value.items()))
    nested = inner.get("values") if isinstance(inner, dict) else None
    if kind == "arrayValue":
        return [_json_value(item, depth + 1) for item in nested] if isinstance(nested, list) else []
    if kind == "kvlistValue":
        return _json_attributes(nested, depth + 1)
    if isinstance(inner, (dict, list)):
        raise ValueError("a value that is no scalar")  # noqa: TRY004 - one error for what cannot be read
    return _long(inner) if kind == "intValue" else inner


def _long(value: object) -> Any:  # noqa: ANN401 - what is no number stays as it is
    """64-bit numbers are texts in JSON."""
    if not isinstance(value, str) or len(value) > 20:  # noqa: PLR2004 - digits of 2**64
        return value
    try:
        number = int(value)
    except ValueError:
        return value
    return number if number in _LONGS else value


def answer(content_type: str, rejected: int, reason: str) -> bytes:
    """An ``ExportLogsServiceResponse``; with ``rejected`` records it is a partial success."""
    if content_type == JSON:
        partial: Mapping[str, Any] = {"rejectedLogRecords": str(rejected), "errorMessage": reason}
        return orjson.dumps({"partialSuccess": partial} if rejected else {})
    response = ExportLogsServiceResponse()
    if rejected:
        response.partial_success.rejected_log_records = rejected
        response.partial_success.error_message = reason
    return response.SerializeToString()


def status(content_type: str, message: str) -> bytes:
    """A ``google.rpc.Status`` with a message: the body of an answer that refuses."""
    if content_type == JSON:
        return orjson.dumps({"message": message})
    text = message.encode()[:120]  # its length takes one byte then
    return b"\x12%c%s" % (len(text), text)
