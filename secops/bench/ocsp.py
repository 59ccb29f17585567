"""OCSP answers a second: signed on demand by the delegated responder, and those that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ca.authority import Request, Subject
from secops.bench.figures import Figure, stopwatch
from secops.bench.throwaway import installation

if TYPE_CHECKING:
    from secops.wiring import Service

NUMBER: Final = 3000
BAR, KEPT_BAR = 3000, 10_000  # a later part's bars


def measure() -> list[Figure]:
    """Ask about one good certificate again and again."""
    with installation() as service:
        request = Request(profile="person", subject=Subject("bench", "city", "1"))
        issued, _, _ = service.authority.issue_pkcs12(
            request, requested_by="bench", approved_by="bench2", now=service.clock()
        )
        certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
        issuer = x509.load_pem_x509_certificate(service.authority.issuing_pem())
        builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303 - RFC 5019
        asked = [builder.add_extension(x509.OCSPNonce(number.to_bytes(32)), critical=False) for number in range(NUMBER)]
        return [
            _figure("OCSP answers on demand", BAR, service, [_der(each.build()) for each in asked]),
            _figure("OCSP answers, kept", KEPT_BAR, service, [_der(builder.build())] * NUMBER),
        ]


def _figure(name: str, bar: int, service: Service, asked: list[bytes]) -> Figure:
    with stopwatch() as watch:
        for der in asked:
            service.authority.ocsp(der, service.clock())
    note = f"wall {NUMBER / watch.wall:,.0f}/s"
    return Figure(name=name, value=NUMBER / watch.cpu, unit="answers/CPU-s", bar=bar, note=note)


def _der(request: ocsp.OCSPRequest) -> bytes:
    return request.public_bytes(serialization.Encoding.DER)
