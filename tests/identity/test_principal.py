from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity.principal import (
    ADMINISTRATORS,
    ANYWHERE,
    GRANTS,
    Permission,
    Principal,
    Resource,
    Role,
    can,
    conflict,
    operator,
    within,
)

paths = st.lists(st.sampled_from(["city", "east", "west", "health"]), max_size=4).map(tuple)
role_sets = st.frozensets(st.sampled_from(list(Role)))
permissions = st.sampled_from(list(Permission))


def somebody(*roles: Role, path: tuple[str, ...] = ("city",)) -> Principal:
    return Principal(
        account_id="1",
        username="somebody",
        organization_id=path[-1] if path else "",
        organization_path=path,
        roles=frozenset(roles),
    )


EXPECTED = {
    Role.SYSTEM_ADMIN: {
        "people.read", "people.manage", "roles.grant", "certificates.read", "certificates.issue",
        "certificates.revoke", "sources.read", "sources.manage", "settings.manage",
    },
    Role.SECURITY_ADMIN: {"rules.read", "rules.manage", "people.read", "roles.grant", "sources.read"},
    Role.AUDIT_ADMIN: {"audit.read"},
    Role.SECURITY_OFFICER: {
        "events.read", "alerts.read", "alerts.triage", "tickets.read", "tickets.assign", "evidence.build",
        "evidence.read", "rules.read", "rules.manage", "sources.read",
    },
    Role.CONTRACTOR: {"tickets.read", "tickets.work"},
    Role.INSPECTOR: {"events.read", "alerts.read", "tickets.read", "evidence.build", "evidence.read"},
    Role.CIVIL_SERVANT: set(),
}  # fmt: skip


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", list(Permission))
def test_each_role_may_do_what_was_agreed_and_nothing_else(role: Role, permission: Permission) -> None:
    expected = permission in EXPECTED[role] or permission is Permission.OVERVIEW_READ
    assert can(somebody(role), permission).allowed == expected


@given(permissions, paths)
def test_nobody_may_do_anything_without_a_login(permission: Permission, path: tuple[str, ...]) -> None:
    assert not can(None, permission, Resource(organization_path=path))


@given(role_sets, permissions, paths, paths, st.sampled_from(["", "acme", "city", "east"]))
def test_nothing_is_allowed_outside_of_ones_own_tree_but_assigned_tickets(
    roles: frozenset[Role], permission: Permission, home: tuple[str, ...], place: tuple[str, ...], assignee: str
) -> None:
    principal = somebody(*roles, path=home)
    resource = Resource(organization_path=place, assignee=assignee)
    decision = can(principal, permission, resource)
    if not decision or permission is Permission.OVERVIEW_READ:
        return
    granting = {role for role in roles if permission in GRANTS[role]}
    assert granting, "only a role's grant allows"
    own_ticket = Role.CONTRACTOR in granting and assignee == principal.organization_id != ""
    inside = granting != {Role.CONTRACTOR} and (home == ("city",) or (bool(home) and place[: len(home)] == home))
    assert resource == ANYWHERE or own_ticket or inside


@given(role_sets, permissions, paths, paths)
def test_more_roles_never_allow_less(
    roles: frozenset[Role], permission: Permission, home: tuple[str, ...], place: tuple[str, ...]
) -> None:
    resource = Resource(organization_path=place)
    every = can(somebody(*Role, path=home), permission, resource)
    assert every.allowed >= can(somebody(*roles, path=home), permission, resource).allowed


def test_a_contractor_touches_only_tickets_assigned_to_his_organisation() -> None:
    acme = somebody(Role.CONTRACTOR, path=("city", "acme"))
    for permission in (Permission.TICKETS_READ, Permission.TICKETS_WORK):
        assert can(acme, permission, Resource(organization_path=("city", "health"), assignee="acme"))
        assert not can(acme, permission, Resource(organization_path=("city", "health"), assignee="other"))
        assert not can(acme, permission, Resource(organization_path=("city", "acme")))
    assert not can(acme, Permission.ALERTS_READ, Resource(organization_path=("city", "acme"), assignee="acme"))


def test_a_tenant_that_is_not_in_the_tree_is_the_citys_and_nobody_elses() -> None:
    unknown = Resource(organization_path=())
    assert unknown != ANYWHERE
    assert can(somebody(Role.SECURITY_OFFICER), Permission.EVENTS_READ, unknown)
    assert not can(somebody(Role.SECURITY_OFFICER, path=("city", "east")), Permission.EVENTS_READ, unknown)
    assert not can(somebody(Role.SECURITY_OFFICER, path=()), Permission.EVENTS_READ, unknown)
    assert not can(somebody(Role.CONTRACTOR, path=("city", "acme")), Permission.TICKETS_READ, unknown)


def test_a_decision_says_why() -> None:
    officer = somebody(Role.SECURITY_OFFICER, path=("city", "east"))
    assert can(officer, Permission.AUDIT_READ).reason == "no role of this person grants audit.read"
    elsewhere = Resource(organization_path=("city", "west"))
    assert can(officer, Permission.EVENTS_READ, elsewhere).reason == "outside this person's organisation"
    assert can(None, Permission.OVERVIEW_READ).reason == "not logged in"


@given(paths, paths)
def test_a_tree_contains_itself_and_what_is_below(root: tuple[str, ...], below: tuple[str, ...]) -> None:
    assert within(root + below, root) == bool(root)
    assert not (below and within(root, root + below))


@given(role_sets)
def test_two_administrator_roles_are_never_one_person(roles: frozenset[Role]) -> None:
    if len(roles & ADMINISTRATORS) > 1:
        assert conflict(roles) is not None


@pytest.mark.parametrize(
    ("roles", "fits"),
    [
        ([], True),
        ([Role.SYSTEM_ADMIN, Role.CIVIL_SERVANT], True),
        ([Role.SYSTEM_ADMIN, Role.SECURITY_ADMIN], False),
        ([Role.SYSTEM_ADMIN, Role.AUDIT_ADMIN], False),
        ([Role.SECURITY_ADMIN, Role.AUDIT_ADMIN], False),
        ([Role.SYSTEM_ADMIN, Role.INSPECTOR], False),
        ([Role.SECURITY_OFFICER, Role.INSPECTOR], False),
        ([Role.SECURITY_OFFICER, Role.AUDIT_ADMIN], False),
        ([Role.AUDIT_ADMIN, Role.INSPECTOR], True),
        ([Role.CONTRACTOR, Role.SECURITY_OFFICER], False),
        ([Role.CONTRACTOR, Role.CIVIL_SERVANT], False),
        ([Role.CONTRACTOR], True),
    ],
)
def test_roles_that_exclude_one_another(roles: list[Role], fits: bool) -> None:  # noqa: FBT001 - a column of the table
    assert (conflict(frozenset(roles)) is None) == fits


def test_a_conflict_names_the_roles_in_both_languages() -> None:
    zh, en = conflict(frozenset({Role.SYSTEM_ADMIN, Role.AUDIT_ADMIN})) or ("", "")
    assert zh == "审计管理员、系统管理员必须由不同的人担任（三员分立）"
    assert en == "audit administrator and system administrator must be different people"


def test_the_operator_manages_people_but_reads_no_alerts() -> None:
    assert can(operator("root"), Permission.PEOPLE_MANAGE, Resource(organization_path=("city", "east")))
    assert not can(operator("root"), Permission.ALERTS_READ)
