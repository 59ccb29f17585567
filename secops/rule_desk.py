"""What people do with rules, for every edge alike: look, switch, except, take a folder in, try one over the log.

Rights are asked for at the edges; here stands what joins the rulebook with the matcher and with the organisations.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secops import sources
from secops.errors import UserError
from secops.match.alike import alike
from secops.match.load import load_rules
from secops.match.overrides import read_exception
from secops.match.rule import RuleSet
from secops.match.source import RuleError
from secops.replay import rule_with_feeders
from secops.rulebook import exceptions, folder, imports, stats, switches
from secops.settings import ROOT_TENANT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from secops.match.alike import Alike
    from secops.match.rule import Refusal, Rule
    from secops.rulebook.folder import Copied
    from secops.rulebook.stats import RuleStat
    from secops.wiring import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A rule with what is known and decided of it."""

    rule: Rule
    stat: RuleStat
    off_for: tuple[str, ...]  # tenants it is switched off for; "" among them: all
    exceptions: int  # in force
    share: float  # of the whole matching time, 0 to 1
    imported: str  # name of the import that brought it; "" for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of taking a folder in."""

    name: str
    folder: Path
    copied: Copied
    rules: tuple[Rule, ...]
    refused: tuple[Refusal, ...]
    alike: tuple[Alike, ...] = ()  # those of the rules that look like one of others

    @property
    def counts(self) -> Mapping[str, int]:
        """The numbers that are kept."""
        return {
            "files": self.copied.files,
            "rules": len(self.rules),
            "refused": len(self.refused),
            "added": len(self.copied.added),
            "changed": len(self.copied.changed),
            "removed": len(self.copied.removed),
            "skipped": self.copied.skipped_count,
            "alike": len(self.alike),
        }


def find(service: Service, said: str) -> Rule:
    """Give a running rule by its id, else by its name.

    Raises:
        UserError: there is none.
    """
    rules = service.rules.rules
    found = next((rule for rule in rules if rule.id == said), None) or next(
        (rule for rule in rules if said and rule.name == said), None
    )
    if found is None:
        raise UserError(
            "rule.unknown",
            f"没有运行中的规则 {said[:128]!r}；secops rules list 可列出。",
            f"No rule {said[:128]!r} is running; secops rules list shows them.",
        )
    return found


def may_see(tenant: str, tenants: frozenset[str] | None) -> bool:
    """Whether somebody who sees ``tenants`` (None: all) may know of what was decided for ``tenant`` ("": for all)."""
    return tenants is None or not tenant or tenant in tenants


def visible(service: Service, tenants: frozenset[str] | None) -> list[Rule]:
    """Give the running rules that somebody who sees ``tenants`` (None: all) may know of: everybody's, and theirs."""
    return [
        rule
        for rule in service.rules.rules
        if tenants is None or not rule.tenants or tenants.intersection(rule.tenants)
    ]


def imported_by(service: Service, rule: Rule) -> str:
    """Give the name of the import that brought a rule; "" for our own and those written here."""
    return folder.import_of(rule.info.source, service.imported_dir)


def look_alikes(service: Service, rules: Sequence[Rule]) -> list[Alike]:
    """Give the imported ones of ``rules`` that look like one of ours that alerts: the same would be reported twice."""
    apart: dict[bool, list[Rule]] = {True: [], False: []}
    for rule in rules:
        if rule.info.alert:
            apart[bool(imported_by(service, rule))].append(rule)
    return alike(apart[True], apart[False])


def switch_off_alikes(
    service: Service, found: Sequence[Alike], *, reason: str, actor: str, source_ip: str = ""
) -> list[str]:
    """Switch imported rules that look like ours off for all, in one transaction; give the ids of those that were on.

    Raises:
        UserError: no reason was given.
    """
    with service.database.begin() as tx:
        off = {rule_id for tenant, rule_id in switches.off(tx) if not tenant}
        wanted = [each.rule.id for each in found if each.rule.id not in off]
        for rule_id in wanted:
            switches.set_enabled(
                tx,
                rule_id=rule_id,
                tenant="",
                enabled=False,
                reason=reason,
                actor=actor,
                now=service.clock(),
                source_ip=source_ip,
            )
    return wanted


def listing(service: Service, tx: Session, now: datetime, *, tenants: frozenset[str] | None = None) -> list[Listed]:
    """Give the running rules, their figures and decisions, as far as somebody who sees ``tenants`` (None: all) may know."""
    known = stats.all(tx)
    whole = sum(stat.cpu_us for stat in known.values()) or 1
    off: dict[str, list[str]] = {}
    for tenant, rule_id in sorted(switches.off(tx)):
        if may_see(tenant, tenants):
            off.setdefault(rule_id, []).append(tenant)
    excepted = Counter(each.rule_id for each in exceptions.active(tx, now) if may_see(each.tenant, tenants))
    return [
        Listed(
            rule=rule,
            stat=(stat := stats.visible(known.get(rule.id) or stats.RuleStat(), tenants)),
            off_for=tuple(off.get(rule.id, ())),
            exceptions=excepted[rule.id],
            share=stat.cpu_us / whole,
            imported=imported_by(service, rule),
        )
        for rule in visible(service, tenants)
    ]


