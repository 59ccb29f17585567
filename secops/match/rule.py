"""The intermediate form of a rule: what Sigma YAML means, free of how it was written.

A detection rule is a log source and an expression over atoms ``(field, test)``; a correlation rule counts the hits of
other rules. Meaning follows the Sigma rules and correlation specifications 2.1; where they leave a choice open, the
choice is stated at the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from pathlib import Path

    from secops.records import RuleInfo

OWNER: Final = "@"  # in an id: after it stands the tenant in whose folder the rule was written


class Wild(StrEnum):
    """A wildcard inside a pattern; every other part of a pattern is literal text."""

    MANY = "*"  # any number of characters, none included
    ONE = "?"  # exactly one character

    def __eq__(self, other: object) -> bool:
        """A wildcard is not the literal text it is written as: patterns are keys of caches."""
        return self is other

    def __hash__(self) -> int:
        return hash(("wildcard", self.value))


@dataclass(frozen=True, slots=True)
class Pattern:
    """The value's text is the parts in sequence, from its first to its last character.

    ``(MANY, "x", MANY)`` is *contains x*, ``("x",)`` is *equals x*. Without ``cased`` both sides are folded first.
    """

    parts: tuple[str, ...]  # Wild members and literals; two literals never follow one another
    cased: bool = False


@dataclass(frozen=True, slots=True)
class Regex:
    """A search, unanchored and case-sensitive unless ``flags`` says so; RE2 syntax, ``$`` as in PCRE."""

    pattern: str
    flags: str = ""  # sorted letters out of i, m, s


@dataclass(frozen=True, slots=True)
class Cidr:
    """The value is an address inside the network, or a network wholly inside it."""

    network: str


@dataclass(frozen=True, slots=True)
class Compare:
    """A numeric comparison; a value that is neither a number nor the text of one does not satisfy it."""

    operator: str  # lt, lte, gt, gte, eq
    number: int | float


@dataclass(frozen=True, slots=True)
class IsNull:
    """The field is absent or null; it is not satisfied by the empty text."""


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there, whatever its value (null included), or, with False, it is not."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class FieldRef:
    """The value stands in a relation to another field of the same event; absent on either side is not satisfied."""

    other: str
    relation: str = "equals"  # equals, contains, startswith, endswith
    cased: bool = False


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of a date-time value, in UTC, is in the relation to the number."""

    part: str  # minute, hour, day, week, month, year
    number: int
    operator: str = "eq"  # eq, or as in Compare


@dataclass(frozen=True, slots=True)
class Listed:
    """The value stands on a list of indicators, or inside one of its networks or domains."""

    indicator: str  # ip, domain, hash, url
    path: str
    changed: int  # when the list was last written, ns since 1970: another list makes another test


Test: TypeAlias = Pattern | Regex | Cidr | Compare | IsNull | Exists | FieldRef | TimePart | Listed


@dataclass(frozen=True, slots=True)
class Atom:
    """One test on one field; ``field`` None is a keyword: any value of the event satisfies the test."""

    field: str | None
    test: Test


@dataclass(frozen=True, slots=True)
class And:
    """True when every child is."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True when some child is."""

    children: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True when the child is not; so it is true of an absent field."""

    child: Expression


Expression: TypeAlias = Atom | And | Or | Not


@dataclass(frozen=True, slots=True)
class LogSource:
    """Which events a rule is about; empty parts restrict nothing."""

    product: str = ""
    category: str = ""
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The body of a plain rule."""

    logsource: LogSource
    expression: Expression

    @property
    def detection(self) -> Detection:
        """What finds its events: itself."""
        return self


class CorrelationType(StrEnum):
    """Kinds of correlation of the Sigma correlation rules specification."""

    EVENT_COUNT = "event_count"
    VALUE_COUNT = "value_count"
    TEMPORAL = "temporal"
    TEMPORAL_ORDERED = "temporal_ordered"
    VALUE_SUM = "value_sum"
    VALUE_AVG = "value_avg"
    VALUE_PERCENTILE = "value_percentile"
    VALUE_MEDIAN = "value_median"


