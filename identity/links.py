"""One-time links: the set-up of the first administrator, and invitations with which a person sets the factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from identity import organizations, people, sessions, totp
from identity.accounts import ACTIVE, account_of, audited, for_actor, locked, refuse_self
from identity.environment import token_hash
from identity.principal import Permission, Role
from identity.provider import IdentityError
from identity.tables import AccountRow, LinkRow, SessionRow
from identity.weakness import check_password

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.principal import Principal
    from identity.provider import Account

SETUP: Final = "setup"
INVITATION: Final = "invitation"


class Factors(NamedTuple):
    """What a person chose: a password, and a TOTP secret with a code that shows it is in the authenticator."""

    password: str
    totp_secret: str
    totp_code: str


class Ready(NamedTuple):
    """Factors that were checked, in the form that is stored."""

    password_hash: str
    totp_secret: str
    totp_step: int


def setup_token(tx: Tx, env: Environment, now: datetime) -> str | None:
    """Make the set-up link's token; None as soon as there is an account."""
    organizations.ensure_root(tx, env, now)
    return None if _is_set_up(tx) else _new_link(tx, env, SETUP, "", expires_at=None, now=now)


def is_setup_link(tx: Tx, token: str, now: datetime) -> bool:
    """Tell whether the token opens the set-up."""
    return not _is_set_up(tx) and _valid(tx, token, SETUP, now) is not None


def complete_setup(
    env: Environment, token: str, person: people.NewPerson, factors: Factors, *, source_ip: str, now: datetime
) -> Account:
    """Create the first system administrator and use the link up."""
    with env.database.read() as tx:
        if not is_setup_link(tx, token, now):
            raise _invalid_link()
    ready = prepare(env, factors, [person.username, person.display_name], now)
    with env.database.begin() as tx:
        link = _valid(tx, token, SETUP, now, lock=True)
        if link is None or _is_set_up(tx):
            raise _invalid_link()
        root = organizations.ensure_root(tx, env, now)
        row = people.create(tx, env, person, root, granted_by=SETUP, now=now)
        _store(env, row, ready, now)
        tx.delete(link)
        detail = {"roles": [Role.SYSTEM_ADMIN.value], "display_name": row.display_name}
        audited(tx, env, row, "setup.complete", actor=row.username, now=now, source_ip=source_ip, detail=detail)
        return account_of(row)


def invite(tx: Tx, env: Environment, account_id: str, actor: Principal, now: datetime) -> str:
    """Make an invitation's token; an earlier one stops working."""
    row = for_actor(tx, account_id, actor, Permission.PEOPLE_MANAGE)
    refuse_self(row, actor)
    if row.status != ACTIVE:
        raise IdentityError("account.disabled", "该账号已停用，请先启用", "This account is disabled; enable it first")
    audited(tx, env, row, "person.invite", actor=actor.username, now=now)
    return _new_link(tx, env, INVITATION, row.id, expires_at=now + env.settings.invitation_lifetime, now=now)


def invited(tx: Tx, token: str, now: datetime) -> AccountRow | None:
    """Give the account that an invitation is for; None when it does not work (any more)."""
    link = _valid(tx, token, INVITATION, now)
    row = tx.get(AccountRow, link.account_id) if link is not None else None
    return row if row is not None and row.status == ACTIVE else None


def complete_invitation(env: Environment, token: str, factors: Factors, *, source_ip: str, now: datetime) -> Account:
    """Set the person's factors, end what sessions there were, and use the link up."""
    with env.database.read() as tx:
        row = invited(tx, token, now)
        about = [row.username, row.display_name, row.organization_id] if row else []
    if row is None:
        raise _invalid_link()
    ready = prepare(env, factors, about, now)
    with env.database.begin() as tx:
        link = _valid(tx, token, INVITATION, now, lock=True)
        account = locked(tx, link.account_id) if link is not None else None
        if link is None or account is None or account.status != ACTIVE:
            raise _invalid_link()
        _store(env, account, ready, now)
        tx.delete(link)
        audited(tx, env, account, "person.enrol", actor=account.username, now=now, source_ip=source_ip)
        mine, changed = SessionRow.account_id == account.id, sessions.End.CHANGED
        sessions.end_in(tx, env, mine, reason=changed, actor=account.username, now=now)
        return account_of(account)


def prepare(env: Environment, factors: Factors, about: list[str], now: datetime) -> Ready:
    """Check new factors and hash the password, outside of any transaction.

    Raises:
        IdentityError: password.short, .weak or .invalid, totp.secret, totp.wrong
    """
    check_password(factors.password, about=about, settings=env.settings)
    secret = totp.check_secret(factors.totp_secret)
    drift = env.settings.totp_drift_steps
    verdict = totp.verify(secret, factors.totp_code, now=now, last_step=0, drift=drift)
    if verdict.reason:
        raise IdentityError(
            "totp.wrong",
            "动态口令不正确，请检查手机时间并输入当前显示的 6 位数字",
            "The code is not right; check the phone's clock and enter the 6 digits it shows now",
        )
    return Ready(env.hasher.hash(factors.password), secret, verdict.step)


def _store(env: Environment, row: AccountRow, ready: Ready, now: datetime) -> None:
    row.password_hash, row.password_changed_at = ready.password_hash, now
    row.totp_sealed = env.box.seal(ready.totp_secret.encode(), row.id.encode())
    row.totp_last_step = ready.totp_step  # the code just shown is used up (RFC 6238 section 5.2)


def _new_link(
    tx: Tx, env: Environment, kind: str, account_id: str, *, expires_at: datetime | None, now: datetime
) -> str:
    token = env.new_token()
    tx.execute(sa.delete(LinkRow).where(LinkRow.kind == kind, LinkRow.account_id == account_id))
    row = LinkRow(token_hash=token_hash(token), kind=kind, account_id=account_id, created_at=now, expires_at=expires_at)
    tx.add(row)
    tx.flush()
    return token


def _valid(tx: Tx, token: str, kind: str, now: datetime, *, lock: bool = False) -> LinkRow | None:
    query = sa.select(LinkRow).where(LinkRow.token_hash == token_hash(token), LinkRow.kind == kind)
    row = tx.scalar(query.with_for_update() if lock else query)
    return None if row is None or (row.expires_at is not None and now >= row.expires_at) else row


def _is_set_up(tx: Tx) -> bool:
    return tx.scalar(sa.select(AccountRow.id).limit(1)) is not None


def _invalid_link() -> IdentityError:
    return IdentityError(
        "link.invalid",
        "此链接无效、已使用或已过期，请向系统管理员索取新的链接",
        "This link is not valid, was used already or has expired; ask the system administrator for a new one",
    )
