"""What people have taken out of the rules: switched off for a tenant, or excepted with a condition and an expiry.

Overrides are looked at only when a rule has hit, so they cost nothing where nothing hits. What they take out is
counted by the detector, is no match, and is not seen by correlations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from secops.match.atoms import evaluate
from secops.match.selections import read_selection
from secops.match.source import Block, Items, RuleError, read_documents

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from secops.match.rule import Expression

ALL: Final = ""  # the tenant of an override that is about every tenant
MAX_LENGTH: Final = 20_000  # characters of one exception
MAX_TALLIES: Final = 100_000  # pairs of rule and tenant counted apart between two calls


@dataclass(frozen=True, slots=True)
class RuleException:
    """Hits of a rule that its condition holds for are not wanted."""

    id: int
    tenant: str  # ALL: every tenant
    expression: Expression
    expires_us: int | None = None  # microseconds since 1970, by the time of ingestion; None: never

    def holds(self, tenant: str, seen: int, view: Mapping[str, object]) -> bool:
        """Whether it takes out a hit of the tenant, ingested at ``seen``."""
        if self.tenant not in {ALL, tenant} or (self.expires_us is not None and seen >= self.expires_us):
            return False
        return evaluate(self.expression, view)


@dataclass(frozen=True, slots=True)
class Overrides:
    """All that is switched off and excepted at one moment."""

    off: frozenset[tuple[str, str]] = frozenset()  # (tenant, rule id)
    exceptions: Mapping[str, tuple[RuleException, ...]] = field(default_factory=dict)  # rule id -> its exceptions

    def __bool__(self) -> bool:
        return bool(self.off or self.exceptions)

    def is_off(self, tenant: str, rule_id: str) -> bool:
        """Whether the rule is switched off for the tenant."""
        return (tenant, rule_id) in self.off or (ALL, rule_id) in self.off

    def excepting(self, rule_id: str, tenant: str, seen: int, view: Mapping[str, object]) -> RuleException | None:
        """The exception that takes out this hit, if one does."""
        return next((each for each in self.exceptions.get(rule_id, ()) if each.holds(tenant, seen, view)), None)


class Tally(NamedTuple):
    """What came of a rule for one tenant; hits are those that stood, beside the two kinds taken out."""

    hits: int = 0
    last_us: int = 0  # event time of the last hit of any kind, microseconds since 1970
    excepted: int = 0
    switched_off: int = 0


class Tallies:
    """Counts by (rule id, tenant), bounded: beyond ``limit`` pairs a rule's tenants are counted together as ``ALL``."""

    def __init__(self, limit: int = MAX_TALLIES) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, str], list[int]] = {}

    def count(self, rule_id: str, tenant: str, time: int, what: int = 0) -> None:
        """Count a hit: ``what`` is 0 for one that stands, 1 for an excepted one, 2 for one of a rule switched off."""
        key = rule_id, tenant
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= self._limit:
                key = rule_id, ALL
            counts = self._counts.setdefault(key, [0, time, 0, 0])
        counts[_PLACES[what]] += 1
        counts[1] = max(counts[1], time)

    def take(self) -> dict[tuple[str, str], Tally]:
        """What was counted since the last call."""
        counts, self._counts = self._counts, {}
        return {key: Tally(*each) for key, each in counts.items()}


_PLACES: Final = (0, 2, 3)


def read_exception(text: str) -> Expression:
    """The condition of an exception: a Sigma selection (a mapping of fields), or a list of them of which one holds.

    Raises:
        RuleError: it is not one; says in Chinese and English what is wrong and on which line.
    """
    if len(text) > MAX_LENGTH:
        raise RuleError(1, f"例外条件超过 {MAX_LENGTH} 个字符", f"the exception is longer than {MAX_LENGTH} characters")
    documents = list(_values(text))
    if len(documents) != 1:
        raise RuleError(1, "例外条件应为一个 YAML 文档", "an exception is one YAML document")
    [(line, body)] = documents
    if not isinstance(body, (Block, Items)) or (
        isinstance(body, Items) and not all(isinstance(e, Block) for e in body)
    ):
        raise RuleError(
            line,
            "例外条件应为 Sigma 选择项，如 user.name: backup，或其列表",
            "an exception is a Sigma selection such as user.name: backup, or a list of them",
        )
    return read_selection(body, line)


def _values(text: str) -> Iterator[tuple[int, object]]:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise RuleError(1, "例外条件含有无效字符", "the exception holds characters that are none") from error
    yield from read_documents(data)
