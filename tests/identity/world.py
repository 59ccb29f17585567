"""A whole small city: the real provider over a real database, with a clock that the test moves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from identity import totp
from identity.embedded import EmbeddedProvider
from identity.principal import Principal, Role, operator
from identity.provider import Account, Login, OrganizationKind, Session
from identity.secretbox import AesGcmBox
from identity.settings import IdentitySettings
from secops import audit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session as Tx

    from secops.db import Database

CHEAP = IdentitySettings(argon2_memory_kib=8, argon2_time_cost=1)
PASSWORD = "moss kettle orbit lamp"
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OFFICE = "10.1.2.3"
ELSEWHERE = "203.0.113.9"
OPERATOR = operator("test")


@dataclass
class Person:
    account: Account
    secret: str
    password: str = PASSWORD

    @property
    def id(self) -> str:
        return self.account.id


@dataclass
class World:
    database: Database
    settings: IdentitySettings = CHEAP
    now: datetime = START
    certificates: dict[str, str] = field(default_factory=dict)  # serial -> state
    ended: list[str] = field(default_factory=list)  # ids of sessions whose end was announced
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        self.provider = self.open()

    def open(self, settings: IdentitySettings | None = None) -> EmbeddedProvider:
        """Another process over the same database."""
        return EmbeddedProvider(
            self.database,
            settings or self.settings,
            audit=audit.record,
            certificate_status=self._status,
            box=AesGcmBox(self.key),
            on_session_end=self._session_ended,
        )

    def _status(self, serial: str, now: datetime) -> str:
        assert now == self.now
        return self.certificates.get(serial, "unknown")

    def _session_ended(self, tx: Tx, session_id: str, account_id: str, now: datetime) -> None:
        assert tx.in_transaction()
        assert (account_id, now) != ("", None)
        self.ended.append(session_id)

    def after(self, **time: float) -> datetime:
        self.now += timedelta(**time)
        return self.now

    def set_up(self, username: str = "admin.li") -> Person:
        token = self.provider.setup_token(self.now)
        assert token is not None
        secret = totp.new_secret(secrets.token_bytes)
        account = self.provider.complete_setup(
            token,
            username=username,
            display_name="李管理",
            password=PASSWORD,
            totp_secret=secret,
            totp_code=totp.code_at(secret, self.now),
            source_ip=OFFICE,
            now=self.now,
        )
        return Person(account, secret)

    def contractor(self, organization_id: str = "acme") -> str:
        if self.provider.organization(organization_id) is None:
            self.organization(organization_id, "city", OrganizationKind.CONTRACTOR)
        return organization_id

    def organization(self, organization_id: str, parent: str, kind: OrganizationKind) -> None:
        self.provider.add_organization(
            id=organization_id,
            name_zh=organization_id,
            name_en=organization_id,
            parent_id=parent,
            kind=kind,
            actor=OPERATOR,
            now=self.now,
        )

    def person(
        self, username: str, roles: Iterable[Role] = (), organization: str = "city", actor: Principal = OPERATOR
    ) -> Person:
        """Somebody with both factors."""
        account = self.provider.add_person(
            username=username,
            display_name=username,
            organization_id=organization,
            roles=roles,
            actor=actor,
            now=self.now,
        )
        return self.enrol(self.provider.invitation(account.id, actor=actor, now=self.now))

    def enrol(self, token: str, password: str = PASSWORD) -> Person:
        secret = totp.new_secret(secrets.token_bytes)
        account = self.provider.complete_invitation(
            token,
            password=password,
            totp_secret=secret,
            totp_code=totp.code_at(secret, self.now),
            source_ip=OFFICE,
            now=self.now,
        )
        return Person(account, secret, password)

    def try_login(
        self,
        username: str,
        password: str = "wrong",
        code: str = "000000",
        *,
        ip: str = OFFICE,
        device: str = "",
        provider: EmbeddedProvider | None = None,
    ) -> Login:
        return (provider or self.provider).login_password(
            username, password, code, source_ip=ip, device=device, now=self.now
        )

    def good_login(
        self, person: Person, *, ip: str = OFFICE, device: str = "", provider: EmbeddedProvider | None = None
    ) -> Login:
        """All three values right, with a code that was not used yet (the clock moves one step)."""
        self.after(seconds=30)
        code = totp.code_at(person.secret, self.now)
        return self.try_login(person.account.username, person.password, code, ip=ip, device=device, provider=provider)

    def log_in(self, person: Person, *, ip: str = OFFICE, device: str = "") -> Session:
        login = self.good_login(person, ip=ip, device=device)
        assert login.session is not None, login.reason_en
        return login.session

    def principal(self, person: Person) -> Principal:
        return self.log_in(person).principal

    def audited(self, action: str) -> list[audit.AuditRow]:
        with self.database.read() as tx:
            query = sa.select(audit.AuditRow).where(audit.AuditRow.action == action).order_by(audit.AuditRow.id)
            return list(tx.scalars(query))


def client_certificate(
    *,
    usages: Iterable[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    serial: int | None = None,
    start: datetime = START - timedelta(days=1),
    days: int = 30,
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "王芳")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
    return builder.sign(key, hashes.SHA256())


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex()