def set_enabled(
    service: Service, *, rule_id: str, tenant: str, enabled: bool, reason: str, actor: str, source_ip: str = ""
) -> None:
    """Switch a running rule for a tenant ("": for all).

    Raises:
        UserError: no such rule, no such organisation, no reason.
    """
    rule = find(service, rule_id)
    check_tenant(service, tenant)
    with service.database.begin() as tx:
        switches.set_enabled(
            tx,
            rule_id=rule.id,
            tenant=tenant,
            enabled=enabled,
            reason=reason,
            actor=actor,
            now=service.clock(),
            source_ip=source_ip,
        )


def add_exception(
    service: Service,
    *,
    rule_id: str,
    tenant: str,
    condition: str,
    reason: str,
    actor: str,
    expires_at: datetime | None,
    source_ip: str = "",
) -> int:
    """Except events from a running rule; the condition is read first. Give the exception's number.

    Raises:
        UserError: no such rule or organisation, no reason, an expiry that has passed, or a condition that means nothing.
    """
    rule = find(service, rule_id)
    check_tenant(service, tenant)
    _check_condition(condition)
    with service.database.begin() as tx:
        return exceptions.add(
            tx,
            rule_id=rule.id,
            tenant=tenant,
            condition=condition,
            reason=reason,
            actor=actor,
            now=service.clock(),
            expires_at=expires_at,
            source_ip=source_ip,
        )


def _check_condition(condition: str) -> None:
    try:
        read_exception(condition)
    except RuleError as error:
        raise UserError(
            "exception.condition",
            f"例外条件第 {error.line} 行：{error.zh}",
            f"Line {error.line} of the condition: {error.en}",
        ) from error


def check_tenant(service: Service, tenant: str) -> None:
    """Refuse a tenant that nobody has heard of; "" stands for all.

    Raises:
        UserError: no organisation bears that id, and no source's events do.
    """
    if tenant in {"", ROOT_TENANT} or service.identity.organization(tenant) is not None:
        return
    configured = {str(each.get("tenant", "")) for each in service.settings.ingest.collectors.values()}
    with service.database.read() as tx:
        named = configured | {row.tenant for row in sources.tokens(tx)}
    if tenant not in named:
        raise UserError(
            "tenant.unknown",
            f"没有单位 {tenant[:40]!r}；“人员”页列出全部单位，secops source list 列出日志来源的单位。",
            f"There is no organisation {tenant[:40]!r}; the People page lists them, secops source list those of sources.",
        )


def take_in(
    service: Service,
    source: Path,
    *,
    name: str,
    tenant: str,
    actor: str,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Imported:
    """Copy a folder of rules into the state folder, or bring an earlier copy in step; say what runs and what does not.

    Raises:
        UserError: no folder, no rule in it, too much of it, a wrong name, or no such organisation; nothing was changed.
        OSError: the disk is full; call again when it is not.
    """
    check_tenant(service, tenant)
    name = folder.check_name(name or folder.name_for(source))
    target = service.imported_dir / name
    copied = folder.copy(source, target, tenant=tenant, progress=progress)
    found = service.load_rules()
    inside = f"{target}/"
    rules = tuple(rule for rule in found.rules if rule.info.source.startswith(inside))
    imported = Imported(
        name=name,
        folder=target,
        copied=copied,
        rules=rules,
        alike=tuple(each for each in look_alikes(service, found.rules) if each.rule.info.source.startswith(inside)),
        refused=tuple(each for each in found.refused if each.file.startswith(inside)),
    )
    with service.database.begin() as tx:
        imports.record(
            tx,
            name=name,
            tenant=tenant,
            source=str(source.resolve()),
            counts=imported.counts,
            actor=actor,
            now=service.clock(),
        )
    return imported


def rules_of_file(service: Service, path: Path) -> tuple[RuleSet, frozenset[str]]:
    """Give the rules of one file with those of the service that they refer to, and the ids of the file's own.

    Raises:
        UserError: the file cannot be read as rules; says line and reason.
    """
    placeholders = service.settings.detect.placeholders
    alone = load_rules([path], placeholders=placeholders)
    found = alone
    if any(not rule.info.alert for rule in alone.rules) or alone.refused:  # perhaps they refer to the service's own
        found = load_rules([path, *service.rule_folders()], placeholders=placeholders)
    own = [rule for rule in found.rules if rule.file == str(path)]
    refused = [each for each in found.refused if each.file == str(path)]
    if refused or not own:
        raise _refused(refused)
    needed: dict[str, Rule] = {}
    for rule in own:
        needed |= {each.id: each for each in rule_with_feeders(found, rule).rules}
    return RuleSet(tuple(needed.values())), frozenset(rule.id for rule in own)


def _refused(refused: Sequence[Refusal]) -> UserError:
    if not refused:
        return UserError("rule.none", "没有规则。", "There is no rule in it.")
    first = refused[0]
    return UserError("rule.refused", f"第 {first.line} 行：{first.zh}", f"Line {first.line}: {first.en}")
