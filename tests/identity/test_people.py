from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from identity import login, totp
from identity.login import Form
from identity.principal import Role
from identity.provider import IdentityError, OrganizationKind
from tests.identity.world import OFFICE, OPERATOR, PASSWORD, Person, World

NEW_PASSWORD = "violin gravel teapot 9"


@pytest.fixture
def admin(world: World) -> Person:
    return world.set_up()


def refused(code: str) -> pytest.RaisesExc[IdentityError]:
    return pytest.RaisesExc(IdentityError, check=lambda error: error.code == code)


def test_a_fresh_small_installation(world: World, admin: Person) -> None:
    """The set-up's administrator makes the three people of the first day, with certificates."""
    actor = world.principal(admin)
    world.provider.add_organization(
        id="acme",
        name_zh="某某科技",
        name_en="Acme",
        parent_id="city",
        kind=OrganizationKind.CONTRACTOR,
        actor=actor,
        now=world.now,
    )
    officer = world.person("officer", [Role.SECURITY_OFFICER], actor=actor)
    contractor = world.person("contractor", [Role.CONTRACTOR], "acme", actor=actor)
    inspector = world.person("inspector", [Role.INSPECTOR], actor=actor)
    for number, person in enumerate((officer, contractor, inspector)):
        world.provider.bind_certificate(person.id, f"{number}f", f"{number}" * 64, actor=actor, now=world.now)
        assert world.log_in(person).principal.roles == person.account.roles
    assert world.principal(contractor).organization_path == ("city", "acme")
    usernames = [account.username for account in world.provider.people(actor=actor)]
    assert usernames == ["admin.li", "contractor", "inspector", "officer"]


def test_the_three_administrators_are_different_people(world: World) -> None:
    for roles in ([Role.SYSTEM_ADMIN, Role.AUDIT_ADMIN], [Role.SECURITY_ADMIN, Role.SYSTEM_ADMIN]):
        with refused("roles.conflict"):
            world.person("both", roles)
    person = world.person("one", [Role.SECURITY_ADMIN])
    with refused("roles.conflict"):
        world.provider.set_roles(person.id, [Role.SECURITY_ADMIN, Role.AUDIT_ADMIN], actor=OPERATOR, now=world.now)
    assert world.provider.account_by_username("both") is None


def test_a_contractor_belongs_to_a_contractor(world: World) -> None:
    with refused("roles.contractor"):
        world.person("acme.li", [Role.CONTRACTOR], "city")
    assert world.person("acme.li", [Role.CONTRACTOR], world.contractor()).account.organization_id == "acme"


def test_nobody_acts_on_his_own_account(world: World, admin: Person) -> None:
    world.person("admin.two", [Role.SYSTEM_ADMIN])
    me = world.principal(admin)
    with refused("account.self"):
        world.provider.set_roles(admin.id, [Role.SECURITY_ADMIN], actor=me, now=world.now)
    with refused("account.self"):
        world.provider.reset_factors(admin.id, actor=me, now=world.now)
    with refused("account.self"):
        world.provider.invitation(admin.id, actor=me, now=world.now)


def test_the_last_system_administrator_stays(world: World, admin: Person) -> None:
    for act in (
        lambda: world.provider.disable(admin.id, reason="", actor=OPERATOR, now=world.now),
        lambda: world.provider.set_roles(admin.id, [], actor=OPERATOR, now=world.now),
        lambda: world.provider.reset_factors(admin.id, actor=OPERATOR, now=world.now),
    ):
        with refused("account.last_administrator"):
            act()
    world.provider.add_person(
        username="not.yet",
        display_name="not yet",
        organization_id="city",
        roles=[Role.SYSTEM_ADMIN],
        actor=OPERATOR,
        now=world.now,
    )
    with refused("account.last_administrator"):  # somebody who never enrolled cannot log in to help
        world.provider.disable(admin.id, reason="", actor=OPERATOR, now=world.now)
    world.person("admin.two", [Role.SYSTEM_ADMIN])
    assert world.provider.disable(admin.id, reason="", actor=OPERATOR, now=world.now).status == "disabled"


def test_two_administrators_who_disable_each_other_at_once_leave_one(world: World, admin: Person) -> None:
    second = world.person("admin.two", [Role.SYSTEM_ADMIN])
    pairs = [(admin, world.principal(second)), (second, world.principal(admin))]
    start = threading.Barrier(2)

    def disable(number: int) -> str:
        target, actor = pairs[number]
        start.wait()
        try:
            return world.provider.disable(target.id, reason="", actor=actor, now=world.now).status
        except IdentityError as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(disable, range(2)))
    assert outcomes == ["account.last_administrator", "disabled"]


