"""What Elasticsearch's clients are told when they start: enough of its REST API for senders to go on to ``_bulk``.

Templates, policies, pipelines and data streams that a client wants to set up are acknowledged and not kept: how events
are read and how long they stay is decided here, not by their senders. Asked whether one exists, the answer is no.
"""

from __future__ import annotations

from typing import Any, Final

from monitors.http_exchange import OK, Answer, Refusal, json_answer

PRODUCT: Final = {"x-elastic-product": "Elasticsearch"}  # clients since 7.14 talk to nothing else
NAME: Final = "secops"
_UUID: Final = "c2Vjb3BzLWVsYXN0aWM_AA"  # of no meaning, but of the shape that clients expect: 22 characters
_SET_UP: Final = frozenset(
    {"_index_template", "_template", "_component_template", "_ilm", "_ingest", "_data_stream", "_alias", "_aliases"}
)
_LICENSE: Final = {"uid": _UUID, "type": "basic", "mode": "basic", "status": "active"}
_ERRORS: Final = {
    400: "illegal_argument_exception",
    401: "security_exception",
    404: "resource_not_found_exception",
    408: "timeout_exception",
    413: "content_too_long_exception",
    415: "media_type_header_exception",
    429: "es_rejected_execution_exception",
    503: "cluster_block_exception",
}
_CAT: Final = b"green\n"


def segments(path: str) -> list[str]:
    """The parts of a path between its slashes."""
    return [part for part in path.split("/") if part]


def is_bulk(parts: list[str]) -> bool:
    """Whether a request for this path brings a bulk: ``/_bulk``, ``/INDEX/_bulk``, with the type of old clients or not."""
    return len(parts) in {1, 2, 3} and parts[-1] == "_bulk" and not any(part[0] == "_" for part in parts[:-1][:1])


def is_document(parts: list[str]) -> bool:
    """Whether it brings one document: ``/INDEX/_doc``, ``/INDEX/_doc/ID``, ``/INDEX/_create/ID``."""
    return len(parts) in {2, 3} and parts[1] in {"_doc", "_create"} and parts[0][0] != "_"


def reply(method: str, parts: list[str], version: str) -> Answer:
    """Answer what is neither a bulk nor a document.

    Raises:
        Refusal: 404 for what is not there, searching above all.
    """
    reading = method in {"GET", "HEAD"}
    if not parts:
        return json_answer(banner(version), headers=PRODUCT)
    if reading and parts[0] == "_cat":
        return Answer(OK, _CAT if parts[1:] == ["health"] else b"", "text/plain; charset=UTF-8", PRODUCT)
    if reading and (found := _told(parts, version)) is not None:
        return json_answer(found, headers=PRODUCT)
    if parts[0] in _SET_UP and not reading:
        return json_answer({"acknowledged": True}, headers=PRODUCT)
    if parts[0][0] != "_" and len(parts) == 1 and method in {"PUT", "HEAD"}:
        created = {"acknowledged": True, "shards_acknowledged": True, "index": parts[0]}
        return json_answer(created, headers=PRODUCT)
    raise Refusal(
        404,
        "此处只接收事件（POST /_bulk）；检索请用控制台或 API",
        "this takes events (POST /_bulk); search in the console or with the API",
    )


def _told(parts: list[str], version: str) -> dict[str, Any] | None:
    match parts:
        case ["_license"]:
            return {"license": _LICENSE}
        case ["_xpack"]:
            return {"build": {"hash": "secops"}, "license": _LICENSE, "features": {}, "tagline": ""}
        case ["_cluster", "health", *_]:
            return {
                "cluster_name": NAME,
                "status": "green",
                "timed_out": False,
                "number_of_nodes": 1,
                "number_of_data_nodes": 1,
                "active_shards_percent_as_number": 100.0,
            }
        case ["_nodes", *_]:
            node = {"name": NAME, "version": version, "roles": ["data", "ingest"]}
            return {"_nodes": {"total": 1, "successful": 1, "failed": 0}, "cluster_name": NAME, "nodes": {_UUID: node}}
    return None


def banner(version: str) -> dict[str, Any]:
    """What ``GET /`` says; clients compare the version with their own."""
    return {
        "name": NAME,
        "cluster_name": NAME,
        "cluster_uuid": _UUID,
        "version": {
            "number": version,
            "build_flavor": "default",
            "build_type": "docker",
            "build_hash": "0" * 40,
            "build_date": "2025-07-01T00:00:00.000000000Z",
            "build_snapshot": False,
            "lucene_version": "9.12.2",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }


def refuse(refusal: Refusal) -> Answer:
    """Word a refusal as Elasticsearch does."""
    cause = {"type": _ERRORS.get(refusal.status, "exception"), "reason": f"{refusal.zh} / {refusal.en}"}
    headers = {**PRODUCT, **refusal.headers}
    if "www-authenticate" in headers:
        headers["www-authenticate"] = 'Basic realm="secops", charset="UTF-8", Bearer realm="secops", ApiKey'
    return json_answer({"error": {"root_cause": [cause], **cause}, "status": refusal.status}, refusal.status, headers)
