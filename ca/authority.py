"""The certificate authority: vet, record, lint, sign, publish, in that order.

What is about to be signed is committed to the books before the signature is made. Should the machine stop between the
two, the books hold a serial that can be revoked; no certificate ever exists of which the books know nothing.
"""

from __future__ import annotations

import fcntl
import secrets
import shutil
import threading
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from ca import building, ledger, revocation, vetting
from ca.errors import CaError
from ca.issuance import Issuance, new_serial
from ca.profiles import Profile, Profiles, read_profiles
from ca.requests import (
    CertificateRow,
    CertificateState,
    Issued,
    ManifestSignature,
    Request,
    Subject,
    Transactions,
)
from ca.responder import Responder
from ca.signer import Signer, write_file
from ca.stamping import Stamper
from ca.together import Together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from ca.settings import Settings

__all__ = [
    "Authority",
    "CaError",
    "CertificateRow",
    "CertificateState",
    "Issued",
    "ManifestSignature",
    "Request",
    "Subject",
    "Transactions",
]

_ROOT_CRL_DAYS = 366  # the root is offline: once a year somebody fetches it
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_OFFLINE_README = """\
根证书私钥 / The root key
=========================

本目录中的 root.key 与 root.passphrase 是整个证书体系的信任根。日常运行不需要它们。
请立即把整个 offline 目录移到不联网的介质（例如两只分别存放于保险柜的 U 盘），并从本机删除。
只有在签发新的签发 CA 证书或更新根吊销列表（每年一次）时，才需要临时放回。
丢失：无法更换签发 CA，只能重建整个体系。泄露：必须重建整个体系并更换所有证书。

root.key and root.passphrase in this folder are the root of trust of the whole system. Daily work does not need them.
Move the whole offline folder to media that are not connected (say, two memory sticks in two safes) and delete it here.
It comes back for an hour only to certify a new issuing authority or to renew the root's revocation list (once a year).
Lost: the issuing authority cannot be replaced and everything must be set up anew. Stolen: the same, at once.
"""


