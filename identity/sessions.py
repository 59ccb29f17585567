"""Logins that live on the server: the cookie's value opens one, the database knows only its SHA-256.

A session ends by logout, by its idle or absolute limit, when its account is disabled or changed, and when the certificate
that opened it is no longer good; the last two hold at the very next lookup.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from identity.accounts import ACTIVE, principal_of
from identity.environment import token_hash
from identity.provider import Session
from identity.tables import SessionRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.settings import IdentitySettings
    from identity.tables import AccountRow

GOOD: Final = "good"


class Means(NamedTuple):
    """How somebody logged in."""

    amr: tuple[str, ...]
    acr: str
    certificate_serial: str | None = None


class End(enum.StrEnum):
    """Why a session ended."""

    LOGOUT = "logout"
    IDLE = "idle"
    EXPIRED = "expired"
    ACCOUNT = "account_disabled"
    CERTIFICATE = "certificate_not_good"
    CHANGED = "account_changed"


def start(tx: Tx, env: Environment, account: AccountRow, means: Means, *, source_ip: str, now: datetime) -> Session:
    """Store a new session and give it with its token, which is shown this once."""
    token = env.new_token()
    row = SessionRow(
        id=env.new_id(),
        token_hash=token_hash(token),
        account_id=account.id,
        auth_time=now,
        last_seen_at=now,
        expires_at=now + env.settings.session_absolute,
        amr=" ".join(means.amr),
        acr=means.acr,
        certificate_serial=means.certificate_serial,
        source_ip=source_ip[:64],
        ended_at=None,
        account=account,
    )
    account.last_login_at = now
    tx.add(row)
    tx.flush()
    return session_of(row, token)


def look_up(env: Environment, wanted: sa.ColumnElement[bool], now: datetime, *, activity: bool) -> Session | None:
    """Give the live session that ``wanted`` selects; end it when something about it no longer holds."""
    with env.database.read() as tx:
        row = tx.scalar(sa.select(SessionRow).where(wanted, SessionRow.ended_at.is_(None)))
        if row is None:
            return None
        session, why, last_seen = session_of(row), over(row, env.settings, now), row.last_seen_at
    why = why or _certificate_over(env, session, now)  # outside of the transaction: the CA reads its own
    if why is not None:
        end(env, SessionRow.id == session.id, reason=why, actor="", now=now)
        return None
    if activity and now - last_seen >= env.settings.session_touch:
        _touch(env, session.id, now)
    return session


def over(row: SessionRow, settings: IdentitySettings, now: datetime) -> End | None:
    """Say why a session is over; None while it lives (its certificate is asked about elsewhere)."""
    if now >= row.expires_at:
        return End.EXPIRED
    if now - row.last_seen_at >= settings.session_idle:
        return End.IDLE
    return None if row.account.status == ACTIVE else End.ACCOUNT


def _certificate_over(env: Environment, session: Session, now: datetime) -> End | None:
    if session.certificate_serial is None:
        return None
    return None if env.certificate_status(session.certificate_serial, now) == GOOD else End.CERTIFICATE


def _touch(env: Environment, session_id: str, now: datetime) -> None:
    with env.database.begin() as tx:
        later = sa.update(SessionRow).where(SessionRow.id == session_id, SessionRow.last_seen_at < now)
        tx.execute(later.values(last_seen_at=now).execution_options(synchronize_session=False))


def end(env: Environment, wanted: sa.ColumnElement[bool], *, reason: str, actor: str, now: datetime) -> int:
    """End the live sessions that ``wanted`` selects, in a transaction of its own."""
    with env.database.begin() as tx:
        return end_in(tx, env, wanted, reason=reason, actor=actor, now=now)


def end_in(tx: Tx, env: Environment, wanted: sa.ColumnElement[bool], *, reason: str, actor: str, now: datetime) -> int:
    """End sessions in the caller's transaction, announce and record each; give how many there were.

    ``actor``: who ended them; "" when the session's own limits or its owner did.
    """
    live = sa.select(SessionRow).where(wanted, SessionRow.ended_at.is_(None)).order_by(SessionRow.id)
    rows = tx.scalars(live.with_for_update(of=SessionRow).execution_options(populate_existing=True)).all()
    for row in rows:
        row.ended_at, row.end_reason = now, reason[:40]
        env.on_session_end(tx, row.id, row.account_id, now)
        env.audit(
            tx,
            at=now,
            actor=actor or row.account.username,
            action="session.end",
            target=row.account.username,
            tenant=row.account.organization_id,
            reason=reason,
            detail={"session_id": row.id, "account_id": row.account_id},
        )
    return len(rows)


def live_of(tx: Tx, account_id: str, settings: IdentitySettings, now: datetime) -> list[Session]:
    """List an account's live sessions, newest first."""
    mine = sa.select(SessionRow).where(SessionRow.account_id == account_id, SessionRow.ended_at.is_(None))
    rows = tx.scalars(mine.order_by(SessionRow.auth_time.desc(), SessionRow.id))
    return [session_of(row) for row in rows if over(row, settings, now) is None]


def overdue(settings: IdentitySettings, now: datetime) -> sa.ColumnElement[bool]:
    """Select the sessions over their limits, for the sweep that lets relying parties know."""
    return sa.or_(SessionRow.expires_at <= now, SessionRow.last_seen_at <= now - settings.session_idle)


def session_of(row: SessionRow, token: str = "") -> Session:
    """Give a row as the value others see."""
    return Session(
        id=row.id,
        token=token,
        account_id=row.account_id,
        principal=principal_of(row.account, row.id),
        auth_time=row.auth_time,
        amr=tuple(row.amr.split()),
        acr=row.acr,
        expires_at=row.expires_at,
        certificate_serial=row.certificate_serial,
        source_ip=row.source_ip,
    )
