"""What the audit trails of clouds have in common: one call, by somebody, from somewhere, with an outcome.

A parser of a provider's trail names its fields; the rest (category, kind of change, outcome, message) follows here, so
that one rule can watch a behaviour over every provider. The provider's own fields stay in ``original``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.normalise.documents import flatten, load
from secops.normalise.parser import UnreadableError
from secops.normalise.schema import FIELDS, date, keyword

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import tzinfo

    from secops.normalise.parser import Desk
    from secops.records import Event

MOST_TEXT: Final = 65_536  # characters of a field that holds JSON as text; longer ones stay text
ROOT: Final = "root"  # user.roles of the account's owner, whatever the provider calls it
_EMPTY: Final = ("", "-", "null", "None")
_IDENTITY: Final = frozenset({"iam", "ram", "cam", "sts", "ims", "account", "identity", "keystone", "oneaccess"})
_VERBS: Final = (
    ("deletion", ("delete", "remove", "terminate", "destroy", "batchdelete")),
    ("creation", ("create", "add", "run", "allocate", "batchcreate")),
    ("access", ("get", "list", "describe", "show", "query", "lookup", "head", "read", "check")),
)
# Codes by which providers say that the caller may not do it: RAM, CAM, IAM and HTTP's own.
_DENIED: Final = re.compile(
    r"(?i)nopermission|forbidden|unauthorizedoperation|unauthorized|accessdenied|notauthori[sz]ed|^(?:401|403)$|^PAP5?\.|^IAM\.000[23]$"
)


class Call(NamedTuple):
    """What a trail says of one call, apart from the fields that have a name in ECS."""

    provider: str  # cloud.provider and event.module
    dataset: str
    outcome: str  # success, failure or unknown
    login: bool = False  # somebody signs in
    root: bool = False  # by the owner of the account
    reading: bool = False  # the trail says that nothing was changed


def opened(document: dict[str, Any], texts: Collection[str]) -> dict[str, Any]:
    """Give ``document`` flat, with those of ``texts`` that hold JSON as text opened, unless that breaks a limit.

    A caller chooses what stands in his request: nesting it deeply must not take the record of his call away.

    Raises:
        UnreadableError: the document itself breaks a limit.
    """
    found = {name: table for name in texts if (table := _table(document.get(name))) is not None}
    if not found:
        return flatten(document)
    try:
        return flatten({**document, **found})
    except UnreadableError:
        return flatten(document)


def _table(value: object) -> dict[str, Any] | list[Any] | None:
    if not isinstance(value, str) or value[:1] not in {"{", "["} or len(value) > MOST_TEXT:
        return None
    try:
        table = load(value)
    except UnreadableError:
        return None
    return table if isinstance(table, (dict, list)) else None


def name_fields(event: Event, flat: Mapping[str, Any], fields: Mapping[str, tuple[str, ...]]) -> None:
    """Set each ECS field from the first of its candidates that is there and fits."""
    for ours, candidates in fields.items():
        for theirs in candidates:
            value = flat.get(theirs)
            if value is None or isinstance(value, (list, dict)) or value in _EMPTY:
                continue
            if (named := FIELDS.get(ours, keyword)(value)) is not None:
                event[ours] = named
                break


def stamp(event: Event, value: object, desk: Desk, zone: tzinfo | None = None) -> None:
    """Take the provider's time: ISO 8601, ``… GMT+08:00``, or a number of (milli)seconds, also as text.

    ``zone`` counts where the time names none; without it the desk's does.
    """
    if isinstance(value, str):
        digits = value.isascii() and value.isdigit() and len(value) <= 19  # noqa: PLR2004 - nanoseconds of this century
        value = int(value) if digits else value[:40].replace(" GMT", "")
    if claimed := date(value, zone or desk.zone):
        desk.stamp(event, claimed)


def describe(event: Event, flat: dict[str, Any], call: Call) -> None:
    """Fill what follows from the named fields; ``flat`` becomes ``original``."""
    event["event.module"] = event["cloud.provider"] = call.provider
    event["event.dataset"] = call.dataset
    event["original"] = flat
    event["event.outcome"] = call.outcome
    action, service = str(event.get("event.action", "")), str(event.get("cloud.service.name", ""))
    event["event.category"] = [_category(service, login=call.login)]
    event["event.type"] = ["start"] if call.login else ["access" if call.reading else _type(action)]
    if call.outcome == "failure" and not call.login and _DENIED.search(str(event.get("error.code", ""))[:200]):
        event["event.type"] = [*event["event.type"], "denied"]
    if call.root:
        event["user.roles"] = [ROOT]
    who = event.get("user.name") or event.get("user.id") or "?"
    event["message"] = f"{call.provider} {service}:{action} by {who}: {call.outcome}"
    event["host.name"] = str(event.get("cloud.account.id") or call.provider)


def _category(service: str, *, login: bool) -> str:
    if login:
        return "authentication"
    return "iam" if service.lower() in _IDENTITY else "configuration"


def _type(action: str) -> str:
    lower = action.lower()
    for phase in (".start", ".end", ".error"):
        lower = lower.removesuffix(phase)
    lower = lower.rpartition(".")[2]
    return next((kind for kind, verbs in _VERBS if lower.startswith(verbs)), "change")
