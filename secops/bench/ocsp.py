"""OCSP answers a second, signed on demand by the delegated responder."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ca.authority import Request, Subject
from secops.bench.figures import Figure, stopwatch
from secops.bench.throwaway import installation

NUMBER: Final = 3000
BAR: Final = 3000  # a later part's bar


def measure() -> list[Figure]:
    """Ask about one good certificate again and again."""
    with installation() as service:
        request = Request(profile="person", subject=Subject("bench", "city", "1"))
        issued, _, _ = service.authority.issue_pkcs12(
            request, requested_by="bench", approved_by="bench2", now=service.clock()
        )
        certificate = x509.load_pem_x509_certificate(issued.certificate_pem)
        issuer = x509.load_pem_x509_certificate(service.authority.issuing_pem())
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1()).build()  # noqa: S303 - RFC 5019
        der = asked.public_bytes(serialization.Encoding.DER)
        with stopwatch() as watch:
            for _ in range(NUMBER):
                service.authority.ocsp(der, service.clock())
    return [
        Figure(
            name="OCSP answers on demand",
            value=NUMBER / watch.cpu,
            unit="answers/CPU-s",
            bar=BAR,
            note=f"wall {NUMBER / watch.wall:,.0f}/s",
        )
    ]