class Authority:
    """An open authority; make one with ``Authority.open`` or ``Authority.initialise``. Safe to use from many threads."""

    def __init__(self, directory: Path, database: Transactions, settings: Settings) -> None:
        """Load certificates and the issuing key; use ``open``, which says what is missing."""
        self._directory = directory
        self._database = database
        self._books = Together(database)
        self._settings = settings
        self._profiles: Profiles = read_profiles()
        self._root = _read_certificate(directory / "root.pem")
        self._issuing = _read_certificate(directory / "issuing.pem")
        self._issuing_key = Signer.load(directory, "issuing")
        if self._issuing_key.public_key() != self._issuing.public_key():
            raise _damaged(directory / "issuing.key", "it does not belong to issuing.pem")
        self._lint_key = Signer.generate()  # signs what is linted; nobody trusts it and it dies with the process
        self._issuer_sha256 = building.key_sha256(self._issuing_key.public_key())
        self._crls = revocation.CrlIssuer(self._issuing, self._issuing_key, self._issuer_sha256, settings)
        self._own: dict[str, tuple[Signer, x509.Certificate]] = {}
        self._own_lock = threading.Lock()
        self._responder = Responder(database, settings, self._issuing, partial(self._own_credentials, "ocsp"))
        self._stamper = Stamper(database, settings, self._issuing, partial(self._own_credentials, "timestamp"))

    @staticmethod
    def exists(directory: Path) -> bool:
        """Say whether ``directory`` holds an initialised authority."""
        return (directory / "issuing.pem").exists()

    @classmethod
    def open(cls, directory: Path, database: Transactions, settings: Settings, *, now: datetime) -> Authority:
        """Open an authority that was initialised; the offline folder is not needed.

        Raises:
            CaError: ``ca.missing``, ``ca.key`` or ``ca.damaged``, with what to do.
        """
        if not cls.exists(directory):
            raise CaError(
                "ca.missing",
                f"{directory} 中没有 CA；请先运行 secops ca init",
                f"there is no authority in {directory}; run: secops ca init",
            )
        authority = cls(directory, database, settings)
        authority._renew_due(now)
        return authority

    @classmethod
    def initialise(cls, directory: Path, database: Transactions, settings: Settings, *, now: datetime) -> Authority:
        """Make the root (key in ``directory/offline``), the issuing authority and its OCSP and evidence certificates.

        Everything is made in a folder beside ``directory`` which takes its name at the end: an authority is whole or
        not there.

        Raises:
            CaError: ``ca.exists``, something is in the directory already.
        """
        if directory.exists() and any(directory.iterdir()):
            raise CaError(
                "ca.exists",
                f"{directory} 不为空，不会覆盖已有的 CA",
                f"{directory} is not empty; an authority is never replaced",
            )
        partial = directory.with_name(f"{directory.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        (partial / "offline").mkdir(parents=True, mode=0o700)
        partial.chmod(0o700)
        write_file(partial / "offline" / "README.txt", _OFFLINE_README.encode(), mode=0o600)
        _found(partial, database, settings, now)
        partial.replace(directory)
        return cls.open(directory, database, settings, now=now)

    def issue(self, request: Request, *, requested_by: str, approved_by: str, now: datetime) -> Issued:
        """Certify the key of ``request.csr_pem`` for the vetted subject.

        Raises:
            CaError: ``ca.request``, ``ca.csr``, ``ca.lint``, ``ca.clock``; nothing was signed.
        """
        profile = self._vet(request)
        key = vetting.key_of_csr(request.csr_pem, profile)
        certificate = self._certify(request, key, requested_by=requested_by, approved_by=approved_by, now=now)
        return self._issued(certificate)

    def issue_pkcs12(
        self, request: Request, *, requested_by: str, approved_by: str, now: datetime
    ) -> tuple[Issued, bytes, str]:
        """Make a key, certify it, and give (issued, PKCS #12 file, its password); the key is not kept anywhere.

        Raises:
            CaError: as ``issue``.
        """
        self._vet(request)
        signer = Signer.generate()
        certificate = self._certify(
            request, signer.public_key(), requested_by=requested_by, approved_by=approved_by, now=now
        )
        password = secrets.token_urlsafe(12)
        chain = [certificate, self._issuing, self._root]
        return self._issued(certificate), signer.pkcs12(request.subject.common_name, chain, password.encode()), password

    def revoke(self, serial: str, *, reason: str, actor: str, now: datetime) -> CertificateState:
        """Revoke for a CRLReason of RFC 5280 by name (keyCompromise, cessationOfOperation, ...); final.

        Raises:
            CaError: ``ca.serial`` for a serial that was never recorded, ``ca.reason`` for an unknown reason.
        """
        serial = ledger.normal_serial(serial)
        with self._database.begin() as tx:
            ledger.revoke(tx, serial, reason=reason, actor=actor, now=now)
            tx.flush()
            state = ledger.state(tx, serial, now)
        self._responder.forget()
        return state

    def status(self, serial: str, now: datetime) -> CertificateState:
        """Say what holds for a serial (hexadecimal); one indexed look-up, fit for every request of a session."""
        with self._database.read() as tx:
            return ledger.state(tx, ledger.normal_serial(serial), now)

    def find(
        self, *, account_id: str | None = None, search: str = "", limit: int = 50, after: str = "", now: datetime
    ) -> list[CertificateRow]:
        """List newest first; ``after`` is the serial that ended the page before; ``search`` looks in names and serials."""
        with self._database.read() as tx:
            return ledger.find(tx, account_id=account_id, search=search, limit=limit, after=after, now=now)

    def crl(self, now: datetime) -> bytes:
        """Give the current CRL (DER), signing a new one when something was revoked or the last one has aged.

        Raises:
            CaError: ``ca.clock``.
        """
        with self._database.read() as tx:
            fresh = self._crls.fresh(tx, now)
        if fresh is not None:
            return fresh
        with self._database.begin() as tx:
            return self._crls.renew(tx, now)

    def ocsp(self, request_der: bytes, now: datetime) -> bytes:
        """Answer an OCSP request (DER) with an OCSP response (DER); never raises for what the request holds."""
        return self._responder.answer(request_der, now)

    def timestamp(self, request_der: bytes, now: datetime) -> bytes:
        """Answer a TimeStampReq (DER) with a TimeStampResp (DER), RFC 3161; never raises for what the request holds."""
        return self._stamper.answer(request_der, now)

    def root_pem(self) -> bytes:
        """Give the root certificate."""
        return self._root.public_bytes(_PEM)

    def root_fingerprint(self) -> str:
        """Give the SHA-256 of the root certificate's DER form: the trust anchor of evidence packs."""
        return self._root.fingerprint(hashes.SHA256()).hex()

    def issuing_pem(self) -> bytes:
        """Give the issuing authority's certificate."""
        return self._issuing.public_bytes(_PEM)

    def chain_pem(self) -> bytes:
        """Give the issuing authority's certificate and the root's."""
        return self.issuing_pem() + self.root_pem()

    def root_crl(self) -> bytes:
        """Give the root's CRL (DER), which covers the issuing authority; signed while the root was at hand."""
        return (self._directory / "root.crl").read_bytes()

    def renew_root_crl(self, now: datetime) -> bytes:
        """Sign the root's CRL for another year; the offline folder must be back for this.

        Raises:
            CaError: ``ca.key``, the root key is not there.
        """
        _write_root_crl(self._directory, self._root, Signer.load(self._directory / "offline", "root"), now)
        return self.root_crl()

    def sign_manifest(self, data: bytes, now: datetime) -> ManifestSignature:
        """Sign an evidence pack's manifest with the evidence certificate.

        Raises:
            CaError: the evidence certificate ran out and cannot be renewed.
        """
        signer, certificate = self._own_credentials("evidence", now)
        return ManifestSignature(
            signature=signer.data(data), chain_pem=certificate.public_bytes(_PEM) + self.chain_pem()
        )

    def server_credentials(
        self, dns_names: Sequence[str], ip_addresses: Sequence[str], directory: Path, now: datetime
    ) -> tuple[Path, Path]:
        """Give (certificate chain, key) files for a TLS server, made or renewed where due; the key file is 0600.

        Raises:
            CaError: as ``issue``.
        """
        chain, key = directory / "server.pem", directory / "server.key"
        with self._exclusive():
            if not self._server_current(chain, key, {*dns_names, *ip_addresses}, now):
                directory.mkdir(parents=True, exist_ok=True)
                self._renew_server(dns_names, ip_addresses, chain, key, now)
        return chain, key

    def _server_current(self, chain: Path, key: Path, names: set[str], now: datetime) -> bool:
        if not (chain.exists() and key.exists()):
            return False
        certificate = _read_certificate(chain)
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        held = {*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress))}
        return (
            held == names
            and certificate.issuer == self._issuing.subject
            and Signer.load_plain(key).public_key() == certificate.public_key()
            and self._lasts(certificate, "server", now)
        )

    def _renew_server(
        self, dns_names: Sequence[str], ip_addresses: Sequence[str], chain: Path, key: Path, now: datetime
    ) -> None:
        signer = Signer.generate()  # a new key each time: a server key is the one most easily copied
        name = [*dns_names, *ip_addresses, ""][0][:64]
        request = Request(
            profile="server", subject=Subject(name), dns_names=tuple(dns_names), ip_addresses=tuple(ip_addresses)
        )
        self._vet(request)
        certificate = self._certify(request, signer.public_key(), requested_by="ca", approved_by="ca", now=now)
        signer.write_plain(key)
        write_file(chain, self._issued(certificate).chain_pem, mode=0o644)

    def _vet(self, request: Request) -> Profile:
        profile = vetting.requestable(self._profiles, request.profile)
        vetting.check_request(
            profile,
            common_name=request.subject.common_name,
            organization=request.subject.organization or self._settings.organization,
            account_id=request.subject.account_id,
            dns_names=request.dns_names,
            ip_addresses=request.ip_addresses,
            days=request.days,
        )
        return profile

    def _certify(
        self, request: Request, key: CertificatePublicKeyTypes, *, requested_by: str, approved_by: str, now: datetime
    ) -> x509.Certificate:
        """Record, lint, sign and publish a vetted request."""
        profile = self._profiles.by_name[request.profile]
        not_before, not_after = building.validity(profile, self._settings, self._issuing, request.days, now)
        organization = request.subject.organization or self._settings.organization
        plan = building.Plan(
            profile_name=request.profile,
            profile=profile,
            subject=building.subject_name(
                self._settings.country, organization, request.subject.common_name, request.subject.account_id
            ),
            key=key,
            serial=new_serial(),
            not_before=not_before,
            not_after=not_after,
            dns_names=request.dns_names,
            ip_addresses=request.ip_addresses,
        )
        run = Issuance(self._books, self._settings, self._profiles, self._lint_key)
        return run.certify(
            plan,
            issuer=self._issuing,
            signer=self._issuing_key,
            account_id=request.subject.account_id,
            requested_by=requested_by,
            approved_by=approved_by,
            now=now,
        )

    def _issued(self, certificate: x509.Certificate) -> Issued:
        pem = certificate.public_bytes(_PEM)
        return Issued(
            serial=f"{certificate.serial_number:032x}",
            certificate_pem=pem,
            chain_pem=pem + self.issuing_pem(),
            not_after=certificate.not_valid_after_utc,
            fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        )

    def _renew_due(self, now: datetime) -> None:
        """Renew what is due; a clock that ran back stops what is signed later, not the whole service."""
        for name in ("ocsp", "evidence"):
            try:
                self._own_credentials(name, now)
            except CaError as error:
                if error.code != "ca.clock":
                    raise

    def _own_credentials(self, name: str, now: datetime) -> tuple[Signer, x509.Certificate]:
        """Give the key and certificate of ``ocsp`` or ``evidence``, renewing the certificate when it is due."""
        held = self._own.get(name)
        if held is not None and self._usable(held[1], name, now):
            return held
        with self._own_lock, self._exclusive():
            self._own[name] = self._renew_own(name, now)
            return self._own[name]

    def _renew_own(self, name: str, now: datetime) -> tuple[Signer, x509.Certificate]:
        if not (self._directory / f"{name}.key").exists():
            Signer.create(self._directory, name)
        signer = Signer.load(self._directory, name)
        path = self._directory / f"{name}.pem"
        if path.exists():
            certificate = _read_certificate(path)  # another process may have renewed it
            if signer.public_key() == certificate.public_key() and self._usable(certificate, name, now):
                return signer, certificate
        request = Request(profile=name, subject=Subject(self._profiles.by_name[name].common_name))
        certificate = self._certify(request, signer.public_key(), requested_by="ca", approved_by="ca", now=now)
        write_file(path, certificate.public_bytes(_PEM), mode=0o644)
        return signer, certificate

    def _usable(self, certificate: x509.Certificate, profile: str, now: datetime) -> bool:
        """Say whether what is signed now with a certificate of ours will hold: it has begun and it lasts."""
        return certificate.not_valid_before_utc <= now and self._lasts(certificate, profile, now)

    def _lasts(self, certificate: x509.Certificate, profile: str, now: datetime) -> bool:
        """Say whether a certificate of ours has more life left than its profile's renewal margin."""
        margin = timedelta(days=self._profiles.by_name[profile].renew_days)
        end = min(certificate.not_valid_after_utc, self._issuing.not_valid_after_utc)
        return now < end - margin or (end == self._issuing.not_valid_after_utc and now < end)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Keep other processes from renewing the same certificate at the same time."""
        with (self._directory / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _found(directory: Path, database: Transactions, settings: Settings, now: datetime) -> None:
    """Make root and issuing authority in ``directory``."""
    profiles = read_profiles()
    run = Issuance(Together(database), settings, profiles, Signer.generate())
    root_key = Signer.create(directory / "offline", "root")
    root_plan = _authority_plan("root", root_key, profiles, settings, issuer=None, now=now)
    root = run.certify(root_plan, issuer=None, signer=root_key, requested_by="ca", approved_by="ca", now=now)
    issuing_key = Signer.create(directory, "issuing")
    issuing_plan = _authority_plan("issuing", issuing_key, profiles, settings, issuer=root, now=now)
    issuing = run.certify(issuing_plan, issuer=root, signer=root_key, requested_by="ca", approved_by="ca", now=now)
    write_file(directory / "root.pem", root.public_bytes(_PEM), mode=0o644)
    _write_root_crl(directory, root, root_key, now)
    write_file(directory / "issuing.pem", issuing.public_bytes(_PEM), mode=0o644)
    with database.begin() as tx:
        ledger.event(tx, "initialised", serial=f"{root.serial_number:032x}", actor="ca", detail="", now=now)


def _authority_plan(
    name: str, key: Signer, profiles: Profiles, settings: Settings, *, issuer: x509.Certificate | None, now: datetime
) -> building.Plan:
    profile = profiles.by_name[name]
    not_before, not_after = building.validity(profile, settings, issuer, None, now)
    title = profile.common_name
    return building.Plan(
        profile_name=name,
        profile=profile,
        subject=building.subject_name(settings.country, settings.organization, title),
        key=key.public_key(),
        serial=new_serial(),
        not_before=not_before,
        not_after=not_after,
    )


def _write_root_crl(directory: Path, root: x509.Certificate, root_key: Signer, now: datetime) -> None:
    now = now.replace(microsecond=0)
    builder = revocation.crl_builder(
        root,
        number=int(now.timestamp()),  # rises with time; the root has no books of its own
        url=None,
        this_update=now,
        next_update=now + timedelta(days=_ROOT_CRL_DAYS),
        revoked=[],
    )
    write_file(directory / "root.crl", root_key.crl(builder).public_bytes(_DER), mode=0o644)


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error


def _damaged(thing: Path | str, why: str) -> CaError:
    return CaError(
        "ca.damaged", f"{thing} 已损坏：{why}；请从备份恢复", f"{thing} is damaged: {why}; restore it from a backup"
    )
