"""The rules of all tenants in one engine, those of single tenants in an engine each.

So the rules of one tenant, however many, cost the events of another nothing. A tenant's own engine is made
when its first event comes, or all are by ``prepare``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from secops.match.engine import Engine, Found
from secops.match.route import seen
from secops.match.scan import Databases
from secops.records import TENANT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from secops.match.costs import Cost
    from secops.match.rule import Rule
    from secops.records import Event


class Engines:
    """Finds the hits of every rule that runs for an event's tenant; looks like one ``Engine``."""

    def __init__(self, rules: Sequence[Rule], *, databases: Databases | None = None, cached: bool = True) -> None:
        self._databases = databases or Databases()
        self._cached = cached
        self.rules = {rule.id: rule for rule in rules}
        self._order = {identity: at for at, identity in enumerate(self.rules)}
        self._own: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            for tenant in rule.info.tenants:
                self._own[tenant].append(rule)
        self.shared = self._engine([rule for rule in rules if not rule.info.tenants])
        self._engines: dict[str, Engine] = {}

    def _engine(self, rules: Sequence[Rule]) -> Engine:
        return Engine(rules, databases=self._databases, cached=self._cached)

    def find(self, events: Sequence[Event]) -> list[Found]:
        """Hits of the batch, by event and then in the order of the rules."""
        hits = self.shared.find(events)
        if not self._own:
            return hits
        places: dict[str, list[int]] = defaultdict(list)
        for at, event in enumerate(events):
            tenant = event.get(TENANT)
            if type(tenant) is str and tenant in self._own:
                places[tenant].append(at)
        before = len(hits)
        for tenant, listed in places.items():
            found = self.of(tenant).find([events[at] for at in listed])
            hits += [hit._replace(index=listed[hit.index]) for hit in found]
        if len(hits) > before:
            hits.sort(key=lambda hit: (hit.index, self._order[hit.rule.id]))
        return hits

    def of(self, tenant: str) -> Engine:
        """The engine of a tenant's own rules."""
        engine = self._engines.get(tenant)
        if engine is None:
            engine = self._engines[tenant] = self._engine(self._own[tenant])
        return engine

    def made(self) -> tuple[str, ...]:
        """The tenants whose own engine was needed so far."""
        return tuple(self._engines)

    def explain(self, found: Found) -> Mapping[str, Any]:
        """The fields behind a hit."""
        return self.shared.explain(found)  # an engine explains any rule; one place keeps what was made for it

    def prepare(self) -> None:
        """Build the plans of the usual signatures of all tenants' rules now."""
        self.shared.prepare()
        for tenant in self._own:
            self.of(tenant).prepare()

    def costs(self) -> dict[str, Cost]:
        """What each rule has cost since the engines were made."""
        total: dict[str, Cost] = self.shared.costs()
        for engine in self._engines.values():
            for identity, cost in engine.costs().items():
                known = total.get(identity)
                total[identity] = cost if known is None else type(cost)(*map(sum, zip(known, cost, strict=True)))
        return total

    def found(self, pairs: Iterable[tuple[str, int]], events: Sequence[Event]) -> list[Found]:
        """Hits given as (rule id, position in the batch), as another process found them; unknown rules are left out."""
        return [Found(self.rules[identity], at, seen(events[at])) for identity, at in pairs if identity in self.rules]
