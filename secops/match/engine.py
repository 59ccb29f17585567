"""Matches batches of events against all detection rules at once.

Events are routed by signature (dataset, channel, event id) to a plan; the plan finds candidates by the witnesses that
the event's values make true, and each candidate is confirmed by a function generated from its expression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from secops.match.costs import EVERY, Costs
from secops.match.explain import Explanation
from secops.match.plan import Plan, alive
from secops.match.route import AUDITED, CATEGORIES, Signature, covers, dress_of, signature_of, usual, view_of, whole
from secops.match.rule import Atom, Detection, Not, Pattern
from secops.match.scan import Databases
from secops.match.text import literal_of
from secops.records import DATASET, ORIGINAL

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from secops.match.costs import Cost
    from secops.match.rule import Expression, Rule
    from secops.records import Event

_KNOWN_TYPES: Final = frozenset({int, str, type(None)})
MAX_SIGNATURES: Final = 4096


class Hit(NamedTuple):
    """A rule holds for an event of the batch."""

    rule_id: str
    index: int  # type: ignore[assignment]  # position in the batch; nobody calls tuple.index here
    fields: Mapping[str, Any]  # the event's fields that made the rule's positive atoms true, with their values


class Found(NamedTuple):
    """A hit before anybody asked for its fields."""

    rule: Rule
    index: int  # type: ignore[assignment]  # see Hit
    view: Mapping[str, Any]  # the event as rules see it


class Engine:
    """All detection rules, compiled; has no state besides bounded caches, so it can be replaced at any time."""

    def __init__(self, rules: Sequence[Rule], *, databases: Databases | None = None, cached: bool = True) -> None:
        """``databases`` keeps compiled scanners on disk; ``cached`` False forgets every value at once (to measure)."""
        self._rules = [(rule, rule.body.logsource) for rule in rules if isinstance(rule.body, Detection)]
        self._databases = databases or Databases()
        self._cached = cached
        self._by_key: dict[Hashable, Plan] = {}
        self._by_signature: dict[Signature, Plan] = {}
        self._by_rules: dict[Hashable, Plan] = {}
        self._explanations: dict[str, Explanation] = {}
        self._event_ids = _event_ids(rule for rule, _ in self._rules)
        self._costs = Costs()

    def match(self, events: Sequence[Event]) -> list[Hit]:
        """Hits of the batch, by event and then in the order of the rules."""
        return [Hit(found.rule.id, found.index, self.explain(found)) for found in self.find(events)]

    def find(self, events: Sequence[Event]) -> list[Found]:
        """The same hits, their fields not made yet: those of rules that only feed correlations are seldom wanted."""
        hits: list[Found] = []
        costs = self._costs
        turn = costs.turn
        for index, event in enumerate(events):
            plan = self._plan(event)
            view = view_of(event) if DATASET in event or ORIGINAL in event else event
            if plan.dress is not None:
                view = plan.dress(view)
            if plan.reads_raw:
                view = whole(view)
            turn -= 1
            if turn:
                rules = plan.match(view)
            else:
                turn = EVERY
                rules = plan.match(view, costs)
            if rules:
                view = whole(view)  # exceptions, watches and people may ask for the text
                hits += [Found(rule, index, view) for rule in rules]
        costs.turn = turn
        costs.matched.update([hit.rule.info.id for hit in hits])
        return hits

    def costs(self) -> dict[str, Cost]:
        """What each rule has cost since the engine was made: (evaluated, matched, cpu_us)."""
        return self._costs.all()

    def explain(self, found: Found) -> Mapping[str, Any]:
        """The fields behind a hit."""
        rule = found.rule
        explanation = self._explanations.get(rule.id)
        if explanation is None:
            explanation = self._explanations[rule.id] = Explanation(rule)
        return explanation.fields(found.view)

    def prepare(self) -> None:
        """Build the plans of the usual signatures now, so that no event waits for a database to be compiled."""
        for signature in sorted({signature for _, source in self._rules for signature in usual(source)}):
            self._for(signature)

    def _plan(self, event: Mapping[str, Any]) -> Plan:
        dataset = event.get(DATASET)
        fields = event
        if type(dataset) is str:
            if not dataset.startswith("windows."):
                return self._by_key.get(dataset) or self._remember(dataset, event)
            original = event.get(ORIGINAL)
            if type(original) is dict:
                fields = original
        event_id = fields.get("EventID")
        if type(event_id) in _KNOWN_TYPES and type(channel := fields.get("Channel")) is str:
            key = (channel, event_id, dataset if type(dataset) is str else None)
            return self._by_key.get(key) or self._remember(key, event)
        return self._for(signature_of(event))

    def _remember(self, key: Hashable, event: Mapping[str, Any]) -> Plan:
        if len(self._by_key) >= MAX_SIGNATURES:
            self._by_key.clear()
        plan = self._by_key[key] = self._for(signature_of(event))
        return plan

    def _for(self, signature: Signature) -> Plan:
        """The plan of a signature; event ids that no rule names share one, and so do datasets of one channel."""
        if signature.channel and signature != AUDITED:
            signature = signature._replace(dataset="")
        if signature.event_id is not None and signature.event_id not in self._event_ids:
            signature = signature._replace(event_id="")
        plan = self._by_signature.get(signature)
        if plan is None:
            if len(self._by_signature) >= MAX_SIGNATURES:
                self._by_signature.clear()
                self._by_rules.clear()
            plan = self._made(signature)
            self._by_signature[signature] = plan
        return plan

    def _made(self, signature: Signature) -> Plan:
        """A plan; signatures that the same rules are about share theirs."""
        covered = tuple(at for at, (_, source) in enumerate(self._rules) if covers(source, signature))
        event_id = signature.event_id if signature.channel else None
        key = (covered, event_id, dress_of(signature))
        plan = self._by_rules.get(key)
        if plan is None:
            candidates = alive((self._rules[at][0] for at in covered), event_id)
            plan = self._by_rules[key] = Plan(candidates, self._databases, cached=self._cached)
            plan.dress = dress_of(signature)
        return plan


def _event_ids(rules: Iterable[Rule]) -> frozenset[str]:
    """Every event id that some rule or category names."""
    named = {AUDITED.event_id or "", *(event_id for _, ids in CATEGORIES.values() for event_id in ids)}
    for rule in rules:
        assert isinstance(rule.body, Detection)
        named.update(_literals(rule.body.expression, "EventID"))
    return frozenset(named)


def _literals(expression: Expression, field: str) -> Iterator[str]:
    if isinstance(expression, Not):
        yield from _literals(expression.child, field)
    elif not isinstance(expression, Atom):
        for child in expression.children:
            yield from _literals(child, field)
    elif expression.field == field and isinstance(expression.test, Pattern):
        literal = literal_of(expression.test.parts)
        if literal is not None:
            yield literal
