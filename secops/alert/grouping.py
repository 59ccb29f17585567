"""Which matches belong together: fingerprints and runs. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from secops.alert.severity import ADDRESS_FIELDS, HOST_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import TypeAlias

    from secops.records import Match, RuleInfo

    Key: TypeAlias = tuple[str, str, tuple[tuple[str, str], ...]]

KEPT_EVENT_IDS: Final = 100
KEPT_HOSTS: Final = 10
KEPT_FIELDS: Final = 32
_SHOWN_VALUE: Final = 1000  # characters of a value that are stored; the fingerprint covers all of it


@dataclass(slots=True)
class Run:
    """Matches of one fingerprint that lie no further apart than the rule's window."""

    first: datetime
    last: datetime
    fields: dict[str, str]  # of the first match
    count: int = 0
    event_ids: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, match: Match) -> Run:
        """Begin with the earliest match, which is still to be taken."""
        return cls(match.at, match.at, {name: shown(value) for name, value in list(match.fields.items())[:KEPT_FIELDS]})

    def take(self, match: Match) -> None:
        """Count one more match, which is not older than the last."""
        self.last = match.at
        self.count += match.count
        keep(self.event_ids, match.event_ids)
        if len(self.hosts) < KEPT_HOSTS:
            _collect(self.hosts, match, HOST_FIELDS)
        if len(self.addresses) < KEPT_HOSTS:
            _collect(self.addresses, match, ADDRESS_FIELDS)


def fingerprint(rule_id: str, tenant: str, group: Iterable[tuple[str, str]]) -> str:
    """Give the SHA-256 (hex) of rule, tenant and group values; the order of the group's fields does not matter."""
    said = json.dumps([rule_id, tenant, sorted(group)])  # ASCII escapes: a lone surrogate in a log must not stop us
    return hashlib.sha256(said.encode("ascii")).hexdigest()


def by_key(matches: Iterable[Match], rules: Mapping[str, RuleInfo]) -> dict[Key, list[Match]]:
    """Put matches of one rule, tenant and group together; those of rules that only feed a correlation are left out."""
    grouped: defaultdict[Key, list[Match]] = defaultdict(list)
    silent = {rule.id for rule in rules.values() if not rule.alert}
    for match in matches:
        if match.rule_id not in silent:
            grouped[match.rule_id, match.tenant, match.group].append(match)
    return grouped


def runs(matches: list[Match], window: timedelta) -> Iterator[Run]:
    """Cut matches of one key where more than ``window`` lies between two of them."""
    matches.sort(key=attrgetter("at"))
    run = Run.begin(matches[0])
    for match in matches:
        if match.at - run.last > window:
            yield run
            run = Run.begin(match)
        run.take(match)
    yield run


def keep(kept: list[str], event_ids: Sequence[str]) -> None:
    """Add ids until there are a hundred, none twice."""
    for event_id in event_ids[: KEPT_EVENT_IDS if len(kept) < KEPT_EVENT_IDS else 0]:
        if len(kept) < KEPT_EVENT_IDS and event_id not in kept:
            kept.append(event_id)


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a log holds
    """Bound a value, and replace lone surrogates, which no JSON file of an evidence pack could hold."""
    text = ", ".join(str(one) for one in value[:KEPT_FIELDS]) if isinstance(value, (list, tuple)) else str(value)
    return text[:_SHOWN_VALUE].encode("utf-8", "replace").decode()


def _collect(kept: list[str], match: Match, names: Sequence[str]) -> None:
    group = dict(match.group)
    for name in names:
        value = match.about.get(name) or group.get(name) or match.fields.get(name)
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one and len(kept) < KEPT_HOSTS and (text := shown(one)) not in kept:
                kept.append(text)