Alternative: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]
"""Rules that must have hit (for temporal_ordered: in this order), and rules that must not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """The body of a correlation rule."""

    type: CorrelationType
    rules: tuple[str, ...]  # ids of the rules whose hits it looks at, in the order written
    timespan: timedelta
    group_by: tuple[str, ...] = ()
    conditions: tuple[tuple[str, float], ...] = ()  # all hold: (lt|lte|gt|gte|eq|neq, number)
    fields: tuple[str, ...] = ()  # of value_*; several only of value_count, whose combinations then count
    percentile: float = 50.0  # of value_percentile
    aliases: Mapping[str, Mapping[str, str]] = dataclass_field(default_factory=dict)  # alias -> rule id -> field
    generate: bool = False  # the rules looked at also alert on their own
    alternatives: tuple[Alternative, ...] = ()  # of temporal types whose condition is a text; one of them must hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The body of a rule that watches a stream of events for more than one of them can tell (``secops/match/kinds``)."""

    kind: str  # threshold, absence, first_seen, rare, spike, ioc: a file of that folder
    source: LogSource
    expression: Expression | None  # which of the source's events; None: all
    settings: Any  # the kind's own Settings

    @property
    def detection(self) -> Detection:
        """What finds the events that are watched."""
        return Detection(logsource=self.source, expression=And(()) if self.expression is None else self.expression)


@dataclass(frozen=True, slots=True)
class Examples:
    """What a rule's own examples say: each entry is a list of samples (one for a plain rule), as written."""

    match: tuple[tuple[Mapping[str, Any], ...], ...] = ()
    no_match: tuple[tuple[Mapping[str, Any], ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule, read and understood."""

    info: RuleInfo
    body: Detection | Correlation | Watch
    name: str = ""  # Sigma's optional name, by which correlations may refer to it
    examples: Examples = Examples()
    line: int = 1

    @property
    def id(self) -> str:
        """The rule's identifier, unique within a rule set."""
        return self.info.id

    @property
    def written_id(self) -> str:
        """The identifier as its file gives it: without the tenant whose folder it lies in."""
        return self.info.id.partition(OWNER)[0]

    @property
    def kind(self) -> str:
        """``detection``, the correlation's type, or the kind of a rule that watches a stream."""
        match self.body:
            case Detection():
                return "detection"
            case Correlation():
                return str(self.body.type)
        return self.body.kind

    @property
    def file(self) -> str:
        """The file it was read from."""
        return self.info.source

    @property
    def tenants(self) -> tuple[str, ...]:
        """The tenants it runs for; () is all."""
        return self.info.tenants

    def within(self, tenants: tuple[str, ...]) -> bool:
        """Whether it runs for no others than these; () is all."""
        return not tenants or (bool(self.tenants) and set(self.tenants) <= set(tenants))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rule, or one of its lines, is not running; shown to people in their language."""

    file: str
    line: int
    rule_id: str  # "" when the id could not be read
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.en}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Everything that was read from one set of paths."""

    rules: tuple[Rule, ...] = ()
    refused: tuple[Refusal, ...] = ()
    files: int = 0
    roots: tuple[Path, ...] = ()

    @property
    def detections(self) -> tuple[Rule, ...]:
        """The rules that look at single events."""
        return tuple(rule for rule in self.rules if isinstance(rule.body, Detection))

    @property
    def correlations(self) -> tuple[Rule, ...]:
        """The rules that look at hits of other rules."""
        return tuple(rule for rule in self.rules if isinstance(rule.body, Correlation))

    @property
    def watches(self) -> tuple[Rule, ...]:
        """The rules that watch streams of events."""
        return tuple(rule for rule in self.rules if isinstance(rule.body, Watch))

    def infos(self) -> dict[str, RuleInfo]:
        """What the later stages need to know, by rule id."""
        return {rule.id: rule.info for rule in self.rules}
