"""Login with username, password and time-based code: one form, one answer.

An attempt is looked at in three steps. Read: where it comes from, and whether it has to wait. Prove: the hash and the
codes are computed outside of any transaction, with the same work for a name that nobody has. Decide: in one write
transaction that holds the counters, so that a hundred attempts at once are worth no more than one after the other.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from identity import places, sessions, throttle, totp
from identity.accounts import ACTIVE, audited, locked
from identity.names import login_name
from identity.provider import ACR_PASSWORD_TOTP, AMR_PASSWORD_TOTP, Login
from identity.secretbox import SealError
from identity.tables import AccountRow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.throttle import Attempt, Counter, Key

NOBODY: Final = "(not a username)"
_DUMMY_SECRET: Final = "A" * 32
WRONG: Final = Login(
    session=None,
    reason_zh="用户名、密码或动态口令不正确；每个动态口令只能使用一次",
    reason_en="Username, password or code is not right; each code works only once",
)


class Form(NamedTuple):
    """What came with the form."""

    username: str
    password: str
    totp_code: str
    source_ip: str
    device: str


class Candidate(NamedTuple):
    """What is on file for the typed name; all empty for a name that nobody has."""

    account_id: str = ""
    organization_id: str = ""
    status: str = ""
    password_hash: str = ""
    totp_sealed: bytes = b""
    totp_last_step: int = 0


class Proof(NamedTuple):
    """What the factors came to: the reason is empty when all of them are right."""

    reason: str
    step: int
    new_hash: str


class Try(NamedTuple):
    """One attempt: what came, whom it names, from where, when."""

    form: Form
    username: str  # "" when what was typed cannot be a username
    candidate: Candidate
    attempt: Attempt
    now: datetime


def login_password(env: Environment, form: Form, now: datetime) -> Login:
    """Try to log in; the answer never says which of the three was wrong, the audit trail does."""
    with env.database.read() as tx:
        tried = _read(tx, env, form, now)
        waiting = throttle.wait(tried.attempt, places.counters(tx, throttle.keys(tried.attempt)), env.settings, now)
    proof = None if waiting else prove(env, tried.candidate, form.password, form.totp_code, now)
    with env.database.begin() as tx:
        return _decide(tx, env, tried, proof)


def _read(tx: Tx, env: Environment, form: Form, now: datetime) -> Try:
    username = login_name(form.username)
    candidate = _candidate(tx, username)
    attempt = places.attempt(
        tx,
        username or form.username[:200],
        candidate.account_id,
        source_ip=form.source_ip,
        device=form.device,
        settings=env.settings,
        now=now,
    )
    return Try(form, username, candidate, attempt, now)


def _candidate(tx: Tx, username: str) -> Candidate:
    """Read one row of columns: as much work for a name that nobody has."""
    found = tx.execute(
        sa.select(
            AccountRow.id,
            AccountRow.organization_id,
            AccountRow.status,
            AccountRow.password_hash,
            AccountRow.totp_sealed,
            AccountRow.totp_last_step,
        ).where(AccountRow.username == username)
    ).one_or_none()
    return Candidate(*found) if found is not None else Candidate()


def prove(env: Environment, candidate: Candidate, password: str, code: str, now: datetime) -> Proof:
    """Check every factor, whatever the others came to."""
    secret, unreadable = _secret(env, candidate)
    drift = env.settings.totp_drift_steps
    verdict = totp.verify(secret, code, now=now, last_step=candidate.totp_last_step, drift=drift)
    verification = env.hasher.verify(candidate.password_hash, password)
    reasons = (
        (not candidate.account_id, "account.unknown"),
        (not (candidate.password_hash and candidate.totp_sealed), "account.no_factors"),
        (not verification.right, "password.wrong"),
        (unreadable, "totp.unreadable"),
        (bool(verdict.reason), verdict.reason),
        (candidate.status != ACTIVE, "account.disabled"),
    )
    return Proof(next((reason for wrong, reason in reasons if wrong), ""), verdict.step, verification.new_hash)


def _secret(env: Environment, candidate: Candidate) -> tuple[str, bool]:
    """Open the TOTP secret; an account without one gets a dummy, one sealed with another key is unreadable."""
    if not candidate.totp_sealed:
        return _DUMMY_SECRET, False
    try:
        return env.box.open(candidate.totp_sealed, candidate.account_id.encode()).decode(), False
    except SealError:
        return _DUMMY_SECRET, True


def _decide(tx: Tx, env: Environment, tried: Try, proof: Proof | None) -> Login:
    counters = places.lock(tx, throttle.keys(tried.attempt), tried.now)
    waiting = throttle.wait(tried.attempt, counters, env.settings, tried.now)
    if waiting or proof is None:
        return _turn_away(tx, env, tried, counters, waiting)
    account = None if proof.reason else locked(tx, tried.candidate.account_id)
    reason = proof.reason or _changed_meanwhile(account, tried.candidate, proof)
    if reason or account is None:
        failed = {key: throttle.after_failure(counters[key], key.scope, env.settings, tried.now) for key in counters}
        places.store(tx, failed)
        _audit_failure(tx, env, tried, "login.failed", reason)
        return WRONG
    places.clear(tx, [*throttle.forgiven(tried.attempt), *(key for key in counters if counters[key].level <= 0)])
    return _accept(tx, env, tried, account, proof)


def _changed_meanwhile(account: AccountRow | None, candidate: Candidate, proof: Proof) -> str:
    """Say what another login or an administrator changed between the reading and the decision."""
    if account is None or account.status != ACTIVE or account.password_hash != candidate.password_hash:
        return "account.changed"
    return "totp.replayed" if account.totp_last_step >= proof.step else ""


def _accept(tx: Tx, env: Environment, tried: Try, account: AccountRow, proof: Proof) -> Login:
    account.totp_last_step = proof.step
    account.password_hash = proof.new_hash or account.password_hash
    known_places = places.on_file(tx, account.id)
    places.remember(tx, account.id, tried.attempt, env.settings, tried.now)
    means = sessions.Means(AMR_PASSWORD_TOTP, ACR_PASSWORD_TOTP)
    session = sessions.start(tx, env, account, means, source_ip=tried.form.source_ip, now=tried.now)
    detail: dict[str, Any] = {
        "method": "password",
        "session_id": session.id,
        "known_network": tried.attempt.known_network,
        "known_device": tried.attempt.known_device,
        "known_places": known_places,
        "rehashed": bool(proof.new_hash),
    }
    audited(
        tx,
        env,
        account,
        "login.succeeded",
        actor=account.username,
        now=tried.now,
        source_ip=tried.form.source_ip,
        detail=detail,
    )
    return Login(session=session)


def _turn_away(tx: Tx, env: Environment, tried: Try, counters: Mapping[Key, Counter], waiting: timedelta) -> Login:
    """Refuse an attempt unseen: it is counted, and recorded at each doubling, so a flood cannot fill the trail."""
    key = throttle.blocking(tried.attempt, counters, env.settings, tried.now)
    refused = counters[key].refused + 1
    places.store(tx, {key: counters[key]._replace(refused=refused)})
    if refused & (refused - 1) == 0:
        _audit_failure(tx, env, tried, "login.refused", f"throttled.{key.scope}", refused=refused)
    seconds = max(math.ceil(waiting.total_seconds()), 1)
    return Login(
        session=None,
        reason_zh=f"尝试次数过多，请在 {seconds} 秒后重试",
        reason_en=f"Too many attempts; try again in {seconds} seconds",
        retry_after=seconds,
    )


def _audit_failure(tx: Tx, env: Environment, tried: Try, action: str, reason: str, **detail: object) -> None:
    name = tried.username or NOBODY
    env.audit(
        tx,
        at=tried.now,
        actor=name,
        action=action,
        outcome="failure",
        target=name,
        tenant=tried.candidate.organization_id,
        reason=reason,
        source_ip=tried.form.source_ip,
        detail={"method": "password", "account_id": tried.candidate.account_id, **detail},
    )
