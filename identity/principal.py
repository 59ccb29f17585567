"""Who may do what: the only authorisation function of the service is ``can()``, and its table is a literal.

The rules, in the order they are asked:

1. Nobody without a login may do anything; a permission that no role grants is denied.
2. Everybody who is logged in may read the overview.
3. A role grants a permission in the subtree of the person's own organisation; a resource elsewhere is denied. For the
   people of the city itself nothing is elsewhere, not even what belongs to a tenant that is not in the tree.
4. A contractor sees and works only the tickets whose assignee is his organisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CITY: Final = "city"  # id of the root organisation


class Role(StrEnum):
    """What a person is to the service."""

    SYSTEM_ADMIN = "system_admin"
    SECURITY_ADMIN = "security_admin"
    AUDIT_ADMIN = "audit_admin"
    SECURITY_OFFICER = "security_officer"
    CONTRACTOR = "contractor"
    INSPECTOR = "inspector"
    CIVIL_SERVANT = "civil_servant"

    @property
    def zh(self) -> str:
        """The role's name in Chinese."""
        return ROLE_NAMES[self][0]

    @property
    def en(self) -> str:
        """The role's name in English."""
        return ROLE_NAMES[self][1]


ROLE_NAMES: Final[Mapping[Role, tuple[str, str]]] = {
    Role.SYSTEM_ADMIN: ("系统管理员", "system administrator"),
    Role.SECURITY_ADMIN: ("安全管理员", "security administrator"),
    Role.AUDIT_ADMIN: ("审计管理员", "audit administrator"),
    Role.SECURITY_OFFICER: ("安全员", "security officer"),
    Role.CONTRACTOR: ("运维服务商", "contractor"),
    Role.INSPECTOR: ("检查人员", "inspector"),
    Role.CIVIL_SERVANT: ("公务员", "civil servant"),
}


class Permission(StrEnum):
    """A thing that can be done, ``noun.verb``."""

    OVERVIEW_READ = "overview.read"
    EVENTS_READ = "events.read"
    ALERTS_READ = "alerts.read"
    ALERTS_TRIAGE = "alerts.triage"
    TICKETS_READ = "tickets.read"
    TICKETS_WORK = "tickets.work"  # answer, pause, resolve: what the contractor does
    TICKETS_ASSIGN = "tickets.assign"  # assign, set the priority, reopen, close: what the client does
    PEOPLE_READ = "people.read"
    PEOPLE_MANAGE = "people.manage"
    ROLES_GRANT = "roles.grant"
    CERTIFICATES_READ = "certificates.read"
    CERTIFICATES_ISSUE = "certificates.issue"
    CERTIFICATES_REVOKE = "certificates.revoke"
    EVIDENCE_BUILD = "evidence.build"
    EVIDENCE_READ = "evidence.read"
    AUDIT_READ = "audit.read"
    RULES_READ = "rules.read"
    RULES_MANAGE = "rules.manage"
    SOURCES_READ = "sources.read"
    SOURCES_MANAGE = "sources.manage"
    SETTINGS_MANAGE = "settings.manage"


EVERYBODY: Final = frozenset({Permission.OVERVIEW_READ})

GRANTS: Final[Mapping[Role, frozenset[Permission]]] = {
    Role.SYSTEM_ADMIN: frozenset(
        {
            Permission.PEOPLE_READ,
            Permission.PEOPLE_MANAGE,
            Permission.ROLES_GRANT,
            Permission.CERTIFICATES_READ,
            Permission.CERTIFICATES_ISSUE,
            Permission.CERTIFICATES_REVOKE,
            Permission.SOURCES_READ,
            Permission.SOURCES_MANAGE,
            Permission.SETTINGS_MANAGE,
        }
    ),
    Role.SECURITY_ADMIN: frozenset(
        {
            Permission.RULES_READ,
            Permission.RULES_MANAGE,
            Permission.PEOPLE_READ,
            Permission.ROLES_GRANT,
            Permission.SOURCES_READ,
        }
    ),
    Role.AUDIT_ADMIN: frozenset({Permission.AUDIT_READ}),
    Role.SECURITY_OFFICER: frozenset(
        {
            Permission.EVENTS_READ,
            Permission.ALERTS_READ,
            Permission.ALERTS_TRIAGE,
            Permission.TICKETS_READ,
            Permission.TICKETS_ASSIGN,
            Permission.EVIDENCE_BUILD,
            Permission.EVIDENCE_READ,
            Permission.RULES_READ,
            Permission.RULES_MANAGE,  # of his own organisation: a county's officer does not touch the city's rules
            Permission.SOURCES_READ,
        }
    ),
    Role.CONTRACTOR: frozenset({Permission.TICKETS_READ, Permission.TICKETS_WORK}),
    Role.INSPECTOR: frozenset(
        {
            Permission.EVENTS_READ,
            Permission.ALERTS_READ,
            Permission.TICKETS_READ,
            Permission.EVIDENCE_BUILD,
            Permission.EVIDENCE_READ,
        }
    ),
    Role.CIVIL_SERVANT: frozenset(),
}

