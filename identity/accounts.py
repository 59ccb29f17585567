"""Rows of accounts and what the rest of the package makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from identity.principal import Principal, Resource, Role, can
from identity.provider import Account, IdentityError
from identity.tables import AccountRoleRow, AccountRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.principal import Permission

ACTIVE: Final = "active"
DISABLED: Final = "disabled"


def account_of(row: AccountRow) -> Account:
    """Give an account without its secrets."""
    status: Literal["active", "disabled"] = "active" if row.status == ACTIVE else "disabled"
    return Account(
        id=row.id,
        username=row.username,
        display_name=row.display_name,
        organization_id=row.organization_id,
        roles=roles_of(row),
        status=status,
        created_at=row.created_at,
        has_password=bool(row.password_hash),
        has_totp=bool(row.totp_sealed),
        last_login_at=row.last_login_at,
    )


def roles_of(row: AccountRow) -> frozenset[Role]:
    """Give the account's roles."""
    return frozenset(Role(granted.role) for granted in row.roles)


def principal_of(row: AccountRow, session_id: str) -> Principal:
    """Give the account as somebody who is logged in."""
    return Principal(
        account_id=row.id,
        username=row.username,
        display_name=row.display_name,
        organization_id=row.organization_id,
        organization_path=path_of(row),
        roles=roles_of(row),
        session_id=session_id,
    )


def path_of(row: AccountRow) -> tuple[str, ...]:
    """Give the path of the account's organisation."""
    return tuple(row.organization.path.split("/"))


def by_username(tx: Tx, username: str) -> AccountRow | None:
    """Find an account by its stored username."""
    return tx.scalar(sa.select(AccountRow).where(AccountRow.username == username)) if username else None


def locked(tx: Tx, account_id: str) -> AccountRow | None:
    """Read an account and hold it until the transaction ends."""
    query = sa.select(AccountRow).where(AccountRow.id == account_id[:32])
    return tx.scalar(query.with_for_update(of=AccountRow).execution_options(populate_existing=True))


def for_actor(tx: Tx, account_id: str, actor: Principal, permission: Permission) -> AccountRow:
    """Give the account that ``actor`` wants to change, held until the transaction ends.

    Raises:
        IdentityError: account.unknown (also when the actor may not see it) or permission.denied.
    """
    row = locked(tx, account_id)
    if row is None:
        raise IdentityError("account.unknown", "没有这个账号", "There is no such account")
    require(actor, permission, Resource(organization_path=path_of(row)))
    return row


def require(actor: Principal, permission: Permission, resource: Resource) -> None:
    """Refuse unless ``can()`` allows.

    Raises:
        IdentityError: permission.denied
    """
    decision = can(actor, permission, resource)
    if not decision:
        raise IdentityError(
            "permission.denied",
            f"您没有执行此操作的权限（{permission}）",
            f"You may not do this ({permission}): {decision.reason}",
        )


def refuse_self(row: AccountRow, actor: Principal) -> None:
    """Refuse an administrator's act on his own account.

    Raises:
        IdentityError: account.self
    """
    if row.id == actor.account_id:
        raise IdentityError(
            "account.self",
            "不能对自己的账号执行此操作，请由另一位管理员办理",
            "You cannot do this to your own account; another administrator has to",
        )


def administrators(tx: Tx) -> frozenset[str]:
    """Give the ids of the system administrators who can log in, held until the transaction ends.

    Whatever may take one away holds them all before its own account, in one order: two of them who disable each
    other at the same moment wait for one another instead of blocking each other.
    """
    holders = sa.select(AccountRoleRow.account_id).where(AccountRoleRow.role == Role.SYSTEM_ADMIN)
    able = sa.select(AccountRow.id).where(
        AccountRow.id.in_(holders),
        AccountRow.status == ACTIVE,
        AccountRow.password_hash != "",
        AccountRow.totp_sealed != b"",
    )
    return frozenset(tx.scalars(able.order_by(AccountRow.id).with_for_update(of=AccountRow)))


def keep_an_administrator(row: AccountRow, able: frozenset[str]) -> None:
    """Refuse what would leave nobody who can log in as system administrator; ``able`` is ``administrators(tx)``.

    Raises:
        IdentityError: account.last_administrator
    """
    if able == {row.id}:
        raise IdentityError(
            "account.last_administrator",
            "这是最后一位可登录的系统管理员，请先设立另一位",
            "This is the last system administrator who can log in; appoint another one first",
        )


def audited(
    tx: Tx,
    env: Environment,
    row: AccountRow,
    action: str,
    *,
    actor: str,
    now: datetime,
    source_ip: str = "",
    reason: str = "",
    detail: dict[str, Any] | None = None,
) -> None:
    """Record a successful act on an account."""
    env.audit(
        tx,
        at=now,
        actor=actor,
        action=action,
        target=row.username,
        tenant=row.organization_id,
        reason=reason,
        source_ip=source_ip,
        detail={"account_id": row.id, **(detail or {})},
    )