def test_a_security_administrator_grants_working_roles_but_no_administrators(world: World) -> None:
    actor = world.principal(world.person("granter", [Role.SECURITY_ADMIN]))
    person = world.person("wang.fang")
    changed = world.provider.set_roles(person.id, [Role.SECURITY_OFFICER], actor=actor, now=world.now)
    assert changed.roles == {Role.SECURITY_OFFICER}
    with refused("permission.denied"):
        world.provider.set_roles(person.id, [Role.SYSTEM_ADMIN], actor=actor, now=world.now)
    with refused("permission.denied"):
        world.provider.disable(person.id, reason="", actor=actor, now=world.now)
    (row,) = world.audited("person.roles")
    assert row.detail["before"] == []
    assert row.detail["after"] == ["security_officer"]


def test_a_county_administrator_stays_in_his_county(world: World, admin: Person) -> None:
    world.organization("east", "city", OrganizationKind.COUNTY)
    world.organization("east-health", "east", OrganizationKind.DEPARTMENT)
    world.organization("west", "city", OrganizationKind.COUNTY)
    actor = world.principal(world.person("east.admin", [Role.SYSTEM_ADMIN], "east"))
    inside = world.person("nurse", [], "east-health", actor=actor)
    with refused("permission.denied"):
        world.person("stranger", [], "west", actor=actor)
    with refused("permission.denied"):
        world.provider.disable(admin.id, reason="", actor=actor, now=world.now)
    with refused("permission.denied"):
        world.provider.invitation(admin.id, actor=actor, now=world.now)
    assert [account.username for account in world.provider.people(actor=actor)] == ["east.admin", "nurse"]
    assert world.provider.enable(inside.id, actor=actor, now=world.now).status == "active"


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.SYSTEM_ADMIN, Role.CONTRACTOR}])
def test_only_system_administrators_make_people(world: World, role: Role) -> None:
    actor = world.principal(world.person("actor", [role]))
    with refused("permission.denied"):
        world.person("new", actor=actor)
    if role is not Role.SECURITY_ADMIN:
        with refused("permission.denied"):
            world.provider.people(actor=actor)


def test_a_username_is_taken_once(world: World) -> None:
    world.person("wang.fang")
    with refused("username.taken"):
        world.person("Wang.Fang")
    start = threading.Barrier(4)

    def add(_: int) -> str:
        start.wait()
        try:
            return world.person("li.qiang").account.username
        except IdentityError as error:
            return error.code

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(add, range(4)))
    assert outcomes == ["li.qiang", *["username.taken"] * 3]


def test_an_invitation_works_once_and_for_three_days(world: World) -> None:
    person = world.person("wang.fang")
    late = world.provider.invitation(person.id, actor=OPERATOR, now=world.now)
    world.after(hours=72)
    assert world.provider.begin_invitation(late, world.now) is None
    replaced = world.provider.invitation(person.id, actor=OPERATOR, now=world.now)
    token = world.provider.invitation(person.id, actor=OPERATOR, now=world.now)
    assert world.provider.begin_invitation(replaced, world.now) is None
    invited = world.provider.begin_invitation(token, world.now)
    assert invited is not None
    assert invited.username == "wang.fang"
    session = world.log_in(person)
    renewed = world.enrol(token, NEW_PASSWORD)
    assert world.ended == [session.id], "sessions from before the new factors end"
    with refused("link.invalid"):
        world.enrol(token)
    assert world.good_login(person).session is None
    assert world.log_in(renewed).account_id == person.id


def test_an_invitation_dies_with_the_account(world: World) -> None:
    person = world.person("wang.fang")
    token = world.provider.invitation(person.id, actor=OPERATOR, now=world.now)
    world.provider.disable(person.id, reason="", actor=OPERATOR, now=world.now)
    assert world.provider.begin_invitation(token, world.now) is None
    with refused("link.invalid"):
        world.enrol(token)
    with refused("account.disabled"):
        world.provider.invitation(person.id, actor=OPERATOR, now=world.now)


def test_reset_factors_need_a_new_invitation(world: World) -> None:
    person = world.person("wang.fang")
    session = world.log_in(person)
    account = world.provider.reset_factors(person.id, actor=OPERATOR, now=world.now)
    assert not account.has_password
    assert not account.has_totp
    assert world.provider.session(session.token, world.now) is None
    assert world.good_login(person).session is None


def test_a_disabled_person_comes_back(world: World) -> None:
    person = world.person("wang.fang")
    world.provider.disable(person.id, reason="leave", actor=OPERATOR, now=world.now)
    world.provider.disable(person.id, reason="leave", actor=OPERATOR, now=world.now)
    assert len(world.audited("person.disable")) == 1
    world.provider.enable(person.id, actor=OPERATOR, now=world.now)
    assert world.log_in(person).account_id == person.id


