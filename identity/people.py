"""What administrators do to accounts; every function asks ``can()`` and writes an audit record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import selectinload

from identity import organizations, sessions
from identity.accounts import (
    ACTIVE,
    DISABLED,
    account_of,
    administrators,
    audited,
    by_username,
    for_actor,
    keep_an_administrator,
    path_of,
    refuse_self,
    require,
    roles_of,
)
from identity.names import check_display_name, check_username
from identity.principal import ADMINISTRATORS, Permission, Resource, Role, conflict
from identity.provider import IdentityError, OrganizationKind
from identity.tables import AccountRoleRow, AccountRow, OrganizationRow, SessionRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.principal import Principal
    from identity.provider import Account

PAGE_MAXIMUM: Final = 500
_REASON_MAXIMUM: Final = 200
_ACTOR_MAXIMUM: Final = 32  # characters of granted_by; the command line's operator is not an account


class NewPerson(NamedTuple):
    """What an account is made of."""

    username: str
    display_name: str
    organization_id: str
    roles: frozenset[Role]


def add(tx: Tx, env: Environment, new: NewPerson, actor: Principal, now: datetime) -> Account:
    """Create an account without factors on behalf of ``actor``.

    Raises:
        IdentityError: permission.denied, username.invalid or .taken, name.invalid, roles.*, organization.unknown.
    """
    organizations.ensure_root(tx, env, now)  # the command line may come before the set-up
    organization = organizations.known(tx, new.organization_id)
    resource = Resource(organization_path=tuple(organization.path.split("/")))
    require(actor, Permission.PEOPLE_MANAGE, resource)
    if new.roles:
        require(actor, Permission.ROLES_GRANT, resource)
    row = create(tx, env, new, organization, granted_by=actor.account_id, now=now)
    detail = {"roles": sorted(new.roles), "display_name": row.display_name}
    audited(tx, env, row, "person.add", actor=actor.username, now=now, detail=detail)
    return account_of(row)


def create(
    tx: Tx, env: Environment, new: NewPerson, organization: OrganizationRow, *, granted_by: str, now: datetime
) -> AccountRow:
    """Store an account; whether somebody may do so is asked elsewhere."""
    check_roles(new.roles, organization)
    username = check_username(new.username)
    taken = IdentityError("username.taken", f"用户名 {username} 已被使用", f"The username {username} is taken")
    if by_username(tx, username) is not None:
        raise taken
    row = AccountRow(
        id=env.new_id(),
        username=username,
        display_name=check_display_name(new.display_name),
        organization_id=organization.id,
        status=ACTIVE,
        created_at=now,
        password_hash="",
        totp_sealed=b"",
        totp_last_step=0,
        organization=organization,
        roles=[
            AccountRoleRow(role=role, granted_by=granted_by[:_ACTOR_MAXIMUM], granted_at=now)
            for role in sorted(new.roles)
        ],
    )
    try:
        with tx.begin_nested():
            tx.add(row)
    except sa.exc.IntegrityError as error:  # somebody else took the name since we looked
        raise taken from error
    return row


def check_roles(roles: frozenset[Role], organization: OrganizationRow) -> None:
    """Refuse roles that one person must not hold together, or not in this organisation.

    Raises:
        IdentityError: roles.conflict or roles.contractor
    """
    why = conflict(roles)
    if why is not None:
        raise IdentityError("roles.conflict", *why)
    if Role.CONTRACTOR in roles and organization.kind != OrganizationKind.CONTRACTOR:
        raise IdentityError(
            "roles.contractor",
            f"运维服务商人员必须属于服务商单位，“{organization.name_zh}”不是服务商",
            f"A contractor's staff belong to an organisation of kind contractor; {organization.name_en} is not one",
        )


def set_roles(
    tx: Tx, env: Environment, account_id: str, roles: Iterable[Role], *, actor: Principal, now: datetime
) -> Account:
    """Replace an account's roles; administrators' roles need people.manage as well, and nobody changes his own."""
    able, wanted = administrators(tx), frozenset(roles)
    row = for_actor(tx, account_id, actor, Permission.ROLES_GRANT)
    refuse_self(row, actor)
    before = roles_of(row)
    if (before ^ wanted) & ADMINISTRATORS:
        require(actor, Permission.PEOPLE_MANAGE, Resource(organization_path=path_of(row)))
    check_roles(wanted, row.organization)
    if Role.SYSTEM_ADMIN in before - wanted:
        keep_an_administrator(row, able)
    row.roles = [granted for granted in row.roles if granted.role in wanted]
    row.roles += [
        AccountRoleRow(role=role, granted_by=actor.account_id[:_ACTOR_MAXIMUM], granted_at=now)
        for role in sorted(wanted - before)
    ]
    tx.flush()
    if before != wanted:
        detail = {"before": sorted(before), "after": sorted(wanted)}
        audited(tx, env, row, "person.roles", actor=actor.username, now=now, detail=detail)
        _end(tx, env, row, actor=actor, now=now)
    return account_of(row)


def disable(tx: Tx, env: Environment, account_id: str, *, reason: str, actor: Principal, now: datetime) -> Account:
    """Disable an account; its sessions end in the same transaction."""
    able = administrators(tx)
    row = for_actor(tx, account_id, actor, Permission.PEOPLE_MANAGE)
    if row.status == DISABLED:
        return account_of(row)
    keep_an_administrator(row, able)
    row.status = DISABLED
    audited(tx, env, row, "person.disable", actor=actor.username, now=now, reason=reason[:_REASON_MAXIMUM])
    _end(tx, env, row, actor=actor, now=now, why=sessions.End.ACCOUNT)
    return account_of(row)


def enable(tx: Tx, env: Environment, account_id: str, actor: Principal, now: datetime) -> Account:
    """Enable an account again; somebody who was disabled cannot do it himself."""
    row = for_actor(tx, account_id, actor, Permission.PEOPLE_MANAGE)
    refuse_self(row, actor)
    if row.status != ACTIVE:
        row.status = ACTIVE
        audited(tx, env, row, "person.enable", actor=actor.username, now=now)
    return account_of(row)


def reset_factors(tx: Tx, env: Environment, account_id: str, actor: Principal, now: datetime) -> Account:
    """Take password and TOTP away; the sessions end in the same transaction."""
    able = administrators(tx)
    row = for_actor(tx, account_id, actor, Permission.PEOPLE_MANAGE)
    refuse_self(row, actor)
    keep_an_administrator(row, able)
    row.password_hash, row.totp_sealed, row.totp_last_step = "", b"", 0
    audited(tx, env, row, "person.reset_factors", actor=actor.username, now=now)
    _end(tx, env, row, actor=actor, now=now)
    return account_of(row)


def _end(
    tx: Tx, env: Environment, row: AccountRow, *, actor: Principal, now: datetime, why: str = sessions.End.CHANGED
) -> None:
    sessions.end_in(tx, env, SessionRow.account_id == row.id, reason=why, actor=actor.username, now=now)


def page(tx: Tx, actor: Principal, search: str, limit: int, after: str) -> list[Account]:
    """List the accounts of the actor's own subtree, by username.

    Raises:
        IdentityError: permission.denied
    """
    require(actor, Permission.PEOPLE_READ, Resource(organization_path=actor.organization_path))
    visible = organizations.subtree(tx, actor.organization_path)
    query = sa.select(AccountRow).where(AccountRow.organization_id.in_(visible), AccountRow.username > after[:40])
    if search:
        text = search.strip()[:100]
        by_name = AccountRow.display_name.contains(text, autoescape=True)
        query = query.where(sa.or_(AccountRow.username.contains(text.lower(), autoescape=True), by_name))
    rows = tx.scalars(
        query.options(selectinload(AccountRow.roles))
        .order_by(AccountRow.username)
        .limit(min(max(limit, 1), PAGE_MAXIMUM))
    )
    return [account_of(row) for row in rows]
