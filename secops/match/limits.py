"""How much the rules of one tenant may ask for, so that no set of rules takes the memory or the time of all.

Counted are the rules of each tenant that run for it alone or for some, and by themselves those that run for all. A rule
beyond a limit is refused by name, the ones before it run.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from secops.match.atoms import atoms_of
from secops.match.regex import Allowance
from secops.match.rule import Detection, Watch
from secops.match.source import RuleError
from secops.match.witness import witness

if TYPE_CHECKING:
    from secops.match.rule import Rule

MAX_RULES: Final = 20_000
MAX_TESTS: Final = 1_000_000  # values of all rules together
MAX_REGEX_WEIGHT: Final = 1_000_000  # of all regular expressions, of refused rules too; compiled in about a second
MAX_UNINDEXED: Final = 500  # rules that every event of their log source must be held against, about a microsecond each


@dataclass(slots=True)
class _Used:
    rules: int = 0
    tests: int = 0
    unindexed: int = 0


class Limits:
    """What the rules taken so far ask for."""

    def __init__(self) -> None:
        self._used: dict[str, _Used] = defaultdict(_Used)
        self._regexes: dict[str, Allowance] = {}

    def regexes(self, tenants: tuple[str, ...]) -> Allowance:
        """What the regular expressions of one more rule, or filter, of these tenants may weigh."""
        return Allowance(above=tuple(self._allowance(tenant) for tenant in tenants or ("",)))

    def _allowance(self, tenant: str) -> Allowance:
        if tenant not in self._regexes:
            self._regexes[tenant] = Allowance(MAX_REGEX_WEIGHT, *_whose(tenant))
        return self._regexes[tenant]

    def take(self, rule: Rule) -> None:
        """Count a rule in.

        Raises:
            RuleError: there is no room for it; nothing was counted.
        """
        asked = _asked(rule)
        for tenant in rule.info.tenants or ("",):
            used = self._used[tenant]
            for name, most, zh, en in _LIMITS:
                if getattr(used, name) + getattr(asked, name) > most:
                    raise _refusal(rule, tenant, f"{most} {zh}", f"{most:,} {en}")
        for tenant in rule.info.tenants or ("",):
            used = self._used[tenant]
            for name, *_ in _LIMITS:
                setattr(used, name, getattr(used, name) + getattr(asked, name))


_LIMITS: Final = (
    ("rules", MAX_RULES, "条规则", "rules"),
    ("tests", MAX_TESTS, "个取值", "values"),
    ("unindexed", MAX_UNINDEXED, "条须逐一比对每个事件的规则", "rules that must be held against every event"),
)


def _refusal(rule: Rule, tenant: str, zh: str, en: str) -> RuleError:
    whose_zh, whose_en = _whose(tenant)
    return RuleError(
        rule.line,
        f"{whose_zh}超过上限 {zh}，本条不运行：请删减或合并规则",
        f"{whose_en} exceed the limit of {en}: this one does not run; remove some, or write several as one",
    )


def _whose(tenant: str) -> tuple[str, str]:
    if tenant:
        return f"租户 {tenant} 的规则", f"the rules of tenant {tenant}"
    return "全体租户的规则", "the rules for all tenants"


def _asked(rule: Rule) -> _Used:
    body = rule.body.detection if isinstance(rule.body, Watch) else rule.body
    if not isinstance(body, Detection):
        return _Used(rules=1)
    atoms = list(atoms_of(body.expression))
    return _Used(rules=1, tests=len(atoms), unindexed=witness(body.expression) is None)