ADMINISTRATORS: Final = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.AUDIT_ADMIN})
AUDITORS: Final = frozenset({Role.AUDIT_ADMIN, Role.INSPECTOR})
AUDITED: Final = frozenset({Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN, Role.SECURITY_OFFICER, Role.CONTRACTOR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is logged in, or the operator at the machine itself."""

    account_id: str
    username: str
    organization_id: str
    organization_path: tuple[str, ...]  # from the root "city" down to organization_id
    roles: frozenset[Role]
    display_name: str = ""
    session_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What is to be touched; the empty resource asks whether the person may do such a thing anywhere at all."""

    organization_path: tuple[str, ...] | None = None  # of its organisation, from the root down; () is one nobody knows
    assignee: str = ""  # of a ticket: the contractor organisation's id


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer and why; true when allowed."""

    allowed: bool
    reason: str

    def __bool__(self) -> bool:
        return self.allowed


ANYWHERE: Final = Resource()


def can(principal: Principal | None, permission: Permission, resource: Resource = ANYWHERE) -> Decision:
    """Decide whether ``principal`` may do ``permission`` to ``resource``; denied unless a rule above allows it.

    Lists are to be filtered as well (``visible_tenants``; for a contractor by assignee): the empty resource only opens
    the page.
    """
    if principal is None:
        return Decision(allowed=False, reason="not logged in")
    if permission in EVERYBODY:
        return Decision(allowed=True, reason="everybody who is logged in may")
    granting = sorted(role for role in principal.roles if permission in GRANTS[role])
    if not granting:
        return Decision(allowed=False, reason=f"no role of this person grants {permission}")
    decisions = [_in_scope(role, principal, resource) for role in granting]
    return next((decision for decision in decisions if decision), decisions[0])


def _in_scope(role: Role, principal: Principal, resource: Resource) -> Decision:
    if resource == ANYWHERE:
        return Decision(allowed=True, reason=f"granted by {role}")
    if role is Role.CONTRACTOR:
        mine = bool(principal.organization_id) and resource.assignee == principal.organization_id
        reason = "assigned to this contractor" if mine else "the ticket is not assigned to this contractor"
        return Decision(allowed=mine, reason=reason)
    home = principal.organization_path
    inside = home == (CITY,) or within(resource.organization_path or (), home)
    return Decision(allowed=inside, reason=f"granted by {role}" if inside else "outside this person's organisation")


def within(path: tuple[str, ...], root: tuple[str, ...]) -> bool:
    """Tell whether the organisation at ``path`` is the one at ``root`` or below it; an empty path is nowhere."""
    return bool(root) and path[: len(root)] == root


def conflict(roles: frozenset[Role]) -> tuple[str, str] | None:
    """Say in Chinese and English why one person must not hold ``roles`` together; None when he may."""
    administrators = sorted(roles & ADMINISTRATORS)
    if len(administrators) > 1:
        zh = "、".join(role.zh for role in administrators)
        en = " and ".join(role.en for role in administrators)
        return (f"{zh}必须由不同的人担任（三员分立）", f"{en} must be different people")
    return _audits_himself(roles) or _accepts_his_own_work(roles)


def _audits_himself(roles: frozenset[Role]) -> tuple[str, str] | None:
    audits, audited = sorted(roles & AUDITORS), sorted(roles & AUDITED)
    if not (audits and audited):
        return None
    return (
        f"{audits[0].zh}负责审计检查，不能同时担任{audited[0].zh}",
        f"{audits[0].en} audits and inspects, so the same person cannot be {audited[0].en}",
    )


def _accepts_his_own_work(roles: frozenset[Role]) -> tuple[str, str] | None:
    others = sorted(roles - {Role.CONTRACTOR})
    if Role.CONTRACTOR not in roles or not others:
        return None
    return (
        f"{Role.CONTRACTOR.zh}人员不能同时担任{others[0].zh}",
        f"a contractor's staff cannot also be {others[0].en}",
    )


def operator(name: str) -> Principal:
    """Give the person at the machine's own command line: whoever can read the state folder can do this anyway."""
    return Principal(
        account_id="operator",
        username=f"operator:{name}"[:100],
        display_name=name,
        organization_id=CITY,
        organization_path=(CITY,),
        roles=frozenset({Role.SYSTEM_ADMIN}),
    )
