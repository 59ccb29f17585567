"""Login by certificate: the TLS layer proved possession of the key; here it is decided whose certificate it is.

The certificate is pinned: its SHA-256 fingerprint was bound to one account when it was issued. Then its own contents, the
account, and the CA's present word on it are asked, in this order; only a ``good`` opens a session.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from identity import sessions
from identity.accounts import ACTIVE, audited, for_actor, locked
from identity.principal import Permission
from identity.provider import ACR_CERTIFICATE, AMR_CERTIFICATE, IdentityError, Login
from identity.tables import AccountRow, CertificateBindingRow

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session as Tx

    from identity.environment import Environment
    from identity.principal import Principal

_DER_MAXIMUM: Final = 65_536
_SERIAL: Final = re.compile(r"[0-9A-Fa-f]{1,64}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")

REFUSED: Final = Login(
    session=None,
    reason_zh="此证书不能登录，请与系统管理员联系",
    reason_en="This certificate cannot log in; ask your system administrator",
)


class Facts(NamedTuple):
    """What a certificate says, as far as a login asks."""

    serial: int
    fingerprint: str
    reason: str  # why it cannot log in whoever holds it; empty when it can


def login_certificate(env: Environment, der: bytes, *, source_ip: str, now: datetime) -> Login:
    """Log in the holder of a certificate; the answer does not say what was wrong with it, the audit trail does."""
    facts = read(der, now)
    with env.database.read() as tx:
        binding = tx.get(CertificateBindingRow, facts.fingerprint)
        reason = facts.reason or _mismatch(binding, facts)
    if not reason and binding is not None:
        state = env.certificate_status(binding.serial, now)  # outside of a transaction: the CA reads its own
        reason = "" if state == sessions.GOOD else f"certificate.{state}"
    with env.database.begin() as tx:
        account = locked(tx, binding.account_id) if binding is not None else None
        if not reason and (account is None or account.status != ACTIVE):
            reason = "account.disabled"
        if reason or account is None or binding is None:
            _audit_failure(tx, env, facts, account, reason=reason, source_ip=source_ip, now=now)
            return REFUSED
        return _accept(tx, env, account, binding, source_ip=source_ip, now=now)


def read(der: bytes, now: datetime) -> Facts:
    """Read a certificate from the wire; never raises."""
    fingerprint = hashlib.sha256(der).hexdigest()
    if not 0 < len(der) <= _DER_MAXIMUM:
        return Facts(0, fingerprint, "certificate.malformed")
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Facts(certificate.serial_number, fingerprint, _unfit(certificate, now))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return Facts(0, fingerprint, "certificate.malformed")


def _unfit(certificate: x509.Certificate, now: datetime) -> str:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return "certificate.expired"
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "certificate.no_client_auth"
    return "" if ExtendedKeyUsageOID.CLIENT_AUTH in usage else "certificate.no_client_auth"


def _mismatch(binding: CertificateBindingRow | None, facts: Facts) -> str:
    if binding is None:
        return "certificate.not_bound"
    same = hmac.compare_digest(f"{int(binding.serial, 16):x}", f"{facts.serial:x}")
    return "" if same else "certificate.not_bound"


def _accept(
    tx: Tx, env: Environment, account: AccountRow, binding: CertificateBindingRow, *, source_ip: str, now: datetime
) -> Login:
    means = sessions.Means(AMR_CERTIFICATE, ACR_CERTIFICATE, binding.serial)
    session = sessions.start(tx, env, account, means, source_ip=source_ip, now=now)
    audited(
        tx,
        env,
        account,
        "login.succeeded",
        actor=account.username,
        now=now,
        source_ip=source_ip,
        detail={"method": "certificate", "session_id": session.id, "serial": binding.serial},
    )
    return Login(session=session)


def _audit_failure(
    tx: Tx,
    env: Environment,
    facts: Facts,
    account: AccountRow | None,
    *,
    reason: str,
    source_ip: str,
    now: datetime,
) -> None:
    env.audit(
        tx,
        at=now,
        actor=account.username if account else "",
        action="login.failed",
        outcome="failure",
        target=account.username if account else "",
        tenant=account.organization_id if account else "",
        reason=reason,
        source_ip=source_ip,
        detail={"method": "certificate", "serial": f"{facts.serial:x}", "fingerprint": facts.fingerprint},
    )


def bind(
    tx: Tx, env: Environment, account_id: str, serial: str, fingerprint: str, *, actor: Principal, now: datetime
) -> None:
    """Let a certificate log in as an account.

    Raises:
        IdentityError: permission.denied, account.unknown, certificate.invalid, certificate.bound (to somebody else).
    """
    pinned = fingerprint.replace(":", "").lower()
    if not (_SERIAL.fullmatch(serial) and _FINGERPRINT.fullmatch(pinned)):
        raise IdentityError(
            "certificate.invalid",
            "证书序列号或 SHA-256 指纹的格式不正确",
            "The serial must be hexadecimal and the fingerprint a SHA-256 in hexadecimal",
        )
    account = for_actor(tx, account_id, actor, Permission.CERTIFICATES_ISSUE)
    bound = tx.get(CertificateBindingRow, pinned)
    if bound is not None and bound.account_id != account.id:
        raise IdentityError(
            "certificate.bound", "该证书已绑定到另一个账号", "This certificate is bound to another account"
        )
    if bound is not None:
        return
    tx.add(
        CertificateBindingRow(
            fingerprint=pinned, serial=serial, account_id=account.id, bound_at=now, bound_by=actor.account_id[:32]
        )
    )
    detail = {"serial": serial, "fingerprint": pinned}
    audited(tx, env, account, "certificate.bind", actor=actor.username, now=now, detail=detail)


def serials_of(tx: Tx, account_id: str) -> list[str]:
    """Give the serials bound to an account, newest first."""
    mine = sa.select(CertificateBindingRow.serial).where(CertificateBindingRow.account_id == account_id)
    return list(tx.scalars(mine.order_by(CertificateBindingRow.bound_at.desc(), CertificateBindingRow.serial)))