def test_people_are_found_by_name_and_paged(world: World, admin: Person) -> None:
    actor = world.principal(admin)
    for number in range(5):
        world.person(f"user{number}")
    page = world.provider.people(actor=actor, search="USER", limit=2)
    assert [account.username for account in page] == ["user0", "user1"]
    rest = world.provider.people(actor=actor, search="user", limit=100, after="user1")
    assert [account.username for account in rest] == ["user2", "user3", "user4"]
    assert [account.username for account in world.provider.people(actor=actor, search="管理")] == ["admin.li"]
    for wildcard in ("%", "_", "\\", "' OR 1=1 --"):
        assert world.provider.people(actor=actor, search=wildcard) == []


def test_unknown_accounts_are_said_to_be_unknown(world: World) -> None:
    assert world.provider.account("nobody") is None
    assert world.provider.account_by_username("nobody") is None
    with refused("account.unknown"):
        world.provider.enable("x" * 1000, actor=OPERATOR, now=world.now)
    with refused("organization.unknown"):
        world.person("wang.fang", [], "nowhere")


parents = st.lists(st.integers(0, 30), max_size=12)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(choices=parents)
def test_what_a_person_sees_is_his_own_tree(world: World, choices: list[int]) -> None:
    prefix = f"t{len(world.provider.organizations())}"
    tree = {prefix: ("city", prefix)}
    world.organization(prefix, "city", OrganizationKind.DEPARTMENT)
    for number, choice in enumerate(choices):
        parent = list(tree)[choice % len(tree)]
        if len(tree[parent]) >= 10:
            continue
        name = f"{prefix}-{number}"
        world.organization(name, parent, OrganizationKind.DEPARTMENT)
        tree[name] = (*tree[parent], name)
    person = world.person(f"{prefix}.li", [], list(tree)[-1])
    principal = world.principal(person)
    for name, path in tree.items():
        assert world.provider.path(name) == path
    below = {name for name, path in tree.items() if principal.organization_id in path}
    assert world.provider.visible_tenants(principal) == below


def test_the_city_sees_every_tenant_and_somebody_from_nowhere_none(world: World) -> None:
    person = world.person("wang.fang")
    principal = world.principal(person)
    assert world.provider.visible_tenants(principal) is None
    nowhere = replace(principal, organization_path=())
    assert world.provider.visible_tenants(nowhere) == frozenset()


@pytest.mark.parametrize(
    ("organization_id", "parent", "kind", "code"),
    [
        ("East", "city", OrganizationKind.COUNTY, "organization.invalid"),
        ("a/b", "city", OrganizationKind.COUNTY, "organization.invalid"),
        ("a%", "city", OrganizationKind.COUNTY, "organization.invalid"),
        ("city", "city", OrganizationKind.COUNTY, "organization.taken"),
        ("new", "nowhere", OrganizationKind.COUNTY, "organization.unknown"),
        ("new", "city", OrganizationKind.CITY, "organization.kind"),
        ("new", "acme", OrganizationKind.DEPARTMENT, "organization.kind"),
    ],
)
def test_organisations_are_checked(
    world: World, organization_id: str, parent: str, kind: OrganizationKind, code: str
) -> None:
    world.contractor()
    with refused(code):
        world.organization(organization_id, parent, kind)


def test_the_tree_has_a_bottom(world: World) -> None:
    parent = "city"
    for number in range(9):
        world.organization(f"d{number}", parent, OrganizationKind.DEPARTMENT)
        parent = f"d{number}"
    with refused("organization.deep"):
        world.organization("deeper", parent, OrganizationKind.DEPARTMENT)


def test_a_person_changed_while_the_password_was_hashed_is_refused(world: World) -> None:
    """The disabling lands between the proof and the decision: the write transaction looks again."""
    person = world.person("wang.fang")
    world.after(seconds=30)
    form = Form("wang.fang", PASSWORD, totp.code_at(person.secret, world.now), OFFICE, "")
    env = world.provider._env
    with world.database.read() as tx:
        tried = login._read(tx, env, form, world.now)
    proof = login.prove(env, tried.candidate, form.password, form.totp_code, world.now)
    assert proof.reason == ""
    world.provider.disable(person.id, reason="", actor=OPERATOR, now=world.now)
    with world.database.begin() as tx:
        assert login._decide(tx, env, tried, proof).session is None
    assert world.audited("login.failed")[0].reason == "account.changed"


def test_a_long_operator_name_fits(world: World) -> None:
    actor = replace(OPERATOR, account_id="cli:" + "x" * 80)
    person = world.person("wang.fang", [Role.INSPECTOR], actor=actor)
    world.provider.set_roles(person.id, [Role.SECURITY_OFFICER], actor=actor, now=world.now)
    world.provider.bind_certificate(person.id, "1f", "a" * 64, actor=actor, now=world.now)
    assert world.provider.certificates(person.id) == ["1f"]
