"""People: the list, adding somebody, invitation, roles, disabling, organisations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from identity.principal import Permission, Role
from identity.provider import OrganizationKind
from secops.api.problems import NotFound
from secops.console.tickets import organisation_names
from secops.console.visit import Page, Routes, member
from secops.errors import UserError

if TYPE_CHECKING:
    from starlette.responses import Response

    from identity.provider import Account
    from secops.console.visit import Visit

PAGE: Final = 50


def listing(visit: Visit) -> Response:
    """Accounts by username, and the form for a new one."""
    found = visit.service.identity.people(
        actor=visit.principal, search=visit.query("q", limit=100), limit=PAGE + 1, after=visit.query("after", limit=200)
    )
    return visit.page(
        "people.html",
        people=found[:PAGE],
        more=found[PAGE - 1].username if len(found) > PAGE else None,
        organisations=visit.service.identity.organizations(),
        names=organisation_names(visit),
        roles=Role,
        kinds=[kind for kind in OrganizationKind if kind is not OrganizationKind.CITY],
    )


def add(visit: Visit) -> Response:
    """Create an account and show its invitation link, this once."""
    account = visit.service.identity.add_person(
        username=visit.value("username", limit=200),
        display_name=visit.value("display_name", limit=200),
        organization_id=visit.value("organization", limit=100),
        roles=_roles(visit),
        actor=visit.principal,
        now=visit.now,
    )
    return _invited(visit, account)


def invite(visit: Visit) -> Response:
    """Make a new invitation link, which replaces the one before."""
    return _invited(visit, person_of(visit, Permission.PEOPLE_MANAGE))


def detail(visit: Visit) -> Response:
    """One person: roles, factors, certificates, sessions."""
    account = person_of(visit, Permission.PEOPLE_READ)
    authority, identity = visit.service.authority, visit.service.identity
    certificates = (
        authority.find(account_id=account.id, limit=50, now=visit.now)
        if visit.can(Permission.CERTIFICATES_READ)
        else []
    )
    return visit.page(
        "person.html",
        account=account,
        certificates=certificates,
        sessions=identity.sessions(account.id, visit.now),
        names=organisation_names(visit),
        roles=Role,
    )


def set_roles(visit: Visit) -> Response:
    """Replace the roles."""
    account = person_of(visit, Permission.ROLES_GRANT)
    visit.service.identity.set_roles(account.id, _roles(visit), actor=visit.principal, now=visit.now)
    return visit.to(f"/people/{account.id}", "person")


def disable(visit: Visit) -> Response:
    """Disable the account; every session ends."""
    account = person_of(visit, Permission.PEOPLE_MANAGE)
    reason = visit.value("reason", limit=500)
    if not reason:
        raise UserError("person.reason", "请写明停用原因。", "Say why the account is disabled.")
    visit.service.identity.disable(account.id, reason=reason, actor=visit.principal, now=visit.now)
    return visit.to(f"/people/{account.id}", "person")


def enable(visit: Visit) -> Response:
    """Enable the account again."""
    account = person_of(visit, Permission.PEOPLE_MANAGE)
    visit.service.identity.enable(account.id, actor=visit.principal, now=visit.now)
    return visit.to(f"/people/{account.id}", "person")


def reset(visit: Visit) -> Response:
    """Take the factors away (lost phone) and show a new invitation link."""
    account = person_of(visit, Permission.PEOPLE_MANAGE)
    return _invited(visit, visit.service.identity.reset_factors(account.id, actor=visit.principal, now=visit.now))


def end_sessions(visit: Visit) -> Response:
    """End every session of the person."""
    account = person_of(visit, Permission.PEOPLE_MANAGE)
    visit.service.identity.end_sessions(
        account.id, reason="ended by an administrator", actor=visit.principal, now=visit.now
    )
    return visit.to(f"/people/{account.id}", "person")


def add_organisation(visit: Visit) -> Response:
    """Add a county, department or contractor."""
    kind = member(OrganizationKind, visit.value("kind"))
    if kind is None:
        raise UserError("organization.kind", "请选择单位类型。", "Choose the kind of organisation.")
    visit.service.identity.add_organization(
        id=visit.value("id", limit=100),
        name_zh=visit.value("name_zh", limit=200),
        name_en=visit.value("name_en", limit=200),
        parent_id=visit.value("parent", limit=100),
        kind=kind,
        actor=visit.principal,
        now=visit.now,
    )
    return visit.to("/people", "person")


def person_of(visit: Visit, permission: Permission) -> Account:
    """The account of the address, if the visitor may do ``permission`` to it.

    Raises:
        NotFound: there is none, or it is not the visitor's to see.
    """
    account = visit.service.identity.account(visit.part("account_id")[:100])
    if account is None or not visit.can(Permission.PEOPLE_READ, visit.tenant(account.organization_id)):
        raise NotFound
    visit.need(permission, visit.tenant(account.organization_id))
    return account


def _roles(visit: Visit) -> list[Role]:
    return [role for text in visit.values("roles") if (role := member(Role, text)) is not None]


def _invited(visit: Visit, account: Account) -> Response:
    token = visit.service.identity.invitation(account.id, actor=visit.principal, now=visit.now)
    link = f"{visit.service.settings.issuer}/invite/{token}"
    return visit.page("invited.html", account=account, link=link)


ROUTES: Routes = (
    Page("GET", "/people", listing, Permission.PEOPLE_READ),
    Page("POST", "/people", add, Permission.PEOPLE_MANAGE),
    Page("POST", "/organizations", add_organisation, Permission.PEOPLE_MANAGE),
    Page("GET", "/people/{account_id}", detail, Permission.PEOPLE_READ),
    Page("POST", "/people/{account_id}/invite", invite, Permission.PEOPLE_MANAGE),
    Page("POST", "/people/{account_id}/roles", set_roles, Permission.ROLES_GRANT),
    Page("POST", "/people/{account_id}/disable", disable, Permission.PEOPLE_MANAGE),
    Page("POST", "/people/{account_id}/enable", enable, Permission.PEOPLE_MANAGE),
    Page("POST", "/people/{account_id}/reset", reset, Permission.PEOPLE_MANAGE),
    Page("POST", "/people/{account_id}/sessions/end", end_sessions, Permission.PEOPLE_MANAGE),
)
