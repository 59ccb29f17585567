"""Certificates of people: issue as PKCS #12 or from a request, revoke."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from ca.authority import Request, Subject
from identity.principal import Permission
from secops import audit
from secops.api.problems import NotFound
from secops.console.labels import NAMES
from secops.console.people import person_of
from secops.console.visit import Page, Routes
from secops.errors import UserError

if TYPE_CHECKING:
    from starlette.responses import Response

    from ca.authority import Issued
    from identity.provider import Account
    from secops.console.visit import Visit

PROFILE: Final = "person"


def issue(visit: Visit) -> Response:
    """Make key and certificate; the file and its password are in this answer and nowhere else."""
    account = person_of(visit, Permission.CERTIFICATES_ISSUE)
    issued, pkcs12, password = visit.service.authority.issue_pkcs12(
        Request(profile=PROFILE, subject=_subject(visit, account)),
        requested_by=account.username,
        approved_by=visit.principal.username,
        now=visit.now,
    )
    _bind(visit, account, issued)
    return visit.page(
        "issued.html",
        account=account,
        issued=issued,
        password=password,
        name=f"{account.username}.p12",
        data="data:application/x-pkcs12;base64," + base64.b64encode(pkcs12).decode(),
    )


def issue_from_request(visit: Visit) -> Response:
    """Certify the key of a PKCS #10 request; the private key never leaves the person."""
    account = person_of(visit, Permission.CERTIFICATES_ISSUE)
    csr = visit.value("csr", limit=16_000)
    if not csr:
        raise UserError("ca.csr", "请粘贴 PEM 格式的证书请求。", "Paste the certificate request (PEM).")
    issued = visit.service.authority.issue(
        Request(profile=PROFILE, subject=_subject(visit, account), csr_pem=csr.encode()),
        requested_by=account.username,
        approved_by=visit.principal.username,
        now=visit.now,
    )
    _bind(visit, account, issued)
    return visit.page(
        "issued.html",
        account=account,
        issued=issued,
        password="",
        name=f"{account.username}.pem",
        data="data:application/x-pem-file;base64," + base64.b64encode(issued.chain_pem).decode(),
    )


def revoke(visit: Visit) -> Response:
    """Revoke; sessions that were opened with it end at once."""
    account = person_of(visit, Permission.CERTIFICATES_REVOKE)
    serial, reason = visit.part("serial")[:64], visit.value("reason")
    if reason not in NAMES["revocation"]:
        raise UserError("ca.reason", "请选择吊销原因。", "Choose why the certificate is revoked.")
    if visit.service.authority.status(serial, visit.now).account_id != account.id:
        raise NotFound
    visit.service.authority.revoke(serial, reason=reason, actor=visit.principal.username, now=visit.now)
    with visit.service.database.begin() as tx:
        audit.record(
            tx,
            at=visit.now,
            actor=visit.principal.username,
            action="certificate.revoke",
            target=serial,
            tenant=account.organization_id,
            reason=reason,
            source_ip=visit.source_ip,
            detail={"account": account.username},
        )
    visit.service.identity.end_certificate_sessions(serial, reason=f"certificate revoked: {reason}", now=visit.now)
    return visit.to(f"/people/{account.id}", "revoked")


def _subject(visit: Visit, account: Account) -> Subject:
    organisation = visit.service.identity.organization(account.organization_id)
    return Subject(
        common_name=account.display_name or account.username,
        organization=organisation.name_zh if organisation else "",
        account_id=account.id,
    )


def _bind(visit: Visit, account: Account, issued: Issued) -> None:
    visit.service.identity.bind_certificate(
        account.id, issued.serial, issued.fingerprint_sha256, actor=visit.principal, now=visit.now
    )


ROUTES: Routes = (
    Page("POST", "/people/{account_id}/certificates", issue, Permission.CERTIFICATES_ISSUE),
    Page("POST", "/people/{account_id}/certificates/request", issue_from_request, Permission.CERTIFICATES_ISSUE),
    Page("POST", "/people/{account_id}/certificates/{serial}/revoke", revoke, Permission.CERTIFICATES_REVOKE),
)
