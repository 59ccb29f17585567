from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from secops.normalise.decode import UndecodableError, clean
from secops.normalise.parser import UnreadableError
from secops.normalise.schema import MAX_DEPTH, MAX_KEYS, MAX_NAME, MAX_VALUE

if TYPE_CHECKING:
    from secops.normalise.parser import Desk
    from secops.records import Event

_SCALARS = frozenset({str, int, float, bool, type(None)})
# A backslash and what it escapes; a pair of surrogates; a lone surrogate. Linear: each starts with a backslash.
_SURROGATES = re.compile(
    r"(\\[^u]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}", re.DOTALL
)


def load(text: str) -> Any:  # noqa: ANN401 - JSON can be anything
    """Read JSON; lone surrogates, which cannot be stored, become U+FFFD, and control characters visible escapes.

    Raises:
        UnreadableError: it is not JSON, or nested too deeply.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        document = _load_again(text, error)
    if "\\u00" in text or "\x7f" in text:
        return _cleaned(document, 0)
    return document


def _load_again(text: str, error: orjson.JSONDecodeError) -> Any:  # noqa: ANN401 - JSON can be anything
    if "depth" in str(error):
        raise UnreadableError("too_deep", f"nested more than {MAX_DEPTH} deep") from error
    if "surrogate" in str(error):
        try:
            return orjson.loads(_SURROGATES.sub(lambda found: found[1] or "\\ufffd", text))
        except orjson.JSONDecodeError as again:
            error = again
    raise UnreadableError("malformed", f"not JSON: {error}"[:300]) from error


def _cleaned(value: Any, depth: int) -> Any:  # noqa: ANN401 - JSON can be anything
    """Escape control characters in every text of ``value``."""
    if depth > MAX_DEPTH:
        raise UnreadableError("too_deep", f"nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        return value if value.isprintable() else _visible(value)
    if isinstance(value, dict):
        return {_visible(key): _cleaned(item, depth + 1) for key, item in value.items()}
    return [_cleaned(item, depth + 1) for item in value] if isinstance(value, list) else value


def _visible(text: str) -> str:
    try:
        return clean(text)
    except UndecodableError:  # a field may be binary where the message as a whole is not
        return text.encode("unicode_escape").decode("ascii")


def flatten(document: dict[str, Any]) -> dict[str, Any]:
    """Give ``document`` with dotted keys and bounded values; the same object when it is flat already.

    Lists of scalars stay; of a list of objects each key holds the list of its values. Nothing is kept for empty objects.

    Raises:
        UnreadableError: nested too deeply, more than ``MAX_KEYS`` fields and items, or a name longer than ``MAX_NAME``.
    """
    if len(document) > MAX_KEYS:
        raise UnreadableError("oversized", f"more than {MAX_KEYS} fields")
    if _SCALARS.issuperset(map(type, document.values())) or _only_short_lists(document):
        return document
    flat: dict[str, Any] = {}
    _flatten_into(flat, document, "", 1, [MAX_KEYS])
    return flat


def _only_short_lists(document: dict[str, Any]) -> bool:
    """Say whether what is not scalar in ``document`` are lists of scalars, within the limits: then it is flat."""
    nested = [value for value in document.values() if type(value) not in _SCALARS]
    return len(document) + sum(map(len, nested)) <= MAX_KEYS and all(
        type(value) is list and _SCALARS.issuperset(map(type, value)) for value in nested
    )


def _flatten_into(flat: dict[str, Any], branch: dict[str, Any], prefix: str, depth: int, left: list[int]) -> None:
    """Add the leaves of ``branch``; ``left[0]`` counts down the fields that may still come."""
    if depth > MAX_DEPTH:
        raise UnreadableError("too_deep", f"nested more than {MAX_DEPTH} deep")
    if len(prefix) > MAX_NAME:  # it is written out again for every field below it
        raise UnreadableError("oversized", f"the name of a field is longer than {MAX_NAME} characters")
    left[0] -= len(branch)
    if left[0] < 0:
        raise UnreadableError("oversized", f"more than {MAX_KEYS} fields")
    for key, value in branch.items():
        if type(value) is dict:
            _flatten_into(flat, value, f"{prefix}{key}.", depth + 1, left)
        elif type(value) is list:
            _flatten_list(flat, value, prefix + key, depth + 1, left)
        else:
            flat[prefix + key] = value


def _flatten_list(flat: dict[str, Any], items: list[Any], name: str, depth: int, left: list[int]) -> None:
    if depth > MAX_DEPTH:
        raise UnreadableError("too_deep", f"nested more than {MAX_DEPTH} deep")
    left[0] -= len(items)
    if left[0] < 0:
        raise UnreadableError("oversized", f"more than {MAX_KEYS} fields")
    if _SCALARS.issuperset(map(type, items)):
        flat[name] = items
        return
    for item in items:
        leaves: dict[str, Any] = {}
        if isinstance(item, dict):
            _flatten_into(leaves, item, f"{name}.", depth, left)
        elif isinstance(item, list):
            _flatten_list(leaves, item, name, depth + 1, left)
        else:
            leaves[name] = item
        for key, value in leaves.items():
            flat[key] = [*_many(flat.get(key, [])), *_many(value)]


def _many(value: Any) -> list[Any]:  # noqa: ANN401 - JSON can be anything
    return value if isinstance(value, list) else [value]


def bounded(flat: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Cut values longer than ``MAX_VALUE``; say whether any was."""
    long = [key for key, value in flat.items() if isinstance(value, str) and len(value) > MAX_VALUE]
    if not long:
        return flat, False
    return {**flat, **{key: flat[key][:MAX_VALUE] for key in long}}, True


def read(event: Event, document: dict[str, Any], desk: Desk) -> None:
    """Let the parser that claims the document fill the event."""
    for parser in desk.documents:
        if parser.claims(document):
            parser.parse(event, document, desk)
            break
    if len(event["event.original"]) > MAX_VALUE:
        event["original"], cut = bounded(event.get("original", {}))
        if cut:
            event["tags"] = [*event.get("tags", ()), "truncated_value"]


def embedded(event: Event, message: str, desk: Desk) -> None:
    """Read the JSON object that a message of another format carries; a message that only looks like one stays text."""
    try:
        document = load(message)
    except UnreadableError:
        return
    if not isinstance(document, dict):
        return
    try:
        read(event, document, desk)
    except UnreadableError as error:
        event["tags"] = [*event.get("tags", ()), f"json_{error.type}"]
