"""Certificates issued a second: recorded and synced before signing, linted, signed, published."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca.authority import Request, Subject
from secops.bench.figures import Figure, stopwatch
from secops.bench.throwaway import installation

NUMBER: Final = 300
BAR: Final = 800  # per server CPU-second, a later part's bar


def measure() -> list[Figure]:
    """Issue for ready-made requests, one after the other."""
    requests = [_request(number) for number in range(NUMBER)]
    with installation() as service, stopwatch() as watch:
        for request in requests:
            service.authority.issue(request, requested_by="bench", approved_by="bench2", now=service.clock())
    note = f"wall {NUMBER / watch.wall:,.0f}/s, two syncs each"
    return [Figure(name="certificates issued", value=NUMBER / watch.cpu, unit="certificates/CPU-s", bar=BAR, note=note)]


def _request(number: int) -> Request:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ignored")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    subject = Subject(f"张三{number}", "city", f"{number:032x}")
    return Request(profile="person", subject=subject, csr_pem=csr.public_bytes(serialization.Encoding.PEM))
